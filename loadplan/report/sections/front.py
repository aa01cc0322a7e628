"""What does a faster answer cost? The fleets than which none is both cheaper and faster."""

from loadplan.plan.around.pareto import N_MORE
from loadplan.plan.records.fleet import Fleet
from loadplan.plan.records.outlook import FrontPoint
from loadplan.report.chart import CHOSEN, OTHERS, Axis, Chart, Mark, Series
from loadplan.report.findings import Findings
from loadplan.report.outlook_text import choice_text
from loadplan.report.page import Figure
from loadplan.report.view import given_ms, ms, p99_limit_s, to_ms, usd


def front_figure(known: Findings) -> Figure | None:
    """Cost against latency; nothing where nobody looked, or where there is but one such fleet."""
    outlook = None if known.plan is None else known.plan.outlook
    if known.plan is None or outlook is None or known.plan.recommended is None:
        return None
    points = [(point, point.choice.predicted_p99_s) for point in outlook.front]
    shown = [(point, p99_s) for point, p99_s in points if p99_s is not None]
    if len(shown) < 2:
        return None
    (first, first_s), (last, last_s) = shown[0], shown[-1]
    limit_s = p99_limit_s(known.scenario)
    own = [one for one in shown if _is_of(known.plan.recommended, one[0])][:1]
    others = [one for one in shown if one not in own]
    series = (("chosen", own, CHOSEN), ("others, dearer and faster", others, OTHERS))
    return Figure(
        name="cost-latency-front",
        title="What does a faster answer cost?",
        sentence=(
            f"From {usd(first.choice.usd_per_month)} a month with a p99 of {ms(first_s)} to "
            f"{usd(last.choice.usd_per_month)} with {ms(last_s)} ({choice_text(last.choice)}): of the fleets "
            f"tried, up to twice the cost and with up to {N_MORE} replicas more of each type, none is both cheaper and "
            f"faster than one of these {len(shown)} ({first.basis})."
        ),
        chart=Chart(
            x=Axis(title="USD a month"),
            y=Axis(title="predicted p99 at the peak, spares gone, ms", scale="log"),
            series=tuple(_series(name, points, hue) for name, points, hue in series if points),
            marks=() if limit_s is None else (Mark(word=f"limit {given_ms(limit_s)}", y=to_ms(limit_s)),),
        ),
    )


def _is_of(fleet: Fleet, point: FrontPoint) -> bool:
    """By its figures: a choice has but the names of its offers."""
    choice = point.choice
    return (choice.usd_per_month, choice.predicted_p99_s) == (fleet.usd_per_month, fleet.predicted_p99_s)


def _series(name: str, points: list[tuple[FrontPoint, float]], hue: int) -> Series:
    return Series(
        name=name,
        x=[float(point.choice.usd_per_month) for point, _ in points],
        y=[to_ms(p99_s) for _, p99_s in points],
        low=[to_ms(point.predicted_p99_s_low) for point, _ in points],
        high=[to_ms(point.predicted_p99_s_high) for point, _ in points],
        style="points",
        hue=hue,
        labels=[choice_text(point.choice) for point, _ in points],
    )
