"""What there is to doubt about a sweep: cells without a figure, noise, what was dropped, and what the system did."""

from collections.abc import Mapping, Sequence

from loadplan.bench.pruning import Beaten
from loadplan.bench.records import BenchCell, CellRound, CellSummary
from loadplan.bench.summary import (
    CELL_LOST_ALLOWED_RATIO,
    VISIT_LOST_ALLOWED_RATIO,
    WANTED_HALF_WIDTH_RATIO,
    is_far,
    nearest_ratio,
)
from loadplan.caveat import Caveat
from loadplan.execution import ExecutionConfig

# Less than this is no doubt: every machine takes a core away now and then.
_DROPPED_ALLOWED_RATIO = 0.005
_THROTTLED_ALLOWED_RATIO = 0.01
_MOVED_ALLOWED_RATIO = 0.05
_CLOCK_ALLOWED_RATIO = 0.10


def noise_caveats(cells: Sequence[CellSummary]) -> tuple[Caveat, ...]:
    """How many cells the machine was too noisy for."""
    n_noisy = sum(cell.is_noisy for cell in cells)
    if n_noisy == 0:
        return ()
    what = (
        f"{n_noisy} of {len(cells)} benchmark cells are noisy: the interval of their mean is wider than "
        f"±{WANTED_HALF_WIDTH_RATIO:.0%}, or neighbours took more than {CELL_LOST_ALLOWED_RATIO:.0%} of their time"
    )
    fix = "give bench.budget_s more time, or run on a quieter machine"
    return (Caveat(code="bench.noisy", what=what, fix=fix, number=float(n_noisy)),)


def dropped_caveats(rounds: Sequence[CellRound]) -> tuple[Caveat, ...]:
    """What was dropped because a neighbour had the core, and what was measured again for it."""
    # A visit's own calls are what is left after the drop.
    n_made = sum(visit.n_calls / (1.0 - min(visit.dropped_ratio, 0.999)) for visit in rounds)
    dropped_ratio = 1.0 - sum(visit.n_calls for visit in rounds) / n_made if n_made else 0.0
    n_spoiled = sum(visit.lost_ratio > VISIT_LOST_ALLOWED_RATIO for visit in rounds)
    if dropped_ratio <= _DROPPED_ALLOWED_RATIO and n_spoiled == 0:
        return ()
    return (
        Caveat(
            code="bench.dropped",
            what=f"neighbours took the cores away: {dropped_ratio:.1%} of the timed calls were dropped for it, and "
            f"{n_spoiled} of {len(rounds)} visits lost more than {VISIT_LOST_ALLOWED_RATIO:.0%} of their time, so "
            "that others were made for them as far as the budget went",
            fix="run on a quieter machine, or on one whose cores are nobody else's",
            number=dropped_ratio,
        ),
    )


def moved_caveats(rounds: Sequence[CellRound]) -> tuple[Caveat, ...]:
    """What several threads met on cores that the host had moved apart."""
    nearest = nearest_ratio(rounds)
    told = [visit for visit in rounds if visit.apart_ratio is not None]
    n_far = sum(is_far(visit, nearest) for visit in told)
    if n_far <= _MOVED_ALLOWED_RATIO * len(told):
        return ()
    return (
        Caveat(
            code="bench.moved",
            what=f"in {n_far} of {len(told)} visits with several threads the host had moved the cores apart, where "
            "they wait longer for each other: others were made for them as far as the budget went, and a server "
            "here meets the same",
            fix="run on a machine whose cores stay where they are, or serve with one thread a session",
            number=n_far / len(told),
        ),
    )


def system_caveats(rounds: Sequence[CellRound]) -> tuple[Caveat, ...]:
    """A quota that stopped the process, and a clock that was not steady."""
    caveats = []
    throttled_s = sum(visit.throttled_s or 0.0 for visit in rounds)
    took_s = sum(visit.took_s for visit in rounds)
    if throttled_s > _THROTTLED_ALLOWED_RATIO * took_s:
        caveats.append(
            Caveat(
                code="bench.throttled",
                what=f"the CPU quota stopped the benchmark for {throttled_s:.2f} s of {took_s:.1f} s",
                fix="raise the quota, or measure fewer threads than it has cores",
                number=throttled_s,
            )
        )
    clocks_hz = [visit.frequency_hz for visit in rounds if visit.frequency_hz is not None]
    if clocks_hz and max(clocks_hz) > (1.0 + _CLOCK_ALLOWED_RATIO) * min(clocks_hz):
        caveats.append(
            Caveat(
                code="bench.clock",
                what=f"the clock of the cores moved between {min(clocks_hz) / 1e9:.2f} and {max(clocks_hz) / 1e9:.2f} "
                "GHz during the benchmark",
                fix="run: cpupower frequency-set -g performance, and keep the machine cool and plugged in",
                number=max(clocks_hz) / min(clocks_hz),
            )
        )
    return tuple(caveats)


def failure_caveats(failures: Mapping[BenchCell, str]) -> tuple[Caveat, ...]:
    """Cells that have no figure, and why."""
    grouped: dict[tuple[ExecutionConfig, str], list[BenchCell]] = {}
    for cell, reason in sorted(failures.items()):
        grouped.setdefault((cell.execution, reason), []).append(cell)
    return tuple(
        Caveat(
            code="bench.cell_failed",
            what=f"{column_name(execution)} was not measured at {_sizes(cells)}: {reason}",
            fix="leave these out of bench.batch_sizes, or mend the model",
            number=float(len(cells)),
        )
        for (execution, reason), cells in grouped.items()
    )


def pruned_caveats(beaten: Sequence[Beaten]) -> tuple[Caveat, ...]:
    """Columns that were given up, each with its reason."""
    if not beaten:
        return ()
    reasons = "; ".join(
        f"{column_name(each.execution)}: at most {each.rows_per_s_most:,.0f} rows/s and core, "
        f"{column_name(each.by)} at least {each.rows_per_s_least:,.0f}"
        for each in beaten
    )
    noun = "column was" if len(beaten) == 1 else "columns were"
    return (
        Caveat(
            code="bench.pruned",
            what=f"{len(beaten)} {noun} given up after a few batch sizes, as too slow to be chosen ({reasons})",
            fix="measure them all with --exhaustive, or bench.exhaustive: true",
            number=float(len(beaten)),
        ),
    )


def column_name(execution: ExecutionConfig) -> str:
    """Such as `fp32 with 1 thread`, with what is not usual about it."""
    provider = "" if execution.provider == "CPU" else f" on {execution.provider}"
    sessions = "" if execution.n_sessions == 1 else f" in each of {execution.n_sessions} sessions"
    return f"{execution.variant}{provider} with {counted(execution.n_threads, 'thread')}{sessions}"


def counted(n: int, noun: str) -> str:
    """A number with its noun."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _sizes(cells: Sequence[BenchCell]) -> str:
    sizes = list(dict.fromkeys(cell.batch_size for cell in cells))
    return f"{counted(len(sizes), 'batch size')} ({', '.join(map(str, sizes))})"
