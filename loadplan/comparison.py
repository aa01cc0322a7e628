"""Two whole runs: what changed in the answer, why, and which of the measured figures really differ.

Money is `Decimal` in USD. Where both plans buy the same offer the difference of the bills is split among its causes
one after the other, in the order price, traffic, rules, and what a replica carries; the parts sum to the difference
exactly. What a replica carries follows from the model, the objectives, the shape of the traffic and the machine; where
none of those changed, it is the measurement that did.

The decision a reader would question: a measured figure that is another number is no change by itself. It is one where
a test says so, or where the intervals of both runs are apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np

from loadplan.bench.compare import CHANGE_ALLOWED_RATIO, BenchComparison, compare_benches
from loadplan.bench.records import BenchRun
from loadplan.errors import InputError, InvalidMeasurement, LoadplanError, ObjectiveMissed
from loadplan.load.records import LoadRun
from loadplan.load.verdict import response_times_s
from loadplan.plan.fleets.sizing import n_replicas_needed
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.report.findings import Findings
from loadplan.scenario.spec import PlanRules, Scenario
from loadplan.stats import Interval, ratio_test
from loadplan.trial import setting_capacity
from loadplan.units import usd_text
from loadplan.verify import verdict_word

Cause = Literal["model", "traffic", "objectives", "rules", "price", "machine", "measurement", "choice"]
Difference = Literal["higher", "lower", "same", "not comparable"]

_N_BATCHES = 10  # of a live run, whose means are compared: neighbours in time know of each other
_SAME_RATE_RATIO = 0.02
_ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one run says to buy."""

    run: str
    fleet: str | None  # such as `4 × aws/us-east-1/c7i.large/on_demand`; None: no plan, or nothing will do
    n_replicas: int | None
    usd_per_month: Decimal | None
    replica_rps: float | None  # what a replica is counted on to carry
    predicted_p99_s: float | None
    verdict: str  # PASS, FAIL, UNCLEAR, INVALID or NOT VERIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is otherwise in the second run."""

    cause: Cause
    what: str  # in a few words, from what to what
    usd_per_month: Decimal | None  # its part in the difference of the bills; None: it can't be told apart


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredChange:
    """One measured figure in both runs."""

    name: str
    ratio: float | None  # second over first; None: not comparable
    interval: Interval | None
    p_value: float | None  # None: judged by whether the intervals of both are apart
    difference: Difference
    why: str  # what was compared, or why it can't be


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """Two runs, the second against the first."""

    base: Answer
    head: Answer
    usd_per_month_more: Decimal | None  # None: one of them buys nothing
    changes: tuple[Change, ...]
    measured: tuple[MeasuredChange, ...]
    bench: BenchComparison | None  # None: nothing that was benchmarked in both
    bench_absent: str | None  # why


def compare_runs(
    base: Findings, head: Findings, *, names: tuple[str, str], allowed_ratio: float = CHANGE_ALLOWED_RATIO
) -> RunComparison:
    """What changed from one run to another, as far as both came.

    Args:
        base: the first run.
        head: the second run.
        names: what to call them.
        allowed_ratio: measured figures may differ by this share.
    """
    bench, absent = _benches(base, head, allowed_ratio)
    before, after = _fleet(base), _fleet(head)
    return RunComparison(
        base=_answer(base, names[0]),
        head=_answer(head, names[1]),
        usd_per_month_more=None if before is None or after is None else after.usd_per_month - before.usd_per_month,
        changes=tuple(_changes(base, head)),
        measured=tuple(one for one in (_capacity(base, head), _live(base, head, allowed_ratio)) if one is not None),
        bench=bench,
        bench_absent=absent,
    )


def dearer(comparison: RunComparison) -> LoadplanError | None:
    """A second plan that costs more, or buys nothing where the first did, as an error to raise."""
    more = comparison.usd_per_month_more
    if comparison.base.fleet is not None and comparison.head.fleet is None:
        what = "the second run has nothing to buy where the first had"
    elif more is not None and more > 0:
        what = f"the second plan costs {usd_text(more)} a month more than the first"
    else:
        return None
    return ObjectiveMissed(what=what, where="compare", fix="look at what changed, and whether that is meant")


