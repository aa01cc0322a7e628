"""Two sweeps cell by cell: what became slower, what faster, and what can't be said.

The independent observations are the visits (see `summary`), so the means of the visits are what is tested. Many cells
are tested at once, and one false alarm in any of them breaks somebody's build; so it is the chance of a single false
alarm that is held below 5 %, by Holm's procedure, which needs no independence: cells that are visited in the same
round share the machine's mood. Cells that are noisy in either sweep are told and decide nothing; nor do those of
several threads where the cores were close together in one sweep and apart in the other (`between_cores`).

A sweep's own visits don't show what shifts between sweeps: where the allocator put a model's weights, a mood that
outlasts several rounds. So a change must exceed what is allowed. In simulated pairs of equal sweeps with moods of 1 %
that last for some three rounds, a test for any change at all gave a false alarm in 22 of 100 pairs, one for a change
beyond 3 % in none.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loadplan.bench.records import BenchCell, BenchRun, CellRound, CellSummary
from loadplan.bench.summary import FAR_RATIO, by_cell, calm_rounds, nearest_ratio
from loadplan.caveat import Caveat
from loadplan.errors import InputError, InvalidMeasurement, LoadplanError, ObjectiveMissed
from loadplan.machine import Machine
from loadplan.stats import Interval, holm, ratio_test

# Two sweeps of the same thing agree within this in nine of ten cells that are not noisy.
CHANGE_ALLOWED_RATIO = 0.03
_ALPHA = 0.05

_NAMED_AT_MOST = 5

Change = Literal["slower", "faster", "same", "noisy"]
Finding = Literal["slower", "faster", "missing"]  # what a check can fail on


@dataclass(frozen=True, slots=True, kw_only=True)
class CellChange:
    """How one cell fared from the first sweep to the second."""

    cell: BenchCell
    ratio: float  # service time in the second sweep over that in the first
    interval: Interval  # of the ratio, 95 % for this cell alone
    p_value: float | None  # of a change beyond what is allowed, adjusted for all cells; None: noisy, not tested
    change: Change  # `same` is: no change beyond what is allowed was proved


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchComparison:
    """Two sweeps, the second against the first."""

    base: Machine
    head: Machine
    allowed_ratio: float  # a change within this counts as none
    cells: tuple[CellChange, ...]  # those in both
    only_in_base: tuple[BenchCell, ...]
    only_in_head: tuple[BenchCell, ...]
    caveats: tuple[Caveat, ...]


def compare_benches(base: BenchRun, head: BenchRun, *, allowed_ratio: float = CHANGE_ALLOWED_RATIO) -> BenchComparison:
    """What changed from `base` to `head`; sweeps of different machines leave a caveat.

    Args:
        base: the first sweep.
        head: the second sweep.
        allowed_ratio: changes of the mean by up to this factor less one are no change; 0 tests for any change at all.

    Raises:
        InputError: when the sweeps have no cell in common.
    """
    before, after = by_cell(base.rounds), by_cell(head.rounds)
    known, now_known = _summaries(base), _summaries(head)
    common = [cell.cell for cell in known if cell.cell in after]
    if not common:
        raise InputError(
            what="the two sweeps have no cell in common",
            where="compare",
            fix="compare sweeps of the same variants, thread counts and batch sizes",
        )
    nearest = nearest_ratio(base.rounds), nearest_ratio(head.rounds)
    moved = {cell for cell in common if cell.execution.n_threads > 1} if _were_moved(*nearest) else set()
    noisy = moved.union(cell.cell for cell in (*known, *now_known) if cell.is_noisy)
    return BenchComparison(
        base=base.machine,
        head=head.machine,
        allowed_ratio=allowed_ratio,
        cells=_changes(
            noisy,
            {cell: _means_s(before[cell], nearest[0]) for cell in common},
            {cell: _means_s(after[cell], nearest[1]) for cell in common},
            allowed_ratio,
        ),
        only_in_base=tuple(cell.cell for cell in known if cell.cell not in after),
        only_in_head=tuple(cell.cell for cell in now_known if cell.cell not in before),
        caveats=(
            *_caveats(base.machine, head.machine, n_noisy=len(noisy.intersection(common)), n_cells=len(common)),
            *_moved_caveats(moved),
        ),
    )


def failure_of(
    comparison: BenchComparison, *, fail_on: Sequence[Finding] = ("slower",), across_machines: bool = False
) -> LoadplanError | None:
    """Why a check should fail on this comparison; None: it passes.

    An `InvalidMeasurement` where it says nothing: every cell is noisy, or the machines differ and a comparison across
    machines, which is one of the machines too, was not asked for. An `ObjectiveMissed` where something was found that
    `fail_on` names.
    """
    base, head, cells = comparison.base, comparison.head, comparison.cells
    if base.fingerprint != head.fingerprint and not across_machines:
        return InvalidMeasurement(
            what=f"the sweeps are of different machines: {base.cpu_model} with {base.n_usable_cores} usable cores "
            f"({base.fingerprint}) and {head.cpu_model} with {head.n_usable_cores} ({head.fingerprint})",
            where="compare",
            fix="measure both on one machine, or ask for a comparison across machines",
        )
    if all(cell.change == "noisy" for cell in cells):
        return InvalidMeasurement(
            what=f"the machine was too noisy to say: all {len(cells)} cells in common are noisy",
            where="compare",
            fix="measure again with more time in bench.budget_s, or on a quieter machine",
        )
    found = [
        f"{cell_name(cell.cell)} is {cell.change}: ×{cell.ratio:.3f} ({cell.interval.low:.3f} to "
        f"{cell.interval.high:.3f})"
        for cell in cells
        if cell.change in fail_on
    ]
    if "missing" in fail_on:
        found += [f"{cell_name(cell)} is missing in the second sweep" for cell in comparison.only_in_base]
    if not found:
        return None
    return ObjectiveMissed(
        what="; ".join(found[:_NAMED_AT_MOST])
        + (f"; and {len(found) - _NAMED_AT_MOST} more" * (len(found) > _NAMED_AT_MOST)),
        where="compare",
        fix="look at what changed between the sweeps; where it is meant, compare with the second one from now on",
    )


def cell_name(cell: BenchCell) -> str:
    """Such as `fp32 CPU, threads 1, sessions 1, batch 8`, with the pause or the length of the rows that it has."""
    execution = cell.execution
    length = f", length {cell.length}" if cell.length else ""
    pause = f", after {1e3 * cell.idle_gap_s:g} ms" if cell.idle_gap_s else ""
    return (
        f"{execution.variant} {execution.provider}, threads {execution.n_threads}, sessions {execution.n_sessions}, "
        f"batch {cell.batch_size}{length}{pause}"
    )


def _summaries(run: BenchRun) -> tuple[CellSummary, ...]:
    """Calls in a row, by length, and after pauses."""
    return (*run.cells, *run.by_length, *run.cold)


def _changes(
    noisy: set[BenchCell],
    before_s: Mapping[BenchCell, NDArray[np.float64]],
    after_s: Mapping[BenchCell, NDArray[np.float64]],
    allowed_ratio: float,
) -> tuple[CellChange, ...]:
    tests = {cell: ratio_test(before_s[cell], after_s[cell], allowed_ratio=allowed_ratio) for cell in before_s}
    tested = [cell for cell in tests if cell not in noisy]
    adjusted = dict(zip(tested, holm([tests[cell].p_value for cell in tested]), strict=True))
    untested = {
        cell: CellChange(cell=cell, ratio=test.ratio, interval=test.interval, p_value=None, change="noisy")
        for cell, test in tests.items()
    }
    return tuple(
        replace(untested[cell], p_value=adjusted[cell], change=_change(tests[cell].ratio, adjusted[cell]))
        if cell in adjusted
        else untested[cell]
        for cell in tests
    )


def _change(ratio: float, p_value: float) -> Change:
    if p_value >= _ALPHA:
        return "same"
    return "slower" if ratio > 1.0 else "faster"


def _means_s(rounds: Sequence[CellRound], nearest: float | None) -> NDArray[np.float64]:
    return np.array([visit.mean_s for visit in calm_rounds(rounds, nearest)])


def _were_moved(base: float | None, head: float | None) -> bool:
    """Whether the cores were apart in one of the sweeps and close together in the other."""
    return base is not None and head is not None and max(base, head) > FAR_RATIO * min(base, head)


def _moved_caveats(moved: Collection[BenchCell]) -> tuple[Caveat, ...]:
    if not moved:
        return ()
    return (
        Caveat(
            code="compare.moved",
            what=f"{len(moved)} cells of several threads can't be compared: the host had the cores close together in "
            "one sweep and apart in the other",
            fix="measure again, or on a machine whose cores stay where they are",
            number=float(len(moved)),
        ),
    )


def _caveats(base: Machine, head: Machine, *, n_noisy: int, n_cells: int) -> tuple[Caveat, ...]:
    caveats = []
    if base.fingerprint != head.fingerprint:
        caveats.append(
            Caveat(
                code="compare.machines",
                what=f"the sweeps are of different machines, {base.cpu_model} and {head.cpu_model}: a change may be "
                "theirs alone",
                fix="measure both on one machine",
            )
        )
    if n_noisy:
        caveats.append(
            Caveat(
                code="compare.noisy",
                what=f"{n_noisy} of {n_cells} cells were too noisy to say anything about",
                fix="give bench.budget_s more time, or measure on a quieter machine",
                number=float(n_noisy),
            )
        )
    return tuple(caveats)
