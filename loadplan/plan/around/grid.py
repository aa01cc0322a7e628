"""The answer over a grid: traffic from half to twice, against the latency limits and against the price of the winner.

Rates are requests per second. The decision a reader would question: of all offers only the nearest rivals, and those
that can win at any peak, are ranked at each point; more of them would cost seconds and change nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from loadplan.plan.answer import Considered
from loadplan.plan.around.sensitivity import Asked, able_to_win, choice_of, priced, times
from loadplan.plan.fleets.candidate import Candidate
from loadplan.plan.fleets.ranking import best_of_each_type
from loadplan.plan.records.outlook import GridPoint

TRAFFIC_FACTORS = (0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
PRICE_FACTORS = (Decimal("0.8"), Decimal(1), Decimal("1.2"))


def sensitivity_grid(asked: Asked, at_limits: Mapping[float, Considered]) -> tuple[GridPoint, ...]:
    """Limits by traffic at today's price, then prices by traffic at the limits as asked.

    Args:
        asked: the question and its answer.
        at_limits: what could carry it with every latency limit times a factor; 1 is among them.
    """
    points: list[GridPoint] = []
    for limit_factor, found in sorted(at_limits.items()):
        able = _able(asked, found.candidates)
        points += _row(asked, able, limit_factor=limit_factor, price_factor=Decimal(1))
    able = _able(asked, asked.considered.candidates)
    for price_factor in PRICE_FACTORS:
        if price_factor != 1:
            points += _row(asked, able, limit_factor=1.0, price_factor=price_factor)
    return tuple(points)


def _row(asked: Asked, able: Sequence[Candidate], *, limit_factor: float, price_factor: Decimal) -> Iterable[GridPoint]:
    name = asked.winner.candidate.offer.type_name
    candidates = [priced(one, price_factor) if one.offer.type_name == name else one for one in able]
    for factor in TRAFFIC_FACTORS:
        peak_rps = times(asked.scenario.traffic.peak_rps, factor)
        ranked = best_of_each_type(candidates, peak_rps=peak_rps, rules=asked.scenario.plan)
        # As asked it is the plan's own fleet, which may hold a replica more to bear a loss.
        is_as_asked = factor == limit_factor == 1.0 and price_factor == 1
        best = asked.winner if is_as_asked else next(iter(ranked), None)
        yield GridPoint(
            traffic_factor=factor,
            limit_factor=limit_factor,
            price_factor=price_factor,
            choice=None if best is None else choice_of(best.fleet),
            same_type=best is not None and best.candidate.offer.type_name == name,
        )


def _able(asked: Asked, candidates: Sequence[Candidate]) -> list[Candidate]:
    rules = asked.scenario.plan
    ranked = best_of_each_type(candidates, peak_rps=asked.scenario.traffic.peak_rps, rules=rules)
    return able_to_win(ranked, candidates, rules=rules)
