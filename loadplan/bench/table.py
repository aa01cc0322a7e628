"""A sweep as columns: one row per timed call, for parquet and for people who take results further."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.summary import by_cell, summarise_cell
from loadplan.caveat import Caveat
from loadplan.execution import ExecutionConfig
from loadplan.machine import Machine
from loadplan.store import codec

if TYPE_CHECKING:
    import pandas as pd

Columns = dict[str, NDArray[np.generic]]

_SCHEMA = "loadplan.bench/1"


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
        InputError: when the metadata are not those of a sweep.
    """
    where = "bench.parquet"
    keys = np.array([columns[name] for name in ("n_threads", "n_sessions", "batch_size", "i_round")])
    names = columns["variant"], columns["provider"]
    is_new = (
        np.any(np.diff(keys, axis=1) != 0, axis=0) | (names[0][1:] != names[0][:-1]) | (names[1][1:] != names[1][:-1])
    )
    starts = np.concatenate([[0], np.flatnonzero(is_new) + 1]) if keys.shape[1] else np.zeros(0, dtype=np.intp)
    ends = np.concatenate([starts[1:], [keys.shape[1]]])
    rounds = tuple(_round(columns, int(start), int(end)) for start, end in zip(starts, ends, strict=True))
    return BenchRun(
        machine=codec.loads(metadata.get("machine", ""), Machine, where=where),
        rounds=rounds,
        cells=tuple(summarise_cell(visits) for visits in by_cell(rounds).values()),
        caveats=codec.loads(metadata.get("caveats", ""), tuple[Caveat, ...], where=where),
    )


def to_frame(run: BenchRun) -> "pd.DataFrame":
    """The calls as a pandas table."""
    import pandas as pd

    return pd.DataFrame(bench_columns(run))


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
