"""The answer card: what to buy and how it runs, what it costs and what for, whether it holds, what is proved, how sure.

The decision a reader would question: the nearest other choices stand on the card as well, with what they lack, since
whoever is to pay asks for them first.
"""

from dataclasses import dataclass
from decimal import Decimal

from loadplan.plan.reasons import loss_text
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.report.bill import bill_parts, cost_range_text, parts_text
from loadplan.report.findings import Findings, Provenance
from loadplan.report.outlook_text import chance_text
from loadplan.report.page import Tone
from loadplan.report.verdict_text import driven_text, proved_text, verdict_words
from loadplan.report.view import (
    counted,
    fleet_name,
    given_ms,
    gone_text,
    ms,
    objectives_text,
    p99_limit_s,
    percent,
    rate,
    setting_text,
    span_ms,
    usd,
)
from loadplan.service_check import machines_needed, time_spent

# What a run finds on its way, by its place in the findings.
_STAGES = (
    ("export", "the export"),
    ("bench", "the benchmark"),
    ("loads", "the live calibration runs"),
    ("fit", "the fit"),
    ("plan", "the plan"),
    ("verdict", "the live test of the plan"),
)
_STAGES_OF_SERVICE = (
    ("loads", "the live runs"),
    ("service", "the fit"),
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
    reached = [name for name in ("export", "bench", "loads", "fit", "service") if getattr(known, name) is not None]
    last = {"loads": "load", "service": "fit"}.get(reached[-1], reached[-1]) if reached else "scenario"
    return Answer(
        tone="bad" if provenance.failure else "doubt",
        icon="■",
        word="STOPPED" if provenance.failure else "NOT FINISHED",
        said=f"The last finished stage is {last}; there is no plan.",
        headline="No answer yet",
        bill=None,
        bill_said=None,
        facts=(("Asked", _asked(known)), *_of_service(known), ("Missing", _missing(known, provenance))),
        happened=provenance.failure,
    )


def _of_service(known: Findings) -> tuple[tuple[str, str], ...]:
    """What a running service carries, where nobody knows what machine it runs on; nothing where no rate holds."""
    service = known.service
    if service is None or service.capacity.usable_capacity_rps <= 0.0:
        return ()
    carries = f"{rate(service.capacity.usable_capacity_rps)} by one copy of it, {service.capacity.basis}"
    n = machines_needed(service.capacity, known.scenario)
    needed = "Nobody knows how many machines" if n is None else counted(n, "machine")
    return (("Carries", carries), ("Needed", f"{needed} like the one that it runs on, which nobody named"))


def _missing(known: Findings, provenance: Provenance) -> str:
    """What was not reached, and how to go on."""
    is_service = known.scenario.target is not None and known.scenario.model is None
    stages = _STAGES_OF_SERVICE if is_service else _STAGES
    names = [name for field, name in stages if getattr(known, field) is None]
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
    words = verdict_words(known.verdict, fleet, is_explained=provenance.failure is not None)
    parts = bill_parts(plan, fleet, known.scenario.plan)
    chance = None if plan.outlook is None else plan.outlook.chance
    return Answer(
        tone=words.tone,
        icon=words.icon,
        word=words.word,
        said=words.said,
        headline=headline(words.word, fleet),
        bill=f"{usd(fleet.usd_per_month)} a month",
        bill_said=cost_range_text(plan, fleet, known.scenario.plan),
        facts=(
            ("Asked", f"{_asked(known)}{_reserve(plan)}"),
            *(() if fleet.capacity.setting is None else (("Runs with", runs_with(fleet)),)),
            *(() if parts is None else (("The bill buys", parts_text(parts)),)),
            *_running(known),
            ("Predicted", _predicted(known, fleet)),
            ("Driven live", driven_text(known, known.verdict)),
            ("Proved", proved_text(known.verdict, fleet)),
            *(() if chance is None else (("How sure", f"that it holds: {chance_text(chance)}"),)),
            *(() if plan.loss is None else (("Survives", loss_text(plan.loss)),)),
            ("Next cheaper", _next_cheaper(plan, fleet)),
            *_runner_up(plan),
        ),
        happened=provenance.failure,
    )


def headline(word: str, fleet: Fleet) -> str:
    """What to buy; a fleet that no live run stands behind is only planned."""
    return f"{'' if word == 'PASS' else 'Planned: '}{fleet_name(fleet)}"


def _running(known: Findings) -> tuple[tuple[str, str], ...]:
    """What a request does in a running service, and what one copy of it carries."""
    service = known.service
    if service is None:
        return ()
    carried = f"one copy of it carries {rate(service.capacity.usable_capacity_rps)}, {service.capacity.basis}"
    return (("Service", f"{time_spent(service.fit)}; {carried}"),)


def runs_with(fleet: Fleet) -> str:
    """The settings of its servers, and how many run on each replica."""
    n = fleet.capacity.n_server_processes
    processes = "1 server process" if n == 1 else f"{n} server processes"
    return f"{setting_text(fleet.capacity.setting)}; {processes} on each replica"


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
