"""S(b): how long one inference of b rows takes, as a table read off the bench. Seconds; rows.

A table that is interpolated, never a line: a measured step (6 rows 63 µs, 7 rows 95 µs) is kept. Nothing forces it to
rise, for a larger batch may well be faster. The decision a reader would question is what happens at its ends: below
the smallest batch measured, the time of that batch; above the largest, the slope of the last step, up to twice its
size and no further, unless whoever asks says so (`serving.extrapolate_batches` of a scenario).

Where rows of one length were timed beside the mix that the traffic sends, S(b, length) is S(b) times the ratio of the
two at the sizes timed, linear in size and length between: so steps in b stay where they were measured.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadplan.bench.records import BenchCell, BenchRun
from loadplan.bench.summary import by_cell, calm_rounds, nearest_ratio
from loadplan.caveat import Caveat
from loadplan.errors import InputError, InvalidMeasurement
from loadplan.execution import ExecutionConfig
from loadplan.fit.records import LengthRatios, ServiceTimeFit

EXTRAPOLATED_AT_MOST = 2.0  # times the largest batch, or length, measured
# Providers of which one process of the embedded server may be planned: the processor, and NVIDIA's GPUs.
_SERVED = ("CPU", "CUDA", "TensorRT")


def fit_service_times(bench: BenchRun, *, extrapolate_batches: float = 1.0) -> tuple[ServiceTimeFit, ...]:
    """One table for every execution that was benchmarked, in their order.

    Batches up to `extrapolate_batches` times the largest timed may be guessed, and up to twice in any case.

    Raises:
        InvalidMeasurement: when nothing was measured.
    """
    if not bench.cells:
        raise InvalidMeasurement(
            what="the benchmark holds no cell, so no service time is known",
            where="fit",
            fix="run the benchmark again; look at its caveats for the reason",
        )
    executions = sorted({summary.cell.execution for summary in bench.cells})
    spreads, processes = _spread_ratios(bench), _process_ratios(bench)
    at_most = max(EXTRAPOLATED_AT_MOST, extrapolate_batches)
    return tuple(_fit(bench, execution, spreads, processes, at_most) for execution in executions)


def served_laws(laws: Sequence[ServiceTimeFit]) -> tuple[ServiceTimeFit, ...]:
    """Those that the embedded server is planned with: one session in a process, on the CPU or on the first GPU.

    Sessions side by side have tables of their own, for their calls wait for each other; they are measured and told. Of
    several GPUs the first stands for all: the best of them would be the luckiest.

    Raises:
        InvalidMeasurement: when there is none.
    """
    served = tuple(law for law in laws if _is_served(law.execution))
    if served:
        return served
    raise InvalidMeasurement(
        what="nothing was benchmarked that the embedded server is planned with: one session on the CPU or on CUDA",
        where="fit",
        fix="add CPU to bench.providers",
    )


def not_served_caveats(laws: Sequence[ServiceTimeFit]) -> tuple[Caveat, ...]:
    """What was measured but is not offered."""
    others = [law.execution for law in laws if law not in served_laws(laws)]
    if not others:
        return ()
    named = ", ".join(
        f"{execution.variant} on {execution.provider} with {execution.n_sessions} × {execution.n_threads}"
        for execution in others
    )
    return (
        Caveat(
            code="fit.not_served",
            what=f"measured, but not planned with: {named} (sessions × threads), because the embedded server has one "
            "session in a process, on the CPU or on the first GPU",
            fix="read their service times in the benchmark",
            number=float(len(others)),
        ),
    )


def _is_served(execution: ExecutionConfig) -> bool:
    is_first_device = execution.device_index in (None, 0)
    return execution.provider_name in _SERVED and is_first_device and execution.n_sessions == 1


def find_law(laws: Sequence[ServiceTimeFit], execution: ExecutionConfig) -> ServiceTimeFit:
    """The table of one execution.

    Raises:
        InputError: when it was not benchmarked.
    """
    for law in laws:
        if law.execution == execution:
            return law
    raise InputError(
        what=f"{execution.variant} with {execution.n_threads} threads on {execution.provider} was not benchmarked",
        where="fit",
        fix="benchmark it first, or choose among " + ", ".join(f"{x.execution.n_threads} threads" for x in laws),
    )


def service_times_s(law: ServiceTimeFit, n_rows_most: int) -> NDArray[np.float64]:
    """Mean time by rows: entry b is S(b) for b = 1 … n_rows_most, entry 0 is unused. Linear between measured sizes.

    Raises:
        InputError: when `n_rows_most` is more than twice the largest batch that was measured, or beyond what the law's
            user allows.
    """
    sizes, means_s = np.array(law.batch_sizes, dtype=np.float64), np.array(law.mean_s)
    if n_rows_most > law.extrapolated_at_most * sizes[-1]:
        times = "twice" if law.extrapolated_at_most == EXTRAPOLATED_AT_MOST else f"{law.extrapolated_at_most:g} times"
        ratio = math.ceil(n_rows_most / float(sizes[-1]))
        raise InputError(
            what=f"batches of {n_rows_most} rows are more than {times} the largest that was timed, {int(sizes[-1])}",
            where=f"the service times of {law.execution.variant}",
            fix=f"add {n_rows_most} to bench.batch_sizes, choose a smaller serving.max_batch_size, or let the last "
            f"step be prolonged as far with serving.extrapolate_batches: {ratio}",
        )
    rows = np.arange(n_rows_most + 1, dtype=np.float64)
    times_s: NDArray[np.float64] = np.interp(rows, sizes, means_s)
    # With one size measured nothing is known but that b times as many rows take at most b times as long.
    slope_s = means_s[-1] / sizes[-1] if sizes.size == 1 else np.diff(means_s)[-1] / np.diff(sizes)[-1]
    times_s[rows > sizes[-1]] = (means_s[-1] + max(slope_s, 0.0) * (rows - sizes[-1]))[rows > sizes[-1]]
    return times_s


def service_time_s(law: ServiceTimeFit, n_rows: float) -> float:
    """S of a number of rows that need not be whole, such as a mean; beyond the ends of the table as at its ends."""
    return float(np.interp(n_rows, law.batch_sizes, law.mean_s))


def service_times_at_s(law: ServiceTimeFit, n_rows_most: int, *, length: int) -> NDArray[np.float64]:
    """The same of batches whose rows all have one length. Below the shortest that was timed as long as that one.

    Raises:
        InputError: as `service_times_s`, and when no length was timed or this one is more than twice the longest.
    """
    if not law.by_length:
        raise InputError(
            what="no length of rows was timed on its own",
            where=f"the service times of {law.execution.variant}",
            fix="name some in bench.sequence_lengths",
        )
    lengths = np.array([one.length for one in law.by_length], dtype=np.float64)
    if length > EXTRAPOLATED_AT_MOST * lengths[-1]:
        raise InputError(
            what=f"rows of {length} positions are more than twice as long as the longest timed, {int(lengths[-1])}",
            where=f"the service times of {law.execution.variant}",
            fix=f"add {length} to bench.sequence_lengths",
        )
    rows = np.arange(n_rows_most + 1, dtype=np.float64)
    ratios = np.array([np.interp(rows, one.batch_sizes, one.ratio) for one in law.by_length])  # (n_lengths, n_rows)
    i = int(np.clip(np.searchsorted(lengths, length), 1, max(lengths.size - 1, 1)))
    if lengths.size == 1 or length <= lengths[0]:
        ratio = ratios[0]
    else:
        share = (length - lengths[i - 1]) / (lengths[i] - lengths[i - 1])
        ratio = ratios[i - 1] + share * np.maximum(ratios[i] - ratios[i - 1], 0.0 if share > 1.0 else -np.inf)
    times_s: NDArray[np.float64] = service_times_s(law, n_rows_most) * ratio
    return times_s


def servable_batch_sizes(law: ServiceTimeFit, batch_sizes: Sequence[int], *, n_rows_most: int) -> tuple[int, ...]:
    """Of the batch sizes asked for, those that may be planned, where a request carries up to `n_rows_most` rows.

    On a GPU none that is larger than what ran there: whether a larger one fits into its memory isn't known.
    """
    if law.execution.is_on_cpu:
        return tuple(batch_sizes)
    largest = law.batch_sizes[-1]
    return tuple(size for size in batch_sizes if max(size, n_rows_most) <= largest)


def service_time_caveats(laws: Sequence[ServiceTimeFit], n_rows_most: int) -> tuple[Caveat, ...]:
    """Doubts about tables that are too short for batches of up to `n_rows_most` rows."""
    left_out = (_left_out(law, n_rows_most) for law in laws if not law.execution.is_on_cpu)
    caveats = [caveat for caveat in left_out if caveat is not None]
    laws = [law for law in laws if law.execution.is_on_cpu]
    if not laws:
        return tuple(caveats)
    largest = min(law.batch_sizes[-1] for law in laws)
    if any(len(law.batch_sizes) == 1 for law in laws):
        caveats.append(
            Caveat(
                code="fit.one_batch_size",
                what=f"only batches of {largest} rows were timed: smaller ones are taken to be as slow, larger ones "
                "slower in proportion",
                fix="name several bench.batch_sizes, up to serving.max_batch_size",
                number=float(largest),
            )
        )
    if largest < n_rows_most:
        caveats.append(
            Caveat(
                code="fit.batch_size_extrapolated",
                what=f"batches of up to {n_rows_most} rows are planned with, timed were {largest} at most",
                fix=f"add {n_rows_most} to bench.batch_sizes",
                number=float(n_rows_most),
            )
        )
    return tuple(caveats)


def _left_out(law: ServiceTimeFit, n_rows_most: int) -> Caveat | None:
    largest = law.batch_sizes[-1]
    if largest >= n_rows_most:
        return None
    return Caveat(
        code="fit.gpu_batches",
        what=f"{law.execution.variant} on {law.execution.provider} ran batches of {largest} rows at most, and larger "
        f"ones, of up to {n_rows_most}, are not planned there: they may not fit into its memory",
        fix=f"add {n_rows_most} to bench.batch_sizes",
        number=float(largest),
    )


def _fit(
    bench: BenchRun,
    execution: ExecutionConfig,
    spread_ratios: dict[BenchCell, float],
    process_ratios: dict[BenchCell, float],
    extrapolated_at_most: float,
) -> ServiceTimeFit:
    own = sorted((c for c in bench.cells if c.cell.execution == execution), key=lambda c: c.cell.batch_size)
    return ServiceTimeFit(
        execution=execution,
        batch_sizes=tuple(c.cell.batch_size for c in own),
        mean_s=tuple(c.mean_s for c in own),
        mean_s_low=tuple(c.mean_s_low for c in own),
        mean_s_high=tuple(c.mean_s_high for c in own),
        spread_ratio=tuple(spread_ratios.get(c.cell, 0.0) for c in own),
        process_ratio=tuple(process_ratios[c.cell] for c in own),
        by_length=_length_ratios(bench, execution),
        extrapolated_at_most=extrapolated_at_most,
    )


def _length_ratios(bench: BenchRun, execution: ExecutionConfig) -> tuple[LengthRatios, ...]:
    mix_s = {one.cell.batch_size: one.mean_s for one in bench.cells if one.cell.execution == execution}
    own = [one for one in bench.by_length if one.cell.execution == execution and one.cell.batch_size in mix_s]
    grouped: dict[int, dict[int, float]] = {}
    for one in sorted(own, key=lambda one: (one.cell.length, one.cell.batch_size)):
        ratios = grouped.setdefault(one.cell.length, {})
        ratios[one.cell.batch_size] = one.mean_s / mix_s[one.cell.batch_size]
    return tuple(
        LengthRatios(length=length, batch_sizes=tuple(ratios), ratio=tuple(ratios.values()))
        for length, ratios in grouped.items()
    )


def _process_ratios(bench: BenchRun) -> dict[BenchCell, float]:
    """Standard deviation of ln(mean) over the calm visits of each cell, every one of which was a process of its own."""
    nearest = nearest_ratio(bench.rounds)
    return {
        cell: float(np.std(np.log([visit.mean_s for visit in calm_rounds(visits, nearest)]), ddof=1))
        for cell, visits in by_cell(bench.rounds).items()
        if cell.is_of_table
    }


def _spread_ratios(bench: BenchRun) -> dict[BenchCell, float]:
    """Standard deviation of ln(time) within the visits of each cell; drift between visits is not scatter."""
    squares: dict[BenchCell, list[tuple[float, int]]] = {}
    for visit in bench.rounds:
        n = visit.service_times_s.size
        if n > 1:
            squares.setdefault(visit.cell, []).append((float(np.var(np.log(visit.service_times_s), ddof=1)), n - 1))
    return {
        cell: math.sqrt(sum(variance * n for variance, n in parts) / sum(n for _, n in parts))
        for cell, parts in squares.items()
    }
