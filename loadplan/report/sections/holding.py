"""Does it hold? The predicted curve of the planned setting on this machine, and what was measured beside it.

The decision a reader would question: the curve is drawn for the machine at hand, because only there is anything
measured to hold against it; what it says of other hardware stands in the answer, marked as extrapolated.
"""

from collections.abc import Iterable

from loadplan.execution import Setting
from loadplan.fit.black_box.records import ServiceCapacity
from loadplan.fit.black_box.structures import described
from loadplan.fit.records import CapacityFit, SettingCapacity
from loadplan.load.records import LoadRun
from loadplan.load.verdict import response_times_s
from loadplan.plan.records.fleet import Plan
from loadplan.report.chart import MIDDLE, SLOWEST, Axis, Chart, Mark, Series
from loadplan.report.findings import Findings
from loadplan.report.limits import limit_marks
from loadplan.report.page import Block, Figure, Section, Table, Text, number, text
from loadplan.report.sections.classes import class_verdicts, due_and_failed
from loadplan.report.sections.losing import cluster_blocks, loss_blocks
from loadplan.report.sections.shares import share_blocks
from loadplan.report.view import (
    counted,
    delay_text,
    digits,
    gone_text,
    limit_text,
    ms,
    ms_with_interval,
    percent,
    rate,
    setting_text,
    to_ms,
)
from loadplan.service_check import FittedService, time_spent
from loadplan.stats import Interval, quantile_interval, supported_percentile
from loadplan.verify import Verdict

_OUTCOMES = {"met": "✓ met", "missed": "✗ missed", "unclear": "? can't be told"}
# Purposes whose runs offer a steady rate; bursts and overload have no place on a curve over the offered rate.
_STEADY = ("idle", "steady", "verification")
_APART_RATIO = 0.03  # of the usable capacity, that two marks must be apart to be drawn both


def holding_section(known: Findings) -> Section | None:
    """Predicted and measured response times over the offered rate, and how the objectives were counted."""
    setting = _planned(known)
    if known.plan is None or known.plan.recommended is None:
        return None
    if known.service is not None:
        return _running(known, known.plan, known.service)
    if known.fit is None or setting is None:
        said = "The capacities of this plan were given, so loadplan knows no law to draw and no setting to drive."
        return Section(name="holds", title="", blocks=(Text(text=said, tone="doubt"),))
    blocks: list[Block] = [
        *_outside(known),
        *loss_blocks(known.plan),
        *cluster_blocks(known.plan),
        Text(
            text=f"One server process on this machine ({known.fit.machine.cpu_model}) with {setting_text(setting)}. "
            "Rates are those of this machine; on other hardware the curve is stretched by its speed."
        ),
    ]
    capacity = _capacity(known.fit, setting)
    if capacity is not None and capacity.curve:
        blocks.append(_figure(known, capacity, [run for run in _runs(known) if run.spec.setting == setting]))
    return Section(name="holds", title="", blocks=(*blocks, *_judged(known)))


def _running(known: Findings, plan: Plan, service: FittedService) -> Section:
    """Of a service as it runs: the law of one copy of it, where one suits."""
    law = (
        f"One copy of the service: {time_spent(service.fit)}; {described(service.fit.laws[0].structure)}. Rates are "
        "those of the machine that it ran on; on other hardware the curve is stretched by its speed."
    )
    doubted = "No structure that was tried explains the check near its capacity, so only rates that were driven count."
    said = Text(text=law) if service.is_by_law else Text(text=doubted, tone="doubt")
    blocks: list[Block] = [*_outside(known), *cluster_blocks(plan), said]
    if service.capacity.curve:
        blocks.append(_figure(known, service.capacity, _runs(known)))
    return Section(name="holds", title="", blocks=(*blocks, *_judged(known)))


def _judged(known: Findings) -> Iterable[Block]:
    """The live run against each objective, and class by class."""
    if known.verdict is not None:
        if known.plan is not None:
            yield from share_blocks(known.plan, known.verdict)
        yield _counted(known, known.verdict)
        by_class = class_verdicts(known.verdict)
        if by_class is not None:
            yield by_class


