"""Records as small tables for a notebook: what each says, in the words of the page, and nothing that moves.

Every text is escaped, since names come from scenario files, models and services. The decision a reader would question:
the tables hold what a person looks for first; all of a record is its fields, a sample apiece is `loadplan.to_frame`.
"""

from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path
from typing import Protocol, runtime_checkable

from loadplan.bench.records import BenchRun
from loadplan.caveat import Caveat
from loadplan.demand.records import Demand, Peak
from loadplan.errors import LoadplanError
from loadplan.export.artifact import ExportRun
from loadplan.fit.records import CapacityFit
from loadplan.load.records import LoadRun
from loadplan.load.verdict import answer_counts, latency_summary, send_delay_summary
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.report.findings import Findings
from loadplan.report.page import Facts, Table, Text, number, text
from loadplan.report.plain_html import Part, html_of
from loadplan.report.view import (
    counted,
    digits,
    fleet_name,
    gone_text,
    ms,
    ms_with_interval,
    objectives_text,
    percent,
    price_each,
    rate,
    setting_text,
    span_ms,
    threads_text,
    usd,
)
from loadplan.scenario.arrivals import Callers, described
from loadplan.scenario.draft import ASSUMED
from loadplan.scenario.spec import Scenario
from loadplan.verify import Verdict, verdict_word


@runtime_checkable
class Walk(Protocol):
    """The end of a walk along the road, which the pipeline knows and this room doesn't."""

    @property
    def findings(self) -> Findings:
        """All that was found."""

    @property
    def folder(self) -> Path:
        """Where it is kept."""

    @property
    def report(self) -> Path | None:
        """The page; None: there is none."""

    @property
    def failure(self) -> LoadplanError | None:
        """What stopped it early, or what it ended in."""


@runtime_checkable
class DraftedWalk(Protocol):
    """The end of one whose scenario was drafted for it."""

    @property
    def scenario(self) -> Path:
        """The draft."""

    @property
    def end(self) -> Walk:
        """How far it came."""


@singledispatch
def as_html(record: object) -> str:
    """Tables and short texts for one record of a stage, or for the end of a walk.

    Raises:
        TypeError: for anything else.
    """
    if isinstance(record, DraftedWalk):
        # What was assumed before what was found: nobody should take the one without the other.
        assumed = getattr(record, "assumed", ASSUMED)
        table = Table(caption="", columns=(text("assumed"),), rows=tuple((one,) for one in assumed))
        found = _findings(record.end.findings)
        return html_of([table, *found, *_whereabouts(record.end, scenario=record.scenario)])
    if isinstance(record, Walk):
        return html_of([*_findings(record.findings), *_whereabouts(record)])
    raise TypeError(f"nothing says how a {type(record).__name__} is shown")


@as_html.register
def _(record: Findings) -> str:
    return html_of(_findings(record))


@as_html.register
def _(record: Demand) -> str:
    return html_of([*_demand(record), *_doubts(record.caveats)])


@as_html.register
def _(record: Scenario) -> str:
    return html_of([_scenario(record)])


@as_html.register
def _(record: ExportRun) -> str:
    return html_of([_export(record), *_doubts(record.caveats)])


@as_html.register
def _(record: BenchRun) -> str:
    return html_of([_bench(record), *_doubts(record.caveats)])


@as_html.register
def _(record: LoadRun) -> str:
    return html_of([_load(record), *_doubts(record.caveats)])


@as_html.register
def _(record: CapacityFit) -> str:
    return html_of([_fit(record), *_doubts(record.caveats)])


@as_html.register
def _(record: Fleet) -> str:
    return html_of([_fleet(record)])


@as_html.register
def _(record: Plan) -> str:
    return html_of([*_plan(record), *_doubts(record.caveats)])


@as_html.register
def _(record: Verdict) -> str:
    return html_of([*_verdict(record), *_doubts(record.caveats)])


@as_html.register
def _(record: Caveat) -> str:
    return html_of(_doubts([record]))


def _findings(known: Findings) -> list[Part]:
    """The answer where there is one, else how far the run came."""
    if known.plan is None:
        reached = [name for name in ("export", "bench", "loads", "fit") if getattr(known, name) is not None]
        last = {"loads": "load"}.get(reached[-1], reached[-1]) if reached else "scenario"
        return [_scenario(known.scenario), Text(text=f"The last finished stage is {last}; there is no plan.")]
    proof = [Text(text="NOT VERIFIED: no live run of this plan.")] if known.verdict is None else _verdict(known.verdict)
    caveats = (*known.plan.caveats, *(known.verdict.caveats if known.verdict else ()))
    return [*_plan(known.plan), *proof, *_doubts(caveats)]


