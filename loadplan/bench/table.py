"""A sweep as columns: one row per timed call, for parquet and for people who take results further."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.summary import by_cell, summarise_cell
from loadplan.caveat import Caveat
from loadplan.errors import InputError
from loadplan.execution import ExecutionConfig
from loadplan.machine import Machine
from loadplan.store import codec

if TYPE_CHECKING:
    import pandas as pd

Columns = dict[str, NDArray[np.generic]]

_SCHEMA = "loadplan.bench/1"
_WHERE = "bench.parquet"
_KEY = ("variant", "provider", "n_threads", "n_sessions", "batch_size", "i_round")
_VALUES = ("lost_ratio", "dropped_ratio", "service_time_s")


def bench_columns(run: BenchRun) -> Columns:
    """One row per call; a visit's cell, number and noise are repeated on each of its calls."""
    n_calls = [visit.service_times_s.size for visit in run.rounds]

    def repeated(values: list[object], dtype: type) -> NDArray[np.generic]:
        return np.repeat(np.array(values, dtype=dtype), n_calls)

    executions = [visit.cell.execution for visit in run.rounds]
    return {
        "variant": repeated([execution.variant for execution in executions], np.str_),
        "provider": repeated([execution.provider for execution in executions], np.str_),
        "n_threads": repeated([execution.n_threads for execution in executions], np.int32),
        "n_sessions": repeated([execution.n_sessions for execution in executions], np.int32),
        "batch_size": repeated([visit.cell.batch_size for visit in run.rounds], np.int32),
        "i_round": repeated([visit.i_round for visit in run.rounds], np.int32),
        "lost_ratio": repeated([visit.lost_ratio for visit in run.rounds], np.float64),
        "dropped_ratio": repeated([visit.dropped_ratio for visit in run.rounds], np.float64),
        "service_time_s": np.concatenate([visit.service_times_s for visit in run.rounds]),
    }


def bench_metadata(run: BenchRun) -> dict[str, str]:
    """What stands beside the columns: schema, machine and caveats."""
    return {
        "schema": _SCHEMA,
        "machine": codec.dumps(run.machine),
        "caveats": codec.dumps(run.caveats),
    }


def bench_from_columns(columns: Mapping[str, NDArray[np.generic]], metadata: Mapping[str, str]) -> BenchRun:
    """The inverse of `bench_columns` and `bench_metadata`; the statistics are computed anew.

    Raises:
        InputError: when the columns or the metadata are not those of a sweep, or there is no row.
    """
    _require_sweep(columns, metadata)
    changes = [values[1:] != values[:-1] for name, values in columns.items() if name in _KEY]
    starts = np.concatenate([[0], np.flatnonzero(np.logical_or.reduce(changes)) + 1])
    ends = np.concatenate([starts[1:], [columns["i_round"].size]])
    rounds = tuple(_round(columns, int(start), int(end)) for start, end in zip(starts, ends, strict=True))
    return BenchRun(
        machine=codec.loads(metadata["machine"], Machine, where=_WHERE),
        rounds=rounds,
        cells=tuple(summarise_cell(visits) for visits in by_cell(rounds).values()),
        caveats=codec.loads(metadata["caveats"], tuple[Caveat, ...], where=_WHERE),
    )


def to_frame(run: BenchRun) -> "pd.DataFrame":
    """The calls as a pandas table."""
    import pandas as pd

    return pd.DataFrame(bench_columns(run))


def _require_sweep(columns: Mapping[str, NDArray[np.generic]], metadata: Mapping[str, str]) -> None:
    found, n_rows = metadata.get("schema"), {values.size for values in columns.values()}
    if found != _SCHEMA:
        reason = f"its schema is {found!r}, this loadplan reads {_SCHEMA!r}"
    elif missing := [name for name in (*_KEY, *_VALUES) if name not in columns]:
        reason = f"it has no column {missing[0]!r}"
    elif missing := [name for name in ("machine", "caveats") if name not in metadata]:
        reason = f"it doesn't say its {missing[0]}"
    elif len(n_rows) != 1 or n_rows == {0}:
        reason = f"its columns have {' and '.join(map(str, sorted(n_rows)))} rows"
    else:
        return
    raise InputError(what=f"this is no benchmark: {reason}", where=_WHERE, fix="run the benchmark again")


def _round(columns: Mapping[str, NDArray[np.generic]], start: int, end: int) -> CellRound:
    first = {name: values[start].item() for name, values in columns.items()}
    execution = ExecutionConfig(
        variant=first["variant"],
        provider=first["provider"],
        n_threads=first["n_threads"],
        n_sessions=first["n_sessions"],
    )
    return CellRound(
        cell=BenchCell(execution=execution, batch_size=first["batch_size"]),
        i_round=first["i_round"],
        service_times_s=columns["service_time_s"][start:end].astype(np.float64),
        lost_ratio=first["lost_ratio"],
        dropped_ratio=first["dropped_ratio"],
    )
