"""The answer card: what to buy, what it costs, whether it holds, what is proved, and the nearest other choice.

The decision a reader would question: the word at the top is about the live run, not about the plan, since a plan that
nobody drove is a guess with decimals. An invalid run shows no latency at all.
"""

from dataclasses import dataclass
from decimal import Decimal

from loadplan.plan.reasons import loss_text
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.report.bill import cost_range_text
from loadplan.report.findings import Findings, Provenance
from loadplan.report.page import Tone
from loadplan.report.view import (
    counted,
    fleet_name,
    given_ms,
    gone_text,
    ms,
    ms_with_interval,
    objectives_text,
    p99_limit_s,
    percent,
    rate,
    span_ms,
    types_text,
    usd,
)
from loadplan.verify import Verdict, is_unclear, unclear_bounds

# What a run finds on its way, by its place in the findings.
_STAGES = (
    ("export", "the export"),
    ("bench", "the benchmark"),
    ("loads", "the live calibration runs"),
    ("fit", "the fit"),
    ("plan", "the plan"),
    ("verdict", "the live test of the plan"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The card."""

    tone: Tone
    icon: str
    word: str
    said: str  # what the word means here, in one sentence
    headline: str
    bill: str | None
    bill_said: str | None
    facts: tuple[tuple[str, str], ...]
    happened: str | None  # what stopped the run or went wrong


def answer_of(known: Findings, provenance: Provenance) -> Answer:
    """The answer, as far as the run came."""
    plan = known.plan
    if plan is None:
        return _unfinished(known, provenance)
    if plan.recommended is None:
        return _nothing_will_do(known, plan, provenance)
    return _plan_answer(known, plan, plan.recommended, provenance)


def _unfinished(known: Findings, provenance: Provenance) -> Answer:
    reached = [name for name in ("export", "bench", "loads", "fit") if getattr(known, name) is not None]
    last = {"loads": "load"}.get(reached[-1], reached[-1]) if reached else "scenario"
    return Answer(
        tone="bad" if provenance.failure else "doubt",
        icon="■",
        word="STOPPED" if provenance.failure else "NOT FINISHED",
        said=f"The last finished stage is {last}; there is no plan.",
        headline="No answer yet",
        bill=None,
        bill_said=None,
        facts=(("Asked", _asked(known)), ("Missing", _missing(known, provenance))),
        happened=provenance.failure,
    )


def _missing(known: Findings, provenance: Provenance) -> str:
    """What was not reached, and how to go on."""
    names = [name for field, name in _STAGES if getattr(known, field) is None]
    return f"{', '.join(names[:-1])} and {names[-1]}; `{provenance.command}` goes on from there"


def _nothing_will_do(known: Findings, plan: Plan, provenance: Provenance) -> Answer:
    facts = [("Asked", _asked(known)), ("Binding", plan.binding_constraint or "unknown")]
    if plan.nearest_miss is not None:
        miss = plan.nearest_miss
        facts.append(("Nearest miss", f"{fleet_name(miss)}, {usd(miss.usd_per_month)} a month: {miss.reason}"))
    return Answer(
        tone="bad",
        icon="✗",
        word="NOTHING WILL DO",
        said="No fleet that the scenario allows meets every objective.",
        headline="Nothing to buy",
        bill=None,
        bill_said=None,
        facts=tuple(facts),
        happened=provenance.failure,
    )


def _plan_answer(known: Findings, plan: Plan, fleet: Fleet, provenance: Provenance) -> Answer:
    tone, icon, word, said = _verdict_words(known.verdict, fleet, is_explained=provenance.failure is not None)
    return Answer(
        tone=tone,
        icon=icon,
        word=word,
        said=said,
        headline=f"{'' if word == 'PASS' else 'Planned: '}{fleet_name(fleet)}",
        bill=f"{usd(fleet.usd_per_month)} a month",
        bill_said=cost_range_text(plan, fleet, known.scenario.plan),
        facts=(
            ("Asked", f"{_asked(known)}{_reserve(plan)}"),
            ("Predicted", _predicted(known, fleet)),
            ("Driven live", _driven(known, known.verdict)),
            ("Proved", _proved(known.verdict, fleet)),
            *(() if plan.loss is None else (("Survives", loss_text(plan.loss)),)),
            ("Next cheaper", _next_cheaper(plan, fleet)),
            *_runner_up(plan),
        ),
        happened=provenance.failure,
    )


def _verdict_words(  # noqa: PLR0911 -- one return per verdict
    verdict: Verdict | None, fleet: Fleet, *, is_explained: bool
) -> tuple[Tone, str, str, str]:
    if verdict is None:
        why = " (its capacity was given)" if fleet.capacity.setting is None else ""
        return "doubt", "?", "NOT VERIFIED", f"No live run has tested this plan{why}."
    if not verdict.valid:
        why = "" if is_explained else f": {'; '.join(verdict.invalid_reasons)}"
        return "doubt", "!", "INVALID", f"The live run proves nothing{why}."
    if is_unclear(verdict):
        return (
            "doubt",
            "?",
            "UNCLEAR",
            f"The live run can't tell whether the objective holds: {unclear_bounds(verdict)}.",
        )
    if not verdict.passed:
        return "bad", "✗", "FAIL", f"The planned setting missed the objective when driven live{_missed(verdict)}."
    if verdict.subject == "plan":
        return "good", "✓", "PASS", "The plan held when driven live on the recommended machine type."
    if not verdict.prediction_held:
        said = f"The objective held when driven live here, but the prediction missed; {_hardware(fleet)}."
        return "doubt", "✓", "PASS", said
    return "good", "✓", "PASS", f"The law behind the plan held when driven live here; {_hardware(fleet)}."


def _hardware(fleet: Fleet) -> str:
    """What the live run says nothing of."""
    if fleet.basis == "extrapolated":
        return "other hardware is extrapolated"
    were = "was" if len(fleet.items) == 1 else "were"
    return f"{types_text(fleet)} {were} measured with `loadplan profile`, not driven now"


def _missed(verdict: Verdict) -> str:
    """By how much, of every limit that was missed."""
    said = [
        f"{percent(attained.ratio)} of the requests{f' of {attained.class_name}' if attained.class_name else ''} were "
        f"within {given_ms(attained.limit.limit_s)}, "
        f"{percent(attained.limit.quantile)} must be"
        for attained in verdict.attainments
        if attained.outcome == "missed"
    ]
    if verdict.n_failed:
        said.append(f"{verdict.n_failed:,} of {verdict.n_requests:,} failed")
    return f": {'; '.join(said)}" if said else ""


def _asked(known: Findings) -> str:
    return f"{rate(known.scenario.traffic.peak_rps)} at the peak, {objectives_text(known.scenario)} (given)"


def _reserve(plan: Plan) -> str:
    gone = gone_text(plan)
    return f", with {f'{gone} gone and ' if gone else ''}{percent(plan.headroom_ratio)} kept free"


def _predicted(known: Findings, fleet: Fleet) -> str:
    if fleet.predicted_p99_s is None:
        share = percent(fleet.utilisation_ratio_degraded)
        return f"no latency: at the peak {share} of the {fleet.capacity.basis} capacity is used"
    span = ""
    if fleet.predicted_p99_s_low is not None and fleet.predicted_p99_s_high is not None:
        span = f" ({span_ms(fleet.predicted_p99_s_low, fleet.predicted_p99_s_high)})"
    limit_s = p99_limit_s(known.scenario)
    limit = f", limit {given_ms(limit_s)}" if limit_s is not None else ""
    return f"p99 {ms(fleet.predicted_p99_s)}{span} at the peak, {fleet.basis}{limit}"


def _driven(known: Findings, verdict: Verdict | None) -> str:
    if verdict is None:
        return "not yet; `loadplan verify RUN` does it"
    if not verdict.valid:
        return "invalid, so no latency is shown"
    where = f"{rate(verdict.offered_rate_rps)} on the machine at hand, {counted(verdict.n_requests, 'request')}"
    predicted = ms_with_interval(verdict.predicted.p99_s, verdict.predicted.p99_interval)
    limit_s = p99_limit_s(known.scenario)
    limit = f", limit {given_ms(limit_s)}" if limit_s is not None else ""
    if verdict.measured_p99_s is None:
        return f"{where}: too few right answers for a p99; predicted for it {predicted}"
    measured = ms_with_interval(verdict.measured_p99_s, verdict.measured_p99_interval)
    return f"p99 {measured} measured at {where}; predicted for it {predicted}{limit}"


def _proved(verdict: Verdict | None, fleet: Fleet) -> str:
    here = f"{types_text(fleet)} {'is' if len(fleet.items) == 1 else 'are'} {fleet.basis}"
    if verdict is None or not verdict.valid:
        return f"nothing by a live run; the capacity of {here}"
    if is_unclear(verdict):
        return f"neither that the objective holds at the planned share of capacity nor that it doesn't; {here}"
    if not verdict.passed:
        return f"that the objective is missed at the planned share of capacity; {here}"
    share = percent(verdict.utilisation_ratio)
    if verdict.subject == "plan":
        return f"the plan, at {share} of a server's capacity on this very machine type"
    if fleet.basis != "extrapolated":
        speed = "by the laws in its profile"
    else:
        base = f" as the {fleet.capacity.measured_on} that was measured" if fleet.capacity.measured_on else ""
        setting = fleet.capacity.setting
        part = "core" if setting is None or setting.execution.is_on_cpu else "server on its GPU"
        of_it = "it" if len(fleet.items) == 1 else fleet.items[0].offer.instance_type.name
        speed = f"a {part} of {of_it} is taken to be {fleet.capacity.speed_ratio:.2f} × as fast{base}"
    what = "the law" if verdict.prediction_held else "that the objective holds here, not the law"
    return f"{what}, at {share} of this machine's capacity; {here} ({speed})"


def _next_cheaper(plan: Plan, fleet: Fleet) -> str:
    if len(fleet.items) > 1:
        return "none: this is the cheapest mix of the types compared that bears the loss of its largest replicas"
    item = fleet.items[0]
    if item.n_replicas <= 1:
        return "none: one replica is the least that can be bought"
    usd_fewer = fleet.usd_per_month * (item.n_replicas - 1) / Decimal(item.n_replicas)
    why = (plan.binding_constraint or "").removeprefix(f"{item.n_replicas} replicas: ")
    return f"{item.n_replicas - 1} × the same for {usd(usd_fewer)}, lost: {why}"


def _runner_up(plan: Plan) -> tuple[tuple[str, str], ...]:
    if not plan.runners_up:
        return ()
    other = plan.runners_up[0]
    return (("Runner-up", f"{fleet_name(other)}, {usd(other.usd_per_month)}: {other.reason}"),)