def _whereabouts(end: Walk, *, scenario: Path | None = None) -> list[Part]:
    rows = [("kept in", str(end.folder))]
    if scenario is not None:
        rows.append(("scenario", f"{scenario}: correct what is assumed in it, and run that"))
    if end.report is not None:
        rows.append(("report", str(end.report)))
    if end.failure is not None:
        rows.append(("ended in", str(end.failure)))
    return [Facts(rows=tuple(rows))]


def _scenario(scenario: Scenario) -> Facts:
    traffic, rules = scenario.traffic, scenario.plan
    model = "none: for planning on given capacities" if scenario.model is None else scenario.model.named
    return Facts(
        rows=(
            ("scenario", scenario.name),
            ("model", model),
            ("traffic", f"{rate(traffic.peak_rps)} at the peak, {described(traffic.arrivals)}, {traffic.profile}"),
            ("objectives", objectives_text(scenario)),
            ("may be bought", f"{', '.join(rules.providers)} in {', '.join(rules.regions)}"),
            ("reserve", f"{gone_text(rules) or 'nothing'} may be gone, {percent(rules.headroom_ratio)} kept free"),
        )
    )


def _demand(demand: Demand) -> list[Part]:
    """The peaks with their intervals, and by how much each doubt would move the first of them."""
    rows = [("source", f"{demand.source} [{demand.basis}]")]
    peaks = (("busiest hour", demand.peak_hour), ("minute", demand.peak_minute), ("second", demand.peak_second))
    for name, peak in peaks:
        if isinstance(peak, Peak):
            span = "" if peak.interval is None else f" ({digits(peak.interval.low)} to {digits(peak.interval.high)})"
            rows.append((name, f"{rate(peak.rate_rps)}{span}"))
    rows.append(("on average", rate(demand.mean_rps)))
    others = tuple((one.what, rate(one.peak_rps)) for one in demand.doubts)
    table = Table(caption="", columns=(text("if"), number("the peak is")), rows=others)
    return [Facts(rows=tuple(rows)), *([table] if others else [])]


def _export(run: ExportRun) -> Table:
    rows = []
    for model in run.models:
        worst = max(check.max_abs_error for check in model.parity)
        limit = model.limits.max_abs_error
        whole = next((one for one in model.quality if not one.segment and one.value is not None), None)
        rows.append(
            (
                model.variant,
                model.path,
                f"{model.n_bytes / 1e6:,.3g}",
                f"{worst:.1e}{'' if limit is None else f' of {limit:.1e}'}",
                "not measured" if whole is None or whole.value is None else f"{whole.metric} {digits(whole.value)}",
            )
        )
    rows += [(one.variant, "refused", "", "", one.reason) for one in run.refused]
    columns = (text("variant"), text("file"), number("MB"), number("largest error"), text("on all rows"))
    return Table(caption=run.source, columns=columns, rows=tuple(rows))


def _bench(run: BenchRun) -> Table:
    columns = (
        text("variant"),
        text("threads"),
        number("rows"),
        number("median"),
        number("mean (95 %), ms"),
        number("rows/s"),
        number("calls"),
        text(""),
    )
    rows = tuple(
        (
            cell.cell.execution.variant,
            threads_text(cell.cell.execution),
            f"{cell.cell.batch_size}",
            ms(cell.median_s),
            f"{digits(1e3 * cell.mean_s)} ({span_ms(cell.mean_s_low, cell.mean_s_high)})",
            f"{cell.cell.execution.n_sessions * cell.cell.batch_size / cell.mean_s:,.0f}",
            f"{cell.n_samples:,}",
            "noisy" if cell.is_noisy else "",
        )
        for cell in run.cells
    )
    caption = f"{run.machine.cpu_model}, {counted(run.machine.n_usable_cores, 'usable core')}"
    return Table(caption=caption, columns=columns, rows=rows)


def _load(run: LoadRun) -> Facts:
    verdict, spec = run.verdict, run.spec
    law = described(spec.arrivals)
    offered = law if isinstance(spec.arrivals, Callers) else f"{rate(spec.offered_rate_rps)} ({law})"
    failures = ", ".join(f"{n:,} × {name}" for name, n in answer_counts(run).items())
    rows = [
        ("target", run.url),
        ("offered", f"{offered} for {spec.duration_s:g} s"),
        (
            "answered right",
            f"{rate(verdict.throughput_rps)}, {verdict.n_failed:,} of {run.requests.n_requests:,} failed",
        ),
        *([("failed as", failures)] if failures else []),
        ("latency", _latency(run)),
    ]
    delay = send_delay_summary(run)
    if delay is not None:
        rows.append(("sent late", f"p50 {ms(delay.p50)}, p99 {ms(delay.p99)} by the generator itself"))
    return Facts(rows=tuple(rows))


