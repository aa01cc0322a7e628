"""A sweep as columns: one row per sample, for parquet and for people who take results further.

A sample is a single call, or a loop of `n_calls` of them with its time divided by their number.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.resources import StartReading
from loadplan.bench.summary import by_cell, nearest_ratio, summarise_cell
from loadplan.caveat import Caveat
from loadplan.errors import InputError
from loadplan.execution import ExecutionConfig
from loadplan.machine import Machine
from loadplan.speed import ProbeResult
from loadplan.store import codec

if TYPE_CHECKING:
    import pandas as pd

Columns = dict[str, NDArray[np.generic]]

_SCHEMA = "loadplan.bench/6"
_WHERE = "bench.parquet"
_TEXTS = ("machine", "caveats", "starts")
_KEY = ("variant", "provider", "n_threads", "n_sessions", "batch_size", "idle_gap_s", "length", "i_round")
_OF_VISIT = (
    "lost_ratio",
    "dropped_ratio",
    "clock_s",
    "n_preempted",
    "throttled_s",
    "frequency_hz",
    "apart_ratio",
    "copy_in_s",
    "copy_out_s",
)
_VALUES = (*_OF_VISIT, "n_calls", "service_time_s")


def bench_columns(run: BenchRun) -> Columns:
    """One row per sample, a visit's loops after its single calls; what holds for a visit is repeated on each row."""
    n_samples = [visit.service_times_s.size + visit.loop_times_s.size for visit in run.rounds]

    def repeated(values: list[object], dtype: type) -> NDArray[np.generic]:
        return np.repeat(np.array(values, dtype=dtype), n_samples)

    executions = [visit.cell.execution for visit in run.rounds]
    return {
        "variant": repeated([execution.variant for execution in executions], np.str_),
        "provider": repeated([execution.provider for execution in executions], np.str_),
        "n_threads": repeated([execution.n_threads for execution in executions], np.int32),
        "n_sessions": repeated([execution.n_sessions for execution in executions], np.int32),
        "batch_size": repeated([visit.cell.batch_size for visit in run.rounds], np.int32),
        "idle_gap_s": repeated([visit.cell.idle_gap_s for visit in run.rounds], np.float64),
        "length": repeated([visit.cell.length for visit in run.rounds], np.int32),
        "i_round": repeated([visit.i_round for visit in run.rounds], np.int32),
        "lost_ratio": repeated([visit.lost_ratio for visit in run.rounds], np.float64),
        "dropped_ratio": repeated([visit.dropped_ratio for visit in run.rounds], np.float64),
        "clock_s": repeated([visit.clock_s for visit in run.rounds], np.float64),
        "n_preempted": repeated([visit.n_preempted for visit in run.rounds], np.int32),
        "throttled_s": repeated([_or_nan(visit.throttled_s) for visit in run.rounds], np.float64),
        "frequency_hz": repeated([_or_nan(visit.frequency_hz) for visit in run.rounds], np.float64),
        "apart_ratio": repeated([_or_nan(visit.apart_ratio) for visit in run.rounds], np.float64),
        "copy_in_s": repeated([_or_nan(visit.copy_in_s) for visit in run.rounds], np.float64),
        "copy_out_s": repeated([_or_nan(visit.copy_out_s) for visit in run.rounds], np.float64),
        "n_calls": np.concatenate([_calls_of_samples(visit) for visit in run.rounds]),
        "service_time_s": np.concatenate(
            [times_s for visit in run.rounds for times_s in (visit.service_times_s, visit.loop_times_s)]
        ),
    }


def bench_metadata(run: BenchRun) -> dict[str, str]:
    """What stands beside the columns: schema, machine, caveats, the starts of columns, and the probe."""
    return {
        "schema": _SCHEMA,
        "machine": codec.dumps(run.machine),
        "caveats": codec.dumps(run.caveats),
        "starts": codec.dumps(run.starts),
        **({} if run.probe is None else {"probe": codec.dumps(run.probe)}),
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
    nearest = nearest_ratio(rounds)
    summaries = [summarise_cell(visits, nearest) for visits in by_cell(rounds).values()]
    return BenchRun(
        machine=codec.loads(metadata["machine"], Machine, where=_WHERE),
        rounds=rounds,
        cells=tuple(summary for summary in summaries if summary.cell.is_of_table),
        cold=tuple(summary for summary in summaries if summary.cell.idle_gap_s),
        by_length=tuple(summary for summary in summaries if summary.cell.length),
        caveats=codec.loads(metadata["caveats"], tuple[Caveat, ...], where=_WHERE),
        starts=codec.loads(metadata["starts"], tuple[StartReading, ...], where=_WHERE),
        probe=codec.loads(metadata["probe"], ProbeResult, where=_WHERE) if "probe" in metadata else None,
    )


def to_frame(run: BenchRun) -> "pd.DataFrame":
    """The samples as a pandas table."""
    import pandas as pd

    return pd.DataFrame(bench_columns(run))


def _require_sweep(columns: Mapping[str, NDArray[np.generic]], metadata: Mapping[str, str]) -> None:
    found, n_rows = metadata.get("schema"), {values.size for values in columns.values()}
    if found != _SCHEMA:
        reason = f"its schema is {found!r}, this loadplan reads {_SCHEMA!r}"
    elif missing := [name for name in (*_KEY, *_VALUES) if name not in columns]:
        reason = f"it has no column {missing[0]!r}"
    elif missing := [name for name in _TEXTS if name not in metadata]:
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
    times_s = columns["service_time_s"][start:end].astype(np.float64)
    n_calls = columns["n_calls"][start:end].astype(np.int32)
    cell = BenchCell(
        execution=execution,
        batch_size=first["batch_size"],
        idle_gap_s=first["idle_gap_s"],
        length=first["length"],
    )
    return CellRound(
        cell=cell,
        i_round=first["i_round"],
        service_times_s=times_s[n_calls == 1],
        lost_ratio=first["lost_ratio"],
        dropped_ratio=first["dropped_ratio"],
        loop_times_s=times_s[n_calls > 1],
        calls_per_loop=int(n_calls.max()),
        clock_s=first["clock_s"],
        n_preempted=first["n_preempted"],
        throttled_s=_or_none(first["throttled_s"]),
        frequency_hz=_or_none(first["frequency_hz"]),
        apart_ratio=_or_none(first["apart_ratio"]),
        copy_in_s=_or_none(first["copy_in_s"]),
        copy_out_s=_or_none(first["copy_out_s"]),
    )


def _calls_of_samples(visit: CellRound) -> NDArray[np.int32]:
    sizes = [visit.service_times_s.size, visit.loop_times_s.size]
    return np.repeat(np.array([1, visit.calls_per_loop], dtype=np.int32), sizes)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