def _answer(known: Findings, name: str) -> Answer:
    fleet = _fleet(known)
    return Answer(
        run=name,
        fleet=None if fleet is None else " + ".join(f"{one.n_replicas} × {one.offer.name}" for one in fleet.items),
        n_replicas=None if fleet is None else sum(item.n_replicas for item in fleet.items),
        usd_per_month=None if fleet is None else fleet.usd_per_month,
        replica_rps=None if fleet is None else fleet.capacity.usable_capacity_rps_low,
        predicted_p99_s=None if fleet is None else fleet.predicted_p99_s,
        verdict="NOT VERIFIED" if known.verdict is None else verdict_word(known.verdict),
    )


def _fleet(known: Findings) -> Fleet | None:
    return None if known.plan is None else known.plan.recommended


def _changes(base: Findings, head: Findings) -> list[Change]:
    """What the user changed first, then what follows from it and from measuring again."""
    before, after = base.scenario, head.scenario
    parts = _parts(base, head)
    changes = []
    if before.traffic.peak_rps != after.traffic.peak_rps:
        said = f"peak {_from_to(before.traffic.peak_rps, after.traffic.peak_rps)} requests/s"
        changes.append(Change(cause="traffic", what=said, usd_per_month=parts.get("traffic")))
    shape = [
        name
        for name in ("arrivals", "rows_per_request", "classes", "week_shares", "growth_per_month_ratio")
        if getattr(before.traffic, name) != getattr(after.traffic, name)
    ]
    if shape:
        said = ", ".join(name.replace("_", " ") for name in shape)
        changes.append(Change(cause="traffic", what=f"other {said}", usd_per_month=None))
    if before.objectives != after.objectives:
        changes.append(Change(cause="objectives", what="other objectives", usd_per_month=None))
    if before.serving != after.serving:
        changes.append(Change(cause="rules", what="other settings to choose from", usd_per_month=None))
    if before.plan != after.plan:
        changes.append(Change(cause="rules", what=_rules(before, after), usd_per_month=parts.get("rules")))
    if base.machine.fingerprint != head.machine.fingerprint:
        said = f"measured on {base.machine.cpu_model}, now on {head.machine.cpu_model}"
        changes.append(Change(cause="machine", what=said, usd_per_month=None))
    if (models := _models(base, head)) is not None:
        changes.append(Change(cause="model", what=models, usd_per_month=None))
    return [*changes, *_consequences(base, head, changes, parts)]


def _consequences(base: Findings, head: Findings, changes: Sequence[Change], parts: dict[str, Decimal]) -> list[Change]:
    """Of prices, of what a replica carries, and of another choice."""
    before, after = _fleet(base), _fleet(head)
    if before is None or after is None:
        return []
    names = [[item.offer.name for item in fleet.items] for fleet in (before, after)]
    if names[0] != names[1]:
        other = Change(cause="choice", what=_other_choice(base.plan, head.plan), usd_per_month=None)
        return [*_new_prices(before, head.plan), other]
    found = [
        Change(
            cause="price",
            what=f"{now.offer.name} {_from_to(was.offer.usd_per_hour, now.offer.usd_per_hour)} USD an hour",
            usd_per_month=parts.get("price"),
        )
        for was, now in zip(before.items, after.items, strict=True)
        if was.offer.usd_per_hour != now.offer.usd_per_hour
    ]
    was_rps, is_rps = before.capacity.usable_capacity_rps_low, after.capacity.usable_capacity_rps_low
    if was_rps != is_rps:
        known: list[Cause] = [
            one.cause
            for one in changes
            if one.cause in {"model", "objectives", "machine"} or one.what.startswith("other")
        ]
        because = f", which follows from {' and '.join(dict.fromkeys(known))}" if known else ""
        found.append(
            Change(
                cause=known[0] if len(set(known)) == 1 else "measurement",
                what=f"a replica carries {_from_to(was_rps, is_rps)} requests/s{because}",
                usd_per_month=parts.get("capacity"),
            )
        )
    return found