def _latency(run: LoadRun) -> str:
    """From due time; an invalid run shows none."""
    if not run.verdict.valid:
        return f"INVALID: {'; '.join(run.verdict.invalid_reasons)}"
    found = latency_summary(run)
    if found is None:
        return "none: no request was answered right"
    figures = {"p50": found.p50, "p95": found.p95, "p99": found.p99, "p99.9": found.p99_9}
    limit_s = run.spec.timeout_s
    said = [
        f"{name} {'more than ' if value >= limit_s else ''}{ms(min(value, limit_s))}"
        for name, value in figures.items()
        if value is not None
    ]
    return f"{', '.join(said)} from due time, of {found.n_samples:,} answers"


def _fit(fit: CapacityFit) -> Table:
    ranked = sorted(fit.capacities, key=lambda one: -one.usable_capacity_rps)
    columns = (text("setting"), number("usable requests/s"), number("low"), number("high"), number("saturated at"))
    rows = tuple(
        (
            setting_text(one.setting),
            digits(one.usable_capacity_rps),
            digits(one.usable_capacity_rps_low),
            digits(one.usable_capacity_rps_high),
            digits(one.saturated_rps),
        )
        for one in ranked
    )
    return Table(caption=f"One server process on {fit.machine.cpu_model}", columns=columns, rows=rows)


def _plan(plan: Plan) -> list[Part]:
    demand = ("demand", f"{rate(plan.peak_rps)} at the peak, {rate(plan.mean_rps)} on average")
    fleet = plan.recommended
    if fleet is None:
        rows = [demand, ("buy", f"NOTHING WILL DO: {plan.binding_constraint}")]
        if plan.nearest_miss is not None:
            rows.append(("nearest", f"{fleet_name(plan.nearest_miss)}: {plan.nearest_miss.reason}"))
        return [Facts(rows=tuple(rows))]
    gone = gone_text(plan)
    holds = ("holds", f"{_predicted(fleet)} at the peak{f' with {gone} gone' if gone else ''}")
    answer = Facts(rows=(demand, *_fleet(fleet).rows, holds))
    if not plan.runners_up:
        return [answer]
    columns = (text("what else"), number("a month"), text("why not"))
    rivals = tuple((fleet_name(other), usd(other.usd_per_month), other.reason) for other in plan.runners_up)
    return [answer, Table(caption="", columns=columns, rows=rivals)]


def _fleet(fleet: Fleet) -> Facts:
    prices = "; ".join(f"{price_each(one.offer)} each, seen {one.offer.price_date}" for one in fleet.items)
    return Facts(
        rows=(
            ("buy", f"{fleet_name(fleet)} [{fleet.basis}]"),
            ("bill", f"{usd(fleet.usd_per_month)} a month: {prices}"),
        )
    )


def _predicted(fleet: Fleet) -> str:
    if fleet.predicted_p99_s is None:
        return f"{percent(fleet.utilisation_ratio_degraded)} of the capacity is used"
    low_s, high_s = fleet.predicted_p99_s_low, fleet.predicted_p99_s_high
    span = "" if low_s is None or high_s is None else f" ({span_ms(low_s, high_s)})"
    return f"p99 {ms(fleet.predicted_p99_s)}{span} predicted"


def _verdict(verdict: Verdict) -> list[Part]:
    proved = {
        "plan": "the plan, on the machine type it recommends",
        "law": "the law that the plan rests on, not the hardware",
    }
    said = (
        f"{verdict_word(verdict)} at {rate(verdict.offered_rate_rps)}; a pass is a proof of {proved[verdict.subject]}."
    )
    if not verdict.valid:
        return [Text(text=f"INVALID: {'; '.join(verdict.invalid_reasons)}", tone="bad")]
    predicted = verdict.predicted
    rows = (
        ("p50", verdict.measured_p50_s, verdict.measured_p50_interval, predicted.p50_s, predicted.p50_interval),
        ("p95", verdict.measured_p95_s, verdict.measured_p95_interval, predicted.p95_s, predicted.p95_interval),
        ("p99", verdict.measured_p99_s, verdict.measured_p99_interval, predicted.p99_s, predicted.p99_interval),
    )
    table = Table(
        caption="",
        columns=(text("latency"), number("measured live"), number("predicted")),
        rows=tuple(
            (name, ms_with_interval(live_s, live), ms_with_interval(law_s, law))
            for name, live_s, live, law_s, law in rows
        ),
    )
    return [Text(text=said), table]


def _doubts(caveats: Sequence[Caveat]) -> list[Part]:
    if not caveats:
        return []
    columns = (text("doubt"), text("what removes it"), text("code"))
    return [Table(caption="", columns=columns, rows=tuple((one.what, one.fix, one.code) for one in caveats))]
