"""How many replicas carry the peak, and what so many cost.

With k spares, k of n replicas may be gone at once. Where z zones are asked for, the replicas are dealt out to them
evenly and all of any one zone may be gone instead: max(k, ceil(n / z)).

Rates are requests per second, money is `Decimal` in USD. The decision a reader would question: replicas are counted
in exact fractions of the figures as written, because binary floats make ceil(2.1 / (3 x 0.7)) two instead of one.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from loadplan.catalog.price import Offer
from loadplan.plan.records.fleet import Plan, Rung
from loadplan.scenario.spec import PlanRules


def n_gone(n_replicas: int, rules: PlanRules | Plan) -> int:
    """Of so many replicas, those that may be gone at once: the spares, or all of the zone with most of them."""
    if rules.n_zones is None:
        return rules.n_spare_replicas
    return max(rules.n_spare_replicas, -(-n_replicas // rules.n_zones))


def n_with_gone(n_left: int, rules: PlanRules) -> int:
    """Least n of which so many are left: n - ceil(n / z) is at least m from n = m + ceil(m / (z - 1)) on."""
    if rules.n_zones is None:
        return n_left + rules.n_spare_replicas
    return n_left + max(rules.n_spare_replicas, -(-n_left // (rules.n_zones - 1)))


def n_replicas_for_peak(
    peak_rps: float, capacity_rps: float | Decimal, *, rules: PlanRules, rungs: Sequence[Rung] = ()
) -> int:
    """Least n of which those that are left carry the peak with the headroom free: at least peak / (1 - headroom).

    The capacity is that of one replica and above zero. Without rungs n replicas carry n times as much, so with k spares
    n = ceil(peak / (capacity (1 - headroom))) + k.
    """
    peak, capacity, headroom = map(as_written, (peak_rps, capacity_rps, rules.headroom_ratio))
    # In whole numbers: fractions are cut at every step, and every hour of a week is counted for every offer.
    numerator = peak.numerator * capacity.denominator * headroom.denominator
    denominator = peak.denominator * capacity.numerator * (headroom.denominator - headroom.numerator)
    if not rungs:
        return n_with_gone(-(-numerator // denominator), rules)
    return n_with_gone(_n_replicas_worth(Fraction(numerator, denominator), rungs), rules)


def n_replicas_needed(
    peak_rps: float, capacity_rps: float | Decimal, *, rules: PlanRules, rungs: Sequence[Rung] = ()
) -> int:
    """Replicas to buy: those for the peak, and never fewer than the scenario asks for."""
    return max(rules.n_min_replicas, n_replicas_for_peak(peak_rps, capacity_rps, rules=rules, rungs=rungs))


def carried_rps(
    n_replicas: int, capacity_rps: float | Decimal, *, rules: PlanRules, rungs: Sequence[Rung] = ()
) -> float:
    """What n replicas carry with the spares gone and the headroom free; 0 where none would be left."""
    n_left = max(n_replicas - n_gone(n_replicas, rules), 0)
    return float(multiple_of(n_left, rungs) * as_written(capacity_rps) * (1 - as_written(rules.headroom_ratio)))


def multiple_of(n_replicas: int, rungs: Sequence[Rung]) -> Fraction:
    """What n replicas carry together, over what one does: linear between rungs, and from the last on in proportion."""
    if not rungs:
        return Fraction(n_replicas)
    i = bisect_left(rungs, n_replicas, key=lambda rung: rung.n_replicas)
    if i == len(rungs):
        return n_replicas * as_written(rungs[-1].multiple) / rungs[-1].n_replicas
    upper = as_written(rungs[i].multiple)
    if i == 0 or rungs[i].n_replicas == n_replicas:
        return upper * n_replicas / rungs[i].n_replicas
    lower = as_written(rungs[i - 1].multiple)
    share = Fraction(n_replicas - rungs[i - 1].n_replicas, rungs[i].n_replicas - rungs[i - 1].n_replicas)
    return lower + share * (upper - lower)


def _n_replicas_worth(wanted: Fraction, rungs: Sequence[Rung]) -> int:
    """Least n of which `multiple_of` is at least so much."""
    i = bisect_left(rungs, wanted, key=lambda rung: as_written(rung.multiple))
    if i == 0:
        return math.ceil(wanted * rungs[0].n_replicas / as_written(rungs[0].multiple))
    below = rungs[i - 1]
    if i == len(rungs):
        return math.ceil(wanted * below.n_replicas / as_written(below.multiple))
    above = rungs[i]
    lower, upper = as_written(below.multiple), as_written(above.multiple)
    return below.n_replicas + math.ceil((wanted - lower) * (above.n_replicas - below.n_replicas) / (upper - lower))


def usd_per_month(offer: Offer, n_replicas: int, *, rules: PlanRules) -> Decimal:
    """Price x replicas x hours, or x months, exact; rounding to the cent is left to whoever shows it."""
    return usd_of(offer, n_replicas, hours_per_month=rules.hours_per_month)


def usd_of(offer: Offer, n_replicas: int, *, hours_per_month: int) -> Decimal:
    """The same of a month of so many hours."""
    if offer.usd_per_month is not None:
        return offer.usd_per_month * n_replicas
    return offer.usd_per_hour * n_replicas * hours_per_month


@lru_cache(maxsize=65_536, typed=True)  # the hours of a week are counted for every offer
def as_written(number: float | Decimal) -> Fraction:
    """The exact fraction of a number's shortest decimal form: 0.7 is 7/10."""
    return Fraction(str(number))