def _outside(known: Findings) -> tuple[Text, ...]:
    """Where the objectives are measured, and what delays requests beside the server, where anything does."""
    vantage = known.scenario.vantage
    if not vantage.delays:
        return ()
    held = " and ".join(f"{name}, {delay_text(delay)} (given)" for name, delay in vantage.named_delays.items())
    return (
        Text(
            text=f"The objectives are measured at the {vantage.at}. Capacities and curves hold {held}, simulated "
            "request by request. A live run beside the server proves the server's part alone: its own figures are "
            "without these delays, and they are added to every request before the objectives are judged.",
            tone="doubt",
        ),
    )


def _planned(known: Findings) -> Setting | None:
    fleet = known.plan.recommended if known.plan else None
    return fleet.capacity.setting if fleet else None


def _capacity(fit: CapacityFit, setting: Setting) -> SettingCapacity | None:
    return next((capacity for capacity in fit.capacities if capacity.setting == setting), None)


def _figure(known: Findings, capacity: SettingCapacity | ServiceCapacity, runs: list[LoadRun]) -> Figure:
    points = capacity.curve
    rates = [point.offered_rate_rps for point in points]
    p99 = Series(
        name="p99 predicted",
        x=rates,
        y=[to_ms(point.p99_s) for point in points],
        low=[to_ms(point.p99_interval.low) for point in points],
        high=[to_ms(point.p99_interval.high) for point in points],
        hue=SLOWEST,
    )
    p50 = Series(
        name="p50 predicted",
        x=rates,
        y=[to_ms(point.p50_s) for point in points],
        low=[to_ms(point.p50_interval.low) for point in points],
        high=[to_ms(point.p50_interval.high) for point in points],
        hue=MIDDLE,
    )
    found = (_measured(runs, 0.99, hue=SLOWEST), _measured(runs, 0.5, hue=MIDDLE), _beside(known.verdict))
    measured = [series for series in found if series is not None]
    marks = [*limit_marks(known.scenario), *_operating(known, capacity)]
    marks.append(Mark(word="usable capacity", x=capacity.usable_capacity_rps))
    return Figure(
        name="latency-over-rate",
        title="Do the response times hold up to the peak and beyond?",
        sentence=_sentence(known, capacity),
        chart=Chart(
            x=Axis(title="offered rate, requests/s", starts_at_zero=True),
            y=Axis(title="response time from due time, ms", scale="log"),
            series=(p99, p50, *measured),
            marks=tuple(marks),
        ),
    )


def _operating(known: Findings, capacity: SettingCapacity | ServiceCapacity) -> list[Mark]:
    """What a server process is offered at the peak, as a share of its capacity: with the spares gone, and with all."""
    plan = known.plan
    if plan is None or plan.recommended is None:
        return []
    if known.service is not None:  # which is driven near its capacity, whatever the plan asks of a copy
        return [] if known.verdict is None else [Mark(word="the check", x=known.verdict.offered_rate_rps)]
    fleet, gone = plan.recommended, gone_text(plan)
    at_peak = capacity.usable_capacity_rps * fleet.utilisation_ratio_degraded
    degraded = at_peak if known.verdict is None else known.verdict.offered_rate_rps
    if not gone:
        return [Mark(word="the peak", x=degraded)]
    with_all = degraded * fleet.utilisation_ratio / fleet.utilisation_ratio_degraded
    worst = Mark(word=f"the peak, {gone} gone", x=degraded)
    # Words of two lines that nearly coincide can't be read.
    is_apart = degraded - with_all > _APART_RATIO * capacity.usable_capacity_rps
    return [Mark(word="the peak, all there", x=with_all), worst] if is_apart else [worst]


