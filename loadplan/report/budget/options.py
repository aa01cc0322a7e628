"""The fleets that the workbook can choose from, and the table of what so many replicas of each carry.

Rates are requests per second. The decision a reader would question: the table reaches to four times the largest peak
of the horizon, within a limit of rows; beyond its end the sheet says so instead of prolonging it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from loadplan.plan.fleets.sizing import as_written, multiple_of, n_gone, n_with_gone
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.scenario.spec import PlanRules

SAME = 1.0 - 1e-12  # two computed rates that differ by less are the same: binary floats miss ten times 0.1 by less
_REACH = 4.0  # times the largest peak
_LEAST_ROWS, _MOST_ROWS = 20, 2000
_REACH_OF_THE_CHOSEN = 2.0  # that the first fleet gets, however many rows it takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The fleets of one offer that a plan lists, in its order: the recommended one first, if it is of one offer."""

    fleets: tuple[Fleet, ...]
    # By fleet, by replicas left when the spares are gone, from 1 on: what they carry with no headroom kept. Where there
    # are only so many machines, further ones carry nothing more.
    carried_rps: tuple[tuple[float, ...], ...]
    n_more: tuple[int, ...]  # by fleet, replicas that the plan buys beyond those of the table, such as to bear a loss
    has_zones: bool  # whether all of a zone may be gone

    @property
    def n_rows(self) -> int:
        """Replicas in the longest fleet of the table."""
        return len(self.carried_rps[0])

    def n_replicas(self, i_option: int, peak_rps: float, *, rules: PlanRules) -> int | None:
        """Replicas of an option by its table, as the sheet's formula looks them up; None beyond its end."""
        n = _looked_up(self.carried_rps[i_option], peak_rps, rules=rules)
        return None if n is None else n + self.n_more[i_option]


def read_options(plan: Plan, rules: PlanRules) -> Options:
    """The fleets of one offer; a plan in which nothing is feasible has none."""
    fleets = [] if plan.recommended is None else [plan.recommended, *plan.runners_up]
    uniform = tuple(fleet for fleet in fleets if len(fleet.items) == 1 and fleet.capacity.usable_capacity_rps_low > 0.0)
    peaks = [plan.peak_rps, *(month.peak_rps for month in plan.months)]
    n_rows = _n_rows(uniform, max(peaks) / (1.0 - plan.headroom_ratio))
    table = tuple(_carried(fleet, n_rows, rules) for fleet in uniform)
    n_more = tuple(
        fleet.items[0].n_replicas - (_looked_up(carried, plan.peak_rps, rules=rules) or fleet.items[0].n_replicas)
        for fleet, carried in zip(uniform, table, strict=True)
    )
    return Options(
        fleets=uniform,
        carried_rps=tuple(
            _carried(fleet, n_rows, rules, n_more=more) for fleet, more in zip(uniform, n_more, strict=True)
        ),
        n_more=n_more,
        has_zones=rules.n_zones is not None,
    )


def _looked_up(carried_rps: Sequence[float], peak_rps: float, *, rules: PlanRules) -> int | None:
    """The least count that carries a peak, and those that may be gone; None beyond the table's end."""
    kept = 1.0 - rules.headroom_ratio
    n_left = next((i + 1 for i, rps in enumerate(carried_rps) if rps * kept >= peak_rps * SAME), None)
    return None if n_left is None else max(rules.n_min_replicas, n_with_gone(n_left, rules))


def carried_by(fleet: Fleet, n_left: int) -> float:
    """What so many replicas of a fleet's offer carry, by the figure that the planner sizes on."""
    return float(multiple_of(n_left, fleet.capacity.rungs) * as_written(sizing_rps(fleet)))


def sizing_rps(fleet: Fleet) -> float:
    """The low end of a replica's capacity: as it was given, else with nine digits, as the planner sizes."""
    low_rps = fleet.capacity.usable_capacity_rps_low
    return low_rps if fleet.capacity.basis == "given" else float(f"{low_rps:.9g}")


def _carried(fleet: Fleet, n_rows: int, rules: PlanRules, *, n_more: int = 0) -> tuple[float, ...]:
    """By replicas left; of an offer of which there are only so many, those that may be gone are never among them."""
    n_available, n_most = fleet.items[0].offer.n_available, n_rows
    if n_available is not None:
        n_most = max(n_available - n_more - n_gone(n_available - n_more, rules), 1)
    return tuple(carried_by(fleet, min(n_left, n_most)) for n_left in range(1, n_rows + 1))


def _n_at_most(rate_rps: float, fleet: Fleet) -> int:
    """So many replicas carry a rate at the least or nearly, by the ratio of the largest fleet that was simulated."""
    last = fleet.capacity.rungs[-1] if fleet.capacity.rungs else None
    ratio = 1.0 if last is None else min(last.multiple / last.n_replicas, 1.0)
    return math.ceil(rate_rps / (sizing_rps(fleet) * ratio))


def _n_rows(fleets: tuple[Fleet, ...], load_rps: float) -> int:
    if not fleets:
        return 0
    wanted = max(_n_at_most(_REACH * load_rps, fleet) for fleet in fleets)
    for_the_chosen = _n_at_most(_REACH_OF_THE_CHOSEN * load_rps, fleets[0])
    return max(_LEAST_ROWS, min(wanted, _MOST_ROWS), for_the_chosen)
