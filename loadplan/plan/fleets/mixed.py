"""The cheapest fleet of several instance types that carries the peak, as an integer programme.

n_i replicas of type i carry c_i requests per second each and cost p_i. Requests go to replicas in proportion to what
they carry, so a fleet carries the sum of them, and the loss of any k replicas leaves the least when it takes the k
largest ones. With L_k(n) for what those carry:

    minimise  sum p_i n_i   subject to   sum c_i n_i - L_k(n) >= R = peak / (1 - headroom),   sum n_i >= n_min

By the duality of linear programmes sum c_i n_i - L_k(n) = max over t of (sum min(c_i, t) n_i - k t), and the best t is
one of the c_j, so the fleet carries R if and only if some j has sum_i min(c_i, c_j) n_i >= R + k c_j. Each j is a small
programme of one row, and most need not be solved: by its linear relaxation it costs at least
(R + k c_j) min_i p_i / min(c_i, c_j), which is often more than what is known already.

The solver works in binary floats, so what it finds is checked in exact fractions before it is believed. The decisions
a reader would question: only offers of one provider and region are mixed, since they stand behind one balancer; and
each replica is counted at the least that it carries in any fleet of its own kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, partial
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from loadplan.caveat import Basis
from loadplan.plan.fleets.candidate import Candidate, counted_rps, least_fleet
from loadplan.plan.fleets.demand import Demand
from loadplan.plan.fleets.ranking import best_of_each_type
from loadplan.plan.fleets.sizing import as_written, usd_per_month
from loadplan.plan.records.fleet import Fleet, FleetItem, MonthCost
from loadplan.scenario.spec import PlanRules

Counts = tuple[int, ...]

# What the solver may call feasible although it falls short, of the smallest capacity; it is asked for so much more
# where the exact check shows that it did.
_TOLERANCE = 2e-6
# Less than this share apart two costs are the same to the solver; the exact figures decide.
_STRICTLY = 1e-9
_ANY_PRICE = Decimal(10) ** 15
# Evidence of a whole is that of its weakest part.
_WEAKEST_FIRST: tuple[Basis, ...] = ("assumed", "extrapolated", "given", "simulated", "measured")


def cheapest_mixed(candidates: Sequence[Candidate], *, peak_rps: float, rules: PlanRules) -> Fleet | None:
    """The cheapest fleet of at least two types; None where none is cheaper than the best of one type.

    None as well where the loss of a zone is asked for: how many of each type a zone holds isn't decided here. The
    reason is left empty. Among fleets that cost the same the one with fewer replicas is taken.
    """
    if rules.n_zones is not None:
        return None
    fleets = []
    for _, members in groupby(sorted(candidates, key=_place), key=_place):
        useful = undominated(list(members), rules=rules)
        counts = cheapest_counts(useful, peak_rps=peak_rps, rules=rules)
        used = [one.offer.type_name for one, n in zip(useful, counts or (), strict=False) if n > 0]
        if counts is not None and len(set(used)) > 1:
            fleets.append(mixed_fleet(useful, counts, peak_rps=peak_rps, rules=rules))
    return min(fleets, key=lambda fleet: (fleet.usd_per_month, _names(fleet)), default=None)


def months_of(
    mix: Fleet, candidates: Sequence[Candidate], *, demand: Demand, rules: PlanRules
) -> tuple[MonthCost, ...]:
    """What a mixed fleet costs month by month as the peak grows, made of the same offers throughout."""
    offers = [item.offer for item in mix.items]
    used = [candidate for candidate in candidates if candidate.offer in offers]
    months = []
    for i_month, peak_rps in enumerate(demand.monthly_peak_rps):
        fleet = cheapest_of(used, peak_rps=peak_rps, rules=rules)
        n_of_each = tuple(sum(item.n_replicas for item in fleet.items if item.offer == offer) for offer in offers)
        months.append(
            MonthCost(
                i_month=i_month,
                peak_rps=peak_rps,
                n_replicas=sum(n_of_each),
                usd=fleet.usd_per_month,
                n_of_each=n_of_each,
            )
        )
    return tuple(months)


def cheapest_of(candidates: Sequence[Candidate], *, peak_rps: float, rules: PlanRules) -> Fleet:
    """The cheapest fleet of these candidates, of one type or of several; there is one at least."""
    uniform = (least_fleet(one, peak_rps=peak_rps, rules=rules) for one in candidates)
    best = min(uniform, key=lambda fleet: (fleet.usd_per_month, _names(fleet)))
    mix = cheapest_mixed(candidates, peak_rps=peak_rps, rules=rules)
    return best if mix is None or mix.usd_per_month >= best.usd_per_month else mix


def undominated(candidates: Sequence[Candidate], *, rules: PlanRules) -> list[Candidate]:
    """Those than which no other of unlimited number carries as much for less, largest first.

    Whatever k replicas are lost, a replica that is put in place of one that carries less costs nothing in capacity, so
    no cheapest fleet needs a dominated one.
    """
    kept: list[Candidate] = []
    cheapest: Decimal | None = None  # of those that carry as much and of which there are enough
    for candidate in sorted(candidates, key=partial(_largest_first, rules)):
        price = usd_per_month(candidate.offer, 1, rules=rules)
        if cheapest is not None and price >= cheapest:
            continue
        kept.append(candidate)
        cheapest = price if candidate.offer.n_available is None else cheapest
    return kept


def cheapest_counts(candidates: Sequence[Candidate], *, peak_rps: float, rules: PlanRules) -> Counts | None:
    """How many replicas of each candidate the cheapest fleet has; None where none is cheaper than those of one type."""
    if len(candidates) < 2:
        return None
    programme = _Programme(candidates=tuple(candidates), peak_rps=peak_rps, rules=rules)
    uniform = best_of_each_type(candidates, peak_rps=peak_rps, rules=rules)
    best, cost = None, uniform[0].fleet.usd_per_month if uniform else _ANY_PRICE
    for j in programme.by_least_cost():
        found = programme.cheapest(j, below=cost)
        if found is not None:
            best, cost = found, programme.cost(found)
    if best is None:
        return None
    for j in programme.by_least_cost():
        fewer = programme.fewest(j, cost=cost)
        if fewer is not None and programme.cost(fewer) <= cost and sum(fewer) < sum(best):
            best = fewer
    return best


def left_rps(capacities_rps: Sequence[Fraction], counts: Sequence[int], *, n_gone: int) -> Fraction:
    """What a fleet carries once its largest `n_gone` replicas are gone."""
    total, gone = Fraction(0), n_gone
    for capacity, n in sorted(zip(capacities_rps, counts, strict=True), reverse=True):
        n_lost = min(n, gone)
        gone -= n_lost
        total += capacity * (n - n_lost)
    return total


def mixed_fleet(candidates: Sequence[Candidate], counts: Sequence[int], *, peak_rps: float, rules: PlanRules) -> Fleet:
    """So many replicas of each candidate as one fleet, the item that carries most first; the reason is left empty.

    Every replica is in use by the same share. The p99 of all requests lies between the least and the largest p99 of
    its parts, so the largest stands for it.
    """
    used = [(candidate, n) for candidate, n in zip(candidates, counts, strict=True) if n > 0]
    used.sort(key=lambda one: (-one[1] * counted_rps(one[0]), one[0].offer.name))
    capacities = [counted_rps(candidate) for candidate, _ in used]
    total = left_rps(capacities, [n for _, n in used], n_gone=0)
    left = left_rps(capacities, [n for _, n in used], n_gone=rules.n_spare_replicas)
    degraded = float(as_written(peak_rps) / left)
    p99s = [candidate.predict_p99(degraded * float(candidate.sizing_rps)) for candidate, _ in used]
    known = [p99 for p99 in p99s if p99 is not None]
    is_known = len(known) == len(used)
    bases = [candidate.capacity.basis for candidate, _ in used]
    return Fleet(
        items=tuple(
            FleetItem(
                offer=candidate.offer,
                n_replicas=n,
                capacity=candidate.capacity,
                traffic_share=float(n * counted_rps(candidate) / total),
            )
            for candidate, n in used
        ),
        capacity=used[0][0].capacity,
        usd_per_hour=sum((candidate.offer.usd_per_hour * n for candidate, n in used), Decimal(0)),
        usd_per_month=sum((usd_per_month(candidate.offer, n, rules=rules) for candidate, n in used), Decimal(0)),
        utilisation_ratio=float(as_written(peak_rps) / total),
        utilisation_ratio_degraded=degraded,
        predicted_p99_s=max(p99.middle_s for p99 in known) if is_known else None,
        predicted_p99_s_low=min(p99.low_s for p99 in known) if is_known else None,
        predicted_p99_s_high=max(p99.high_s for p99 in known) if is_known else None,
        basis=min(bases, key=_WEAKEST_FIRST.index),
        reason="",
    )


@dataclass(frozen=True, kw_only=True)
class _Programme:
    """The integer programmes of the module's docstring, one for each j; prices in units of the least one."""

    candidates: tuple[Candidate, ...]
    peak_rps: float
    rules: PlanRules

    @cached_property
    def capacities(self) -> list[Fraction]:
        return [counted_rps(candidate) for candidate in self.candidates]

    @cached_property
    def needed(self) -> Fraction:
        return as_written(self.peak_rps) / (1 - as_written(self.rules.headroom_ratio))

    @cached_property
    def unit_usd(self) -> float:
        return min((price for price in self._usd if price > 0.0), default=1.0)

    @cached_property
    def prices(self) -> NDArray[np.float64]:
        return np.array(self._usd) / self.unit_usd

    @cached_property
    def _usd(self) -> list[float]:
        return [float(usd_per_month(candidate.offer, 1, rules=self.rules)) for candidate in self.candidates]

    def cost(self, counts: Counts) -> Decimal:
        """USD a month, exact."""
        priced = zip(self.candidates, counts, strict=True)
        return sum((usd_per_month(candidate.offer, n, rules=self.rules) for candidate, n in priced), Decimal(0))

    def by_least_cost(self) -> list[int]:
        """Every j, those first whose relaxation costs least."""
        return sorted(range(len(self.candidates)), key=self._relaxed_cost)

    def cheapest(self, j: int, *, below: Decimal) -> Counts | None:
        """The cheapest counts that hold by this j and cost less than is known; None where there are none."""
        at_most = float(below) / self.unit_usd * (1.0 - _STRICTLY)
        found = self._solve(j, self.prices, at_most) if self._relaxed_cost(j) < at_most else None
        return found if found is not None and self.cost(found) < below else None

    def fewest(self, j: int, *, cost: Decimal) -> Counts | None:
        """The fewest replicas that hold by this j and cost no more."""
        at_most = float(cost) / self.unit_usd * (1.0 + _STRICTLY)
        return self._solve(j, np.ones(len(self.candidates)), at_most) if self._relaxed_cost(j) < at_most else None

    def _relaxed_cost(self, j: int) -> float:
        carried, needed = self._row(j)
        return needed * float((self.prices / carried).min())

    def _row(self, j: int) -> tuple[NDArray[np.float64], float]:
        """The coefficients min(c_i, c_j) and the right side R + k c_j, in units of the smallest capacity."""
        unit = min(self.capacities)
        carried = np.array([float(min(capacity, self.capacities[j]) / unit) for capacity in self.capacities])
        return carried, float((self.needed + self.rules.n_spare_replicas * self.capacities[j]) / unit)

    def _solve(self, j: int, weights: NDArray[np.float64], cost_at_most: float) -> Counts | None:
        """What the solver finds, checked exactly; a second try asks for a hair more than its tolerance."""
        for margin in (0.0, _TOLERANCE):
            counts = self._once(j, weights, cost_at_most, margin)
            if counts is None or self._carries(counts):
                return counts
        return None

    def _carries(self, counts: Counts) -> bool:
        left = left_rps(self.capacities, counts, n_gone=self.rules.n_spare_replicas)
        return left >= self.needed and sum(counts) >= self.rules.n_min_replicas

    def _once(self, j: int, weights: NDArray[np.float64], cost_at_most: float, margin: float) -> Counts | None:
        from scipy.optimize import Bounds, LinearConstraint, milp

        carried, needed = self._row(j)
        # One replica and the rest at the best rate of all must cost less than is known.
        rest = np.maximum(needed - carried, 0.0) * float((self.prices / carried).min())
        most = np.where(self.prices + rest <= cost_at_most, np.ceil(needed / carried) + self.rules.n_min_replicas, 0.0)
        there_are = [candidate.offer.n_available for candidate in self.candidates]
        most = np.minimum(most, [np.inf if n is None else n for n in there_are])
        found = milp(
            weights,
            integrality=np.ones(len(weights)),
            bounds=Bounds(np.zeros(len(weights)), most),
            constraints=[
                LinearConstraint(carried, lb=needed + margin),
                LinearConstraint(np.ones(len(weights)), lb=self.rules.n_min_replicas),
                LinearConstraint(self.prices, ub=cost_at_most),
            ],
            options={"mip_rel_gap": 0.0},
        )
        return None if found.x is None else tuple(round(float(x)) for x in found.x)


def _place(candidate: Candidate) -> tuple[str, str]:
    return candidate.offer.instance_type.provider, candidate.offer.region


def _largest_first(rules: PlanRules, candidate: Candidate) -> tuple[Fraction, Decimal, str]:
    price = usd_per_month(candidate.offer, 1, rules=rules)
    return -counted_rps(candidate), price, candidate.offer.name


def _names(fleet: Fleet) -> tuple[str, ...]:
    return tuple(item.offer.name for item in fleet.items)