def _parts(base: Findings, head: Findings) -> dict[str, Decimal]:
    """The difference of the bills by cause; empty where it can't be split.

    With n(peak, capacity, rules) replicas at a price p for h hours: first p changes, then the peak, then the rules with
    h, and what is left is due to the capacity.
    """
    before, after = _fleet(base), _fleet(head)
    if before is None or after is None or base.plan is None or head.plan is None:
        return {}
    if len(before.items) != 1 or [i.offer.name for i in before.items] != [i.offer.name for i in after.items]:
        return {}
    (was,), (now,) = before.items, after.items
    rules, new_rules = base.scenario.plan, head.scenario.plan
    if before.capacity.usable_capacity_rps_low <= 0.0 or _n_needed(before, base.plan.peak_rps, rules) != was.n_replicas:
        return {}  # something else decided the count
    hours, new_hours = base.plan.hours_per_month, head.plan.hours_per_month
    by_price = now.offer.usd_per_hour * was.n_replicas * hours
    by_traffic = now.offer.usd_per_hour * _n_needed(before, head.plan.peak_rps, rules) * hours
    by_rules = now.offer.usd_per_hour * _n_needed(before, head.plan.peak_rps, new_rules) * new_hours
    return {
        "price": by_price - before.usd_per_month,
        "traffic": by_traffic - by_price,
        "rules": by_rules - by_traffic,
        "capacity": after.usd_per_month - by_rules,
    }


def _n_needed(fleet: Fleet, peak_rps: float, rules: PlanRules) -> int:
    """Replicas of this fleet's kind for another peak or by other rules."""
    one = fleet.capacity
    return n_replicas_needed(peak_rps, one.usable_capacity_rps_low, rules=rules, rungs=one.rungs) + one.n_more


def _rules(before: Scenario, after: Scenario) -> str:
    names = [
        name for name in before.plan.__dataclass_fields__ if getattr(before.plan, name) != getattr(after.plan, name)
    ]
    return "; ".join(
        f"{name.replace('_', ' ')} {_from_to(getattr(before.plan, name), getattr(after.plan, name))}" for name in names
    )


def _models(base: Findings, head: Findings) -> str | None:
    """Which variants are other files; None where none is, or one of the runs has none."""
    if base.export is None or head.export is None:
        return None
    before = {model.variant: model.sha256 for model in base.export.models}
    after = {model.variant: model.sha256 for model in head.export.models}
    said = [
        *(f"{name} is another file" for name in before if name in after and before[name] != after[name]),
        *(f"{name} is gone" for name in before if name not in after),
        *(f"{name} is new" for name in after if name not in before),
    ]
    return ", ".join(said) or None


def _other_choice(before: Plan | None, after: Plan | None) -> str:
    """Why the first choice lost in the second run, where that stands among its runners-up."""
    first, second = (plan.recommended if plan is not None else None for plan in (before, after))
    if first is None or second is None or after is None:
        return "another fleet"
    name = first.items[0].offer.name
    lost = next((one for one in after.runners_up if one.items[0].offer.name == name), None)
    said = f"{second.items[0].offer.name} in place of {name}"
    if lost is None:
        return said
    return f"{said}, which would now cost {usd_text(lost.usd_per_month)}: {lost.reason}"


def _new_prices(before: Fleet, after: Plan | None) -> list[Change]:
    """Of what the first run bought, as far as the second plan names the offer at all."""
    fleets = () if after is None else (*((after.recommended,) if after.recommended else ()), *after.runners_up)
    now = {item.offer.name: item.offer.usd_per_hour for fleet in fleets for item in fleet.items}
    return [
        Change(
            cause="price",
            what=f"{one.offer.name} {_from_to(one.offer.usd_per_hour, now[one.offer.name])} USD an hour",
            usd_per_month=None,
        )
        for one in before.items
        if now.get(one.offer.name, one.offer.usd_per_hour) != one.offer.usd_per_hour
    ]


