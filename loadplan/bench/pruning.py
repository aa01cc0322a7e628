"""Which columns can't win and need no further visit. A column is a variant, provider, threads and sessions. Pure.

The winner is the column with the most rows per second and core, over its batch sizes whose time is within the
objective: b / (S(b) n) with n threads, for k sessions on k n cores carry k b / S(b). Per core, because machines of any
size are bought and filled with server processes. Columns compete only with those of the same provider and number of
sessions: who wins between a GPU and a CPU is a question of money, and a server of several sessions may not be to hand.

The planner weighs more than that, so pruning errs on the side of keeping:

- a column goes only where the best one's rows/s, at the low end of its interval, exceed this one's, at the high end, by
  another quarter: for the sizes between the probes, and for cores that slow each other down when all are busy;
- the two best columns stay, and the fastest with the smallest batch, which may be all that a tight limit allows;
- a column that stays is measured at every batch size, for service time has steps.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from loadplan.execution import ExecutionConfig
from loadplan.stats import Interval

# What is known of a column: for each batch size the interval of its mean time.
Column = Mapping[int, Interval]

_MARGIN_RATIO = 0.25
N_COLUMNS_KEPT = 2
_N_PROBES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Beaten:
    """A column that can't win, and by which one it is beaten."""

    execution: ExecutionConfig
    rows_per_s_most: float  # per core, at the high end
    by: ExecutionConfig
    rows_per_s_least: float  # per core, at the low end


def probe_sizes(batch_sizes: Collection[int]) -> tuple[int, ...]:
    """The smallest, the largest and two between, evenly in proportion: where columns are compared first.

    Powers of two where there are enough, for there the steps of service time end, and batches are at their best.
    """
    sizes = sorted(set(batch_sizes))
    round_sizes = [size for size in sizes if size in (sizes[0], sizes[-1]) or size.bit_count() == 1]
    sizes = round_sizes if len(round_sizes) >= _N_PROBES else sizes
    if len(sizes) <= _N_PROBES:
        return tuple(sizes)
    low, high = math.log(sizes[0]), math.log(sizes[-1])
    wanted = [low + i * (high - low) / (_N_PROBES - 1) for i in range(_N_PROBES)]
    return tuple(sorted({min(sizes, key=lambda size: abs(math.log(size) - at)) for at in wanted}))


def rivals(columns: Iterable[ExecutionConfig]) -> list[list[ExecutionConfig]]:
    """The columns in groups that compete among themselves; of a group of up to two none can be given up."""
    groups: dict[tuple[str, int], list[ExecutionConfig]] = {}
    for execution in columns:
        groups.setdefault((execution.provider, execution.n_sessions), []).append(execution)
    return list(groups.values())


def beaten_columns(
    columns: Mapping[ExecutionConfig, Column], *, objective_s: float, keep: Collection[ExecutionConfig] = ()
) -> tuple[Beaten, ...]:
    """The columns that can't win, in their order.

    Args:
        columns: what was measured so far.
        objective_s: an inference that takes longer misses the objective by itself; infinite: there is none.
        keep: columns that stay whatever they do.
    """
    found = {
        each.execution: each
        for group in rivals([execution for execution, times in columns.items() if times])
        for each in _beaten_in(group, columns, objective_s=objective_s)
        if each.execution not in keep
    }
    return tuple(found[execution] for execution in columns if execution in found)


def _beaten_in(
    group: Sequence[ExecutionConfig], columns: Mapping[ExecutionConfig, Column], *, objective_s: float
) -> list[Beaten]:
    least = {execution: _rows_per_s_least(execution, columns[execution], objective_s) for execution in group}
    ranked = sorted(group, key=lambda execution: -least[execution])
    best = ranked[0]
    fastest = min(group, key=lambda execution: _middle_s(columns[execution][min(columns[execution])]))
    others = [execution for execution in group if execution not in (*ranked[:N_COLUMNS_KEPT], fastest)]
    most = {execution: _rows_per_s_most(execution, columns[execution], objective_s) for execution in others}
    return [
        Beaten(execution=execution, rows_per_s_most=most[execution], by=best, rows_per_s_least=least[best])
        for execution in others
        if most[execution] * (1.0 + _MARGIN_RATIO) < least[best]
    ]


def _rows_per_s_least(execution: ExecutionConfig, times: Column, objective_s: float) -> float:
    """Per core, at the batch size that is best for sure; 0 where none is surely within the objective."""
    rates = (size / (time.high * execution.n_threads) for size, time in times.items() if time.high <= objective_s)
    return max(rates, default=0.0)


def _rows_per_s_most(execution: ExecutionConfig, times: Column, objective_s: float) -> float:
    """Per core, at the batch size that may be best; infinite where an interval reaches down to 0.

    Where the objective cuts between two measured sizes, the size that just meets it counts, on the line between them.
    """
    sizes = sorted(times)
    low_s = [times[size].low for size in sizes]
    within = [(float(size), time_s) for size, time_s in zip(sizes, low_s, strict=True) if time_s <= objective_s]
    for (size, time_s), (larger, longer_s) in pairwise(zip(sizes, low_s, strict=True)):
        if time_s <= objective_s < longer_s:
            within.append((size + (larger - size) * (objective_s - time_s) / (longer_s - time_s), objective_s))
    rates = (size / (time_s * execution.n_threads) if time_s > 0.0 else math.inf for size, time_s in within)
    return max(rates, default=0.0)


def _middle_s(time: Interval) -> float:
    return (time.low + time.high) / 2.0
