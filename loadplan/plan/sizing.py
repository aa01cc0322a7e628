"""How many replicas carry the peak, and what so many cost.

Rates are requests per second, money is `Decimal` in USD. The decision a reader would question: replicas are counted
in exact fractions of the figures as written, because binary floats make ceil(2.1 / (3 x 0.7)) two instead of one.
"""

from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from loadplan.catalog.price import Offer
from loadplan.scenario.spec import PlanRules


def n_replicas_for_peak(peak_rps: float, capacity_rps: float | Decimal, *, rules: PlanRules) -> int:
    """Least n whose n - k replicas carry the peak with the headroom free: ceil(peak / (capacity (1 - headroom))) + k.

    The capacity is that of one replica and above zero.
    """
    peak, capacity, headroom = map(as_written, (peak_rps, capacity_rps, rules.headroom_ratio))
    # In whole numbers: fractions are cut at every step, and every hour of a week is counted for every offer.
    numerator = peak.numerator * capacity.denominator * headroom.denominator
    denominator = peak.denominator * capacity.numerator * (headroom.denominator - headroom.numerator)
    return -(-numerator // denominator) + rules.n_spare_replicas


def n_replicas_needed(peak_rps: float, capacity_rps: float | Decimal, *, rules: PlanRules) -> int:
    """Replicas to buy: those for the peak, and never fewer than the scenario asks for."""
    return max(rules.n_min_replicas, n_replicas_for_peak(peak_rps, capacity_rps, rules=rules))


def carried_rps(n_replicas: int, capacity_rps: float | Decimal, *, rules: PlanRules) -> float:
    """What n replicas carry with the spares gone and the headroom free; 0 where none would be left."""
    n_left = max(n_replicas - rules.n_spare_replicas, 0)
    return float(n_left * as_written(capacity_rps) * (1 - as_written(rules.headroom_ratio)))


def usd_per_month(offer: Offer, n_replicas: int, *, rules: PlanRules) -> Decimal:
    """Price x replicas x hours, or x months, exact; rounding to the cent is left to whoever shows it."""
    if offer.usd_per_month is not None:
        return offer.usd_per_month * n_replicas
    return offer.usd_per_hour * n_replicas * rules.hours_per_month


@lru_cache(maxsize=65_536, typed=True)  # the hours of a week are counted for every offer
def as_written(number: float | Decimal) -> Fraction:
    """The exact fraction of a number's shortest decimal form: 0.7 is 7/10."""
    return Fraction(str(number))
