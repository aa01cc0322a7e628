"""A load run as columns, for parquet and for people who take results further.

One row per request goes into the columns; everything else about the run is small and travels as text beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from loadplan.caveat import Caveat
from loadplan.errors import InputError
from loadplan.load.records import (
    LoadRun,
    LoadSpec,
    LoadVerdict,
    LostTime,
    Outcome,
    PayloadClasses,
    RequestLog,
    ServerWatch,
)
from loadplan.machine import Machine
from loadplan.store.codec import dumps, loads

if TYPE_CHECKING:
    import pandas as pd

Columns = dict[str, NDArray[np.generic]]

_KEY = "loadplan.load/1"
_DTYPES = {
    "due_s": np.float64,
    "sent_s": np.float64,
    "first_byte_s": np.float64,
    "done_s": np.float64,
    "outcome": np.uint8,
    "status": np.int16,
    "payload": np.int32,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Circumstances:
    """All of a run but its requests."""

    spec: LoadSpec
    url: str
    machine: Machine
    lost: LostTime
    verdict: LoadVerdict
    caveats: tuple[Caveat, ...]
    payload_rows: NDArray[np.int32] | None
    server: ServerWatch | None = None
    classes: PayloadClasses | None = None


def load_columns(run: LoadRun) -> Columns:
    """One row per due request, in order of due time; columns named and typed as in `RequestLog`.

    Where there are classes, `class_index` says of which each request is, for readers of the file: the classes
    themselves stand beside the columns.
    """
    columns: Columns = {name: getattr(run.requests, name) for name in _DTYPES}
    return columns if run.class_index is None else {**columns, "class_index": run.class_index}


def load_metadata(run: LoadRun) -> dict[str, str]:
    """What travels beside the columns."""
    circumstances = _Circumstances(
        spec=run.spec,
        url=run.url,
        machine=run.machine,
        lost=run.lost,
        verdict=run.verdict,
        caveats=run.caveats,
        payload_rows=run.payload_rows,
        server=run.server,
        classes=run.classes,
    )
    return {_KEY: dumps(circumstances)}


def load_from_columns(columns: Mapping[str, NDArray[np.generic]], metadata: Mapping[str, str]) -> LoadRun:
    """The run whose columns and metadata these are.

    Raises:
        InputError: when they are not those of a load run of this version.
    """
    missing = [name for name in _DTYPES if name not in columns]
    if _KEY not in metadata or missing:
        raise InputError(
            what=f"the table lacks {', '.join(missing) or _KEY}",
            where="the records of a load run",
            fix="run again to make it anew",
        )
    said = loads(metadata[_KEY], _Circumstances, where="the records of a load run")
    return LoadRun(
        spec=said.spec,
        url=said.url,
        machine=said.machine,
        # Not copied where they are of the right type already: a long run has hundreds of megabytes of them.
        requests=RequestLog(**{name: np.asarray(columns[name], dtype=dtype) for name, dtype in _DTYPES.items()}),
        lost=said.lost,
        verdict=said.verdict,
        caveats=said.caveats,
        payload_rows=said.payload_rows,
        server=said.server,
        classes=said.classes,
    )


def to_frame(run: LoadRun) -> "pd.DataFrame":
    """The requests as a pandas table, outcomes by name; the response time is NaN where there was no right answer.

    The rows of each request stand in `n_rows`, where they are known, and its class in `class`, where there are any.
    """
    import pandas as pd

    log = run.requests
    frame = pd.DataFrame(load_columns(run))
    names = [outcome.name.lower() for outcome in Outcome]
    frame["outcome"] = pd.Categorical.from_codes(log.outcome.astype(np.int8), categories=names)
    frame["response_time_s"] = np.where(log.outcome == np.uint8(Outcome.OK), log.done_s - log.due_s, np.nan)
    frame["send_delay_s"] = log.sent_s - log.due_s
    if run.n_rows is not None:
        frame["n_rows"] = run.n_rows
    if run.classes is not None:
        frame["class"] = pd.Categorical.from_codes(run.class_index, categories=list(run.classes.names))
    return frame
