"""A load run as columns, for parquet and for people who take results further."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from loadplan.load.records import LoadRun, LostTime, Outcome, RequestLog

if TYPE_CHECKING:
    import pandas as pd

Columns = dict[str, NDArray[np.generic]]

_REQUEST_COLUMNS = {
    "due_s": np.float64,
    "sent_s": np.float64,
    "first_byte_s": np.float64,
    "done_s": np.float64,
    "outcome": np.uint8,
    "status": np.int16,
    "payload": np.int32,
}


def request_columns(run: LoadRun) -> Columns:
    """One row per due request, in order of due time; columns named and typed as in `RequestLog`."""
    return {name: getattr(run.requests, name) for name in _REQUEST_COLUMNS}


def lost_columns(run: LoadRun) -> Columns:
    """One row per stretch that neighbours took, named and typed as in `LostTime`."""
    return {"start_s": run.lost.start_s, "length_s": run.lost.length_s}


def requests_from_columns(columns: Mapping[str, NDArray[np.generic]]) -> RequestLog:
    """The inverse of `request_columns`."""
    return RequestLog(**{name: np.asarray(columns[name]).astype(dtype) for name, dtype in _REQUEST_COLUMNS.items()})


def lost_from_columns(columns: Mapping[str, NDArray[np.generic]]) -> LostTime:
    """The inverse of `lost_columns`."""
    return LostTime(
        start_s=np.asarray(columns["start_s"]).astype(np.float64),
        length_s=np.asarray(columns["length_s"]).astype(np.float64),
    )


def to_frame(run: LoadRun) -> "pd.DataFrame":
    """The requests as a pandas table, outcomes by name; the response time is NaN where there was no right answer."""
    import pandas as pd

    log = run.requests
    frame = pd.DataFrame(request_columns(run))
    names = [outcome.name.lower() for outcome in Outcome]
    frame["outcome"] = pd.Categorical.from_codes(log.outcome.astype(np.int8), categories=names)
    frame["response_time_s"] = np.where(log.outcome == np.uint8(Outcome.OK), log.done_s - log.due_s, np.nan)
    frame["send_delay_s"] = log.sent_s - log.due_s
    return frame
