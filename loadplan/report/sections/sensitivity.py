"""What other traffic would cost, under other limits and at other prices: the grid that the plan holds, as tables."""

from collections.abc import Callable

from loadplan.plan.records.choice import Choice
from loadplan.plan.records.fleet import Plan
from loadplan.plan.records.outlook import GridPoint
from loadplan.report.page import HeatCell, HeatTable, shade_of
from loadplan.report.view import digits, types_text, usd


def sensitivity_tables(plan: Plan) -> list[HeatTable]:
    """By limits and by the chosen type's price; nothing where the plan holds no grid."""
    if plan.outlook is None or plan.recommended is None or not plan.outlook.grid:
        return []
    grid = plan.outlook.grid
    by_limit = [point for point in grid if point.price_factor == 1]
    by_price = [point for point in grid if point.limit_factor == 1.0]
    several = " (fleets of one type)" if len(plan.recommended.items) > 1 else ""
    return [
        _table(
            plan,
            by_limit,
            name="traffic-and-limits",
            title="What would other traffic cost, and under other limits?",
            row_of=lambda point: f"limits × {point.limit_factor:g}",
            note=several,
        ),
        _table(
            plan,
            by_price,
            name="traffic-and-price",
            title=f"And if the price of {types_text(plan.recommended)} were another?",
            row_of=lambda point: f"price × {float(point.price_factor):g}",
            note=several,
        ),
    ]


def _table(
    plan: Plan, points: list[GridPoint], *, name: str, title: str, row_of: Callable[[GridPoint], str], note: str
) -> HeatTable:
    factors = sorted({point.traffic_factor for point in points})
    rows: dict[str, dict[float, GridPoint]] = {}
    for point in sorted(points, key=lambda one: (one.limit_factor, one.price_factor)):
        rows.setdefault(row_of(point), {})[point.traffic_factor] = point
    dearest = max((float(point.choice.usd_per_month) for point in points if point.choice), default=0.0)
    return HeatTable(
        name=name,
        title=title,
        sentence=_sentence(points) + note,
        corner="USD a month, by peak",
        columns=tuple(f"{_signed(factor)}: {digits(factor * plan.peak_rps)}/s" for factor in factors),
        rows=tuple(
            (row, tuple(_cell(by_factor[factor], dearest) for factor in factors)) for row, by_factor in rows.items()
        ),
    )


def _sentence(points: list[GridPoint]) -> str:
    """The ends of the row as asked, and how often another type wins."""
    own = {point.traffic_factor: point.choice for point in points if _is_of_the_row_asked(point)}
    half, twice = own.get(0.5), own.get(2.0)
    said = [f"{word} the traffic {_costs(choice)}" for word, choice in (("half", half), ("twice", twice))]
    n_others = sum(point.choice is not None and not point.same_type for point in points)
    n_none = sum(point.choice is None for point in points)
    others = f"another type of machine wins in {n_others} of {len(points)} cases"
    none = f", and nothing will do in {n_none}" if n_none else ""
    text = f"{', '.join(said)}; {others}{none} (as far as the plan's capacities are right; the darker the dearer)."
    return text[:1].upper() + text[1:]


def _is_of_the_row_asked(point: GridPoint) -> bool:
    return point.limit_factor == 1.0 and point.price_factor == 1


def _costs(choice: Choice | None) -> str:
    return "is more than there are machines for" if choice is None else f"costs {usd(choice.usd_per_month)} a month"


def _cell(point: GridPoint, dearest: float) -> HeatCell:
    if point.choice is None:
        return HeatCell(text="nothing will do")
    ((name, n),) = point.choice.offers
    named = "the same" if point.same_type else name.split("/")[2]
    return HeatCell(
        text=usd(point.choice.usd_per_month),
        note=f"{n} × {named}",
        shade=shade_of(float(point.choice.usd_per_month), dearest),
        is_marked=point.traffic_factor == 1.0 and _is_of_the_row_asked(point),
    )


def _signed(factor: float) -> str:
    """Such as `−50 %`, or `as asked`."""
    return "as asked" if factor == 1.0 else f"{100 * (factor - 1):+.0f} %".replace("-", "−")
