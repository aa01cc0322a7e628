"""The one line that says why a fleet won, why another one lost, and why nothing fewer would do.

Money is shown in whole cents, rates in requests per second. The decision a reader would question: a fleet within
5 % of the winner's cost is called a near-tie, since no capacity here is known better than that.
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from loadplan.fit.records import Binding
from loadplan.plan.fleets.candidate import Candidate, carried_by
from loadplan.plan.fleets.sizing import n_gone, n_replicas_for_peak
from loadplan.plan.records.fleet import Fleet
from loadplan.plan.records.loss import LossOutcome
from loadplan.scenario.spec import PlanRules
from loadplan.slo import LatencyLimit
from loadplan.units import usd_text

NEAR_TIE_RATIO = Decimal("0.05")


def why_not_fewer(candidate: Candidate, fleet: Fleet, *, peak_rps: float, rules: PlanRules) -> str:
    """What fails with one replica fewer: the scenario's minimum, the spares, or the traffic."""
    n_fewer = fleet.items[0].n_replicas - 1
    n_for_peak = n_replicas_for_peak(peak_rps, candidate.sizing_rps, rules=rules, rungs=candidate.capacity.rungs)
    gone = _gone(n_fewer, rules)
    if candidate.capacity.n_more and n_fewer >= n_for_peak:
        return f"{n_fewer} would carry the peak{gone}, but take too long to recover from that loss"
    if n_fewer >= n_for_peak:
        return f"the scenario asks for at least {rules.n_min_replicas} replicas; {n_for_peak} would carry the peak"
    if n_fewer <= n_gone(n_fewer, rules):
        if n_fewer == 0:
            return "it takes one replica to serve anything"
        return f"one replica fewer would leave none{gone}"
    carried = carried_by(candidate, n_fewer, rules=rules)
    return (
        f"{n_fewer} would carry only {rate_text(rounded_down(carried))} of {rate_text(peak_rps)} requests per second"
        f"{gone} and {100 * rules.headroom_ratio:.0f} % kept free"
    )


def why_won(fleet: Fleet, rivals: Sequence[Fleet], not_fewer: str) -> str:
    """The winner's line: of how many it is the cheapest, how close the next ones are, and why not fewer replicas."""
    binds = what_binds(fleet.capacity.binding) + how_it_runs(fleet.capacity.burst)
    if not rivals:
        return f"the only instance type that meets every objective: {not_fewer}{binds}"
    n_near = sum(is_near_tie(rival, fleet) for rival in rivals)
    near = f"; near-ties: {n_near} of the others cost at most 5 % more" if n_near else ""
    return f"cheapest of {len(rivals) + 1} instance types that meet every objective: {not_fewer}{binds}{near}"


def why_lost(fleet: Fleet, winner: Fleet, not_fewer: str) -> str:
    """A runner-up's line: what it costs more, or by which rule it lost a tie."""
    dearer = fleet.usd_per_month - winner.usd_per_month
    if dearer == 0:
        return f"costs the same, {_tie_break(fleet, winner)}"
    near = "near-tie: " if is_near_tie(fleet, winner) else ""
    n_replicas = fleet.items[0].n_replicas
    needs = f"needs {n_replicas} replica{'' if n_replicas == 1 else 's'}"
    runs = how_it_runs(fleet.capacity.burst)
    return f"{near}{usd_text(dearer)} a month dearer{_share(dearer, winner)}: {needs}, {not_fewer}{runs}"


def why_mixed(mix: Fleet, uniform: Fleet) -> str:
    """What a fleet of several types saves."""
    saved = uniform.usd_per_month - mix.usd_per_month
    return (
        f"{usd_text(saved)} a month ({_percent(saved / uniform.usd_per_month)}) cheaper than the best fleet of one "
        "type, requests shared in proportion to what each replica carries"
    )


def why_lost_to_mix(uniform: Fleet, mix: Fleet) -> str:
    """The line of the best fleet of one type where several types are allowed and cheaper."""
    dearer = uniform.usd_per_month - mix.usd_per_month
    near = "near-tie: " if is_near_tie(uniform, mix) else ""
    return f"{near}{usd_text(dearer)} a month dearer{_share(dearer, mix)}: the best fleet of one type"


def is_near_tie(fleet: Fleet, winner: Fleet) -> bool:
    """Whether a fleet costs at most 5 % more than the winner."""
    return fleet.usd_per_month <= winner.usd_per_month * (1 + NEAR_TIE_RATIO)


def what_binds(binding: Binding | None) -> str:
    """Which limit a server comes nearest to where classes have limits of their own; nothing where that isn't known."""
    if binding is None:
        return ""
    if binding.limit is None:
        of = "all requests" if binding.class_name is None else f"the class {binding.class_name}"
        return f"; the share of {of} that may fail binds"
    of = " of all requests" if binding.class_name is None else ""
    return f"; the {limit_words(binding.limit, binding.class_name)}{of} binds"


def how_it_runs(burst: Literal["baseline", "surplus"] | None) -> str:
    """What is to be known of a burstable fleet in its one line; nothing of any other."""
    match burst:
        case "baseline":
            return "; planned at its baseline"
        case "surplus":
            return "; surplus credits are in its price"
        case None:
            return ""


def limit_words(limit: LatencyLimit, class_name: str | None) -> str:
    """Such as `p99 of at most 50 ms`, or `p95 of at most 200 ms for the class upload`."""
    of = "" if class_name is None else f" for the class {class_name}"
    return f"p{100 * limit.quantile:g} of at most {1e3 * limit.limit_s:g} ms{of}"


def loss_text(loss: LossOutcome) -> str:
    """What the loss of the spares does, in one line."""
    lost = f"{loss.n_lost} of {loss.n_replicas} lost at the peak"
    failed = f"{100 * loss.failed_ratio:.2g} % of the requests of {loss.watched_s:.3g} s fail"
    if loss.recovered_after_s is None:
        held = "the objectives don't hold again in that time"
    elif loss.recovered_after_s == 0.0:
        held = "every objective holds all the while"
    else:
        held = f"every objective holds again after {loss.recovered_after_s:.3g} s"
    return f"{lost}: {failed}, {held}; {loss.allowed_s:g} s are allowed (simulated)"


def rate_text(rate_rps: float) -> str:
    """Requests per second with four digits, whole from a hundred on."""
    return f"{rate_rps:,.0f}" if rate_rps >= 100 else f"{rate_rps:.4g}"


def rounded_down(rate_rps: float) -> float:
    """So that what falls short never reads as if it were enough."""
    return math.floor(rate_rps) if rate_rps >= 100 else math.floor(100 * rate_rps) / 100


def _tie_break(fleet: Fleet, winner: Fleet) -> str:
    if fleet.items[0].n_replicas != winner.items[0].n_replicas:
        return f"but takes {fleet.items[0].n_replicas} replicas where {winner.items[0].n_replicas} do"
    if fleet.utilisation_ratio != winner.utilisation_ratio:
        return "but keeps less headroom"
    return "and is as good; the tie is broken by name"


def _gone(n_replicas: int, rules: PlanRules) -> str:
    n = n_gone(n_replicas, rules)
    if n > rules.n_spare_replicas:
        return f" with a zone of {n} gone"
    return f" with {n} gone" if n else ""


def _share(dearer: Decimal, than: Fleet) -> str:
    """In percent; nothing beside machines of one's own that cost nothing any more."""
    return f" ({_percent(dearer / than.usd_per_month)})" if than.usd_per_month else ""


def _percent(share: Decimal) -> str:
    return f"{100 * share:.0f} %" if share >= Decimal("0.1") else f"{100 * share:.1f} %"