def _beside(verdict: Verdict | None) -> Series | None:
    """The p99 of the runs that were driven beside the verification."""
    if verdict is None:
        return None
    runs = (verdict.planned, None if verdict.sharpness is None else verdict.sharpness.driven)
    shown = [(run, run.measured_p99_s) for run in runs if run is not None and run.measured_p99_s is not None]
    if not shown:
        return None
    ends = [run.measured_p99_interval or Interval(low=p99_s, high=p99_s) for run, p99_s in shown]
    return Series(
        name="p99 measured, other rates",
        x=[run.offered_rate_rps for run, _ in shown],
        y=[to_ms(p99_s) for _, p99_s in shown],
        low=[to_ms(end.low) for end in ends],
        high=[to_ms(end.high) for end in ends],
        style="points",
        hue=SLOWEST,
        is_hollow=True,
        labels=[f"{run.run}, n = {run.n_requests:,}" for run, _ in shown],
    )


def _sentence(known: Findings, capacity: SettingCapacity | ServiceCapacity) -> str:
    low, high = digits(capacity.usable_capacity_rps_low), digits(capacity.usable_capacity_rps_high)
    held = f"every objective holds up to {rate(capacity.usable_capacity_rps)} ({low} to {high}, simulated)"
    verdict = known.verdict
    if verdict is None:
        return f"Here {held}; no live run has tested it."
    if not verdict.valid:
        return f"Here {held}; the live run is invalid and not shown."
    if verdict.measured_p99_s is None:
        return f"Here {held}; the live run answered too few requests for a p99."
    return (
        f"Here {held}; driven live at {rate(verdict.offered_rate_rps)} the p99 was "
        f"{ms_with_interval(verdict.measured_p99_s, verdict.measured_p99_interval)} over "
        f"{counted(verdict.n_requests, 'request')}, predicted {ms(verdict.predicted.p99_s)}."
    )


def _runs(known: Findings) -> list[LoadRun]:
    runs = [*(known.loads or ()), *([known.verification] if known.verification else [])]
    return [run for run in runs if run.verdict.valid and run.spec.purpose in _STEADY]


def _measured(runs: list[LoadRun], quantile: float, *, hue: int) -> Series | None:
    rows = []
    for run in runs:
        times_s = response_times_s(run)
        middle_s = supported_percentile(times_s, quantile) if times_s.size else None
        if middle_s is None:
            continue
        interval = quantile_interval(times_s, quantile)
        low_s, high_s = (interval.low, interval.high) if interval else (middle_s, middle_s)
        rows.append((run.verdict.achieved_rate_rps, middle_s, low_s, high_s, f"{run.spec.name}, n = {times_s.size:,}"))
    if not rows:
        return None
    rates, middles_s, lows_s, highs_s, labels = zip(*rows, strict=True)
    return Series(
        name=f"p{100 * quantile:g} measured",
        x=rates,
        y=[to_ms(value) for value in middles_s],
        low=[to_ms(value) for value in lows_s],
        high=[to_ms(value) for value in highs_s],
        style="points",
        hue=hue,
        labels=labels,
    )


def _counted(known: Findings, verdict: Verdict) -> Block:
    """How each objective was counted over all due requests; nothing where the run is invalid."""
    if not verdict.valid:
        why = "; ".join(verdict.invalid_reasons)
        return Text(text=f"The live run is INVALID and shows no latency: {why}.", tone="doubt")
    rows = [
        (
            f"{_of(attained.class_name)}{limit_text(attained.limit)}",
            f"{attained.n_within:,} of {attained.n_due:,}",
            percent(attained.ratio),
            percent(attained.limit.quantile),
            _OUTCOMES[attained.outcome],
        )
        for attained in verdict.attainments
    ]
    for slo in known.scenario.objectives:
        n_due, n_failed = due_and_failed(verdict, slo.class_name)
        failed = n_failed / max(n_due, 1)
        is_met = failed <= slo.max_failed_ratio
        rows.append(
            (
                f"{_of(slo.class_name)}failed or unanswered",
                f"{n_failed:,} of {n_due:,}",
                percent(failed),
                f"at most {percent(slo.max_failed_ratio)}",
                _OUTCOMES["met" if is_met else "missed"],
            )
        )
    return Table(
        caption="The live run against each objective, over all due requests (measured)",
        columns=(text("objective"), number("within"), number("share"), number("needed"), text("verdict")),
        rows=tuple(rows),
    )


def _of(class_name: str | None) -> str:
    return "" if class_name is None else f"{class_name}: "