def _benches(base: Findings, head: Findings, allowed_ratio: float) -> tuple[BenchComparison | None, str | None]:
    if base.bench is None or head.bench is None:
        return None, "one of the runs has no benchmark"
    if _is_same(base.bench, head.bench):
        return None, "both runs rest on the same benchmark"
    try:
        return compare_benches(base.bench, head.bench, allowed_ratio=allowed_ratio), None
    except (InputError, InvalidMeasurement) as error:  # such as single visits
        return None, error.what


def _is_same(base: BenchRun, head: BenchRun) -> bool:
    """Whether it is one sweep, which a later run took over."""
    pairs = list(zip(base.rounds, head.rounds, strict=False))
    return len(base.rounds) == len(head.rounds) and all(
        np.array_equal(was.service_times_s, now.service_times_s) for was, now in pairs
    )


def _capacity(base: Findings, head: Findings) -> MeasuredChange | None:
    """What one server process carries with the setting that the first run plans."""
    fleet, name = _fleet(base), "usable capacity of a server process"
    setting = None if fleet is None else fleet.capacity.setting
    if setting is None or base.fit is None or head.fit is None:
        return None
    fits = (base.fit, head.fit)
    if not all(any(one.setting == setting and one.usable_capacity_rps > 0.0 for one in fit.capacities) for fit in fits):
        return _not_comparable(name, "the planned setting of the first run carries nothing in one of them")
    was, now = (setting_capacity(fit, setting) for fit in fits)
    difference: Difference = "same"
    if now.usable_capacity_rps_low > was.usable_capacity_rps_high:
        difference = "higher"
    elif now.usable_capacity_rps_high < was.usable_capacity_rps_low:
        difference = "lower"
    return MeasuredChange(
        name=name,
        ratio=now.usable_capacity_rps / was.usable_capacity_rps,
        interval=Interval(
            low=now.usable_capacity_rps_low / was.usable_capacity_rps_high,
            high=now.usable_capacity_rps_high / max(was.usable_capacity_rps_low, 1e-9),
            confidence_ratio=0.9,
        ),
        p_value=None,
        difference=difference,
        why="by whether the intervals of both fits are apart",
    )


def _live(base: Findings, head: Findings, allowed_ratio: float) -> MeasuredChange | None:
    """The mean response time of the verifications, where both drove the same."""
    name = "response time when driven live"
    was, now = base.verification, head.verification
    if was is None or now is None:
        return None
    if not (was.verdict.valid and now.verdict.valid):
        return _not_comparable(name, "one of the live runs is invalid")
    if was.spec.setting != now.spec.setting:
        return _not_comparable(name, "they drove other settings")
    rates = was.spec.offered_rate_rps, now.spec.offered_rate_rps
    if abs(rates[1] - rates[0]) > _SAME_RATE_RATIO * rates[0]:
        return _not_comparable(name, f"they were driven at {rates[0]:,.0f} and {rates[1]:,.0f} requests/s")
    means = [_batch_means_s(run) for run in (was, now)]
    if means[0] is None or means[1] is None:
        return _not_comparable(name, "one of the live runs has too few answers")
    test = ratio_test(means[0], means[1], allowed_ratio=allowed_ratio)
    difference: Difference = "same" if test.p_value >= _ALPHA else "higher" if test.ratio > 1.0 else "lower"
    return MeasuredChange(
        name=name,
        ratio=test.ratio,
        interval=test.interval,
        p_value=test.p_value,
        difference=difference,
        why=f"Welch's test on {_N_BATCHES} batch means of each, for a change beyond {allowed_ratio:.1%}",
    )


def _batch_means_s(run: LoadRun) -> "np.ndarray[tuple[int], np.dtype[np.float64]] | None":
    times_s = response_times_s(run)
    if times_s.size < 10 * _N_BATCHES:
        return None
    return np.array([part.mean() for part in np.array_split(times_s, _N_BATCHES)])


def _not_comparable(name: str, why: str) -> MeasuredChange:
    return MeasuredChange(name=name, ratio=None, interval=None, p_value=None, difference="not comparable", why=why)


def _from_to(before: object, after: object) -> str:
    return f"{_said(before)} → {_said(after)}"


def _said(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000.0 else f"{value:,.0f}"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
