"""Does a fleet bear the loss of its spares, or of a zone? Simulated for the fleet that is about to be recommended.

It is simulated on the machine that was measured, at the share of its capacity that the plan uses with the spares gone:
as `verify` drives it. All spares, or all of a zone where that is asked for, are lost at once and nothing replaces them.
The decision a reader would question: a fleet that takes too long to recover gets one replica more, up to three; where
that doesn't help either, the plan stays as it was and a caveat says so. Seconds; requests per second.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from loadplan.caveat import Caveat
from loadplan.fit.fleet_capacity import bear_losses, planned_fleet
from loadplan.fit.fleet_ladder import n_connections
from loadplan.fit.fleet_records import Loss, Retries
from loadplan.fit.records import CapacityFit, SettingCapacity
from loadplan.plan.fleets.candidate import Candidate, fleet_of
from loadplan.plan.fleets.ranking import Ranked, best_of_each_type
from loadplan.plan.fleets.sizing import n_gone
from loadplan.plan.records.loss import LossOutcome
from loadplan.scenario.spec import PlanRules, Scenario

_LOST_AT_S = 5.0  # when the fleet is under way
_LEAST_WATCHED_S = 5.0  # after the loss is detected
# Of one run: what is more is cut off the processes of a replica, then off the run. Beyond the second figure planning
# would take many seconds, so nothing is simulated.
_REQUESTS_WANTED, _REQUESTS_AT_MOST = 1_500_000, 4_000_000
_MORE_AT_MOST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What could carry the traffic, with replicas added until the cheapest bears the loss of its spares."""

    candidates: tuple[Candidate, ...]
    ranked: list[Ranked]
    loss: LossOutcome | None  # of the first; None: nothing is spare, or the loss was not simulated


def settle_losses(candidates: Sequence[Candidate], *, peak_rps: float, rules: PlanRules) -> Settled:
    """Rank, let the cheapest fleet lose its spares, add what it takes to bear that, until the cheapest one does."""
    known: dict[tuple[str, str | None], LossOutcome | None] = {}
    every = list(candidates)
    while True:
        ranked = best_of_each_type(every, peak_rps=peak_rps, rules=rules)
        if not ranked or n_gone(1, rules) == 0:
            return Settled(candidates=tuple(every), ranked=ranked, loss=None)
        best, n_replicas = ranked[0].candidate, ranked[0].fleet.items[0].n_replicas
        name = (best.offer.name, best.capacity.burst)
        if name not in known:
            n_more, known[name] = _more_needed(best, n_replicas, peak_rps, rules)
            if n_more:
                grown = replace(best, capacity=replace(best.capacity, n_more=n_more))
                every[next(i for i, one in enumerate(every) if one is best)] = grown
                continue
        return Settled(candidates=tuple(every), ranked=ranked, loss=known[name])


def _more_needed(
    candidate: Candidate, n_replicas: int, peak_rps: float, rules: PlanRules
) -> tuple[int, LossOutcome | None]:
    """By how many replicas it has to grow to bear the loss, and what the loss then does."""

    def lose(n: int) -> LossOutcome | None:
        return candidate.lose(n, fleet_of(candidate, n, peak_rps=peak_rps, rules=rules).utilisation_ratio_degraded)

    n_available = candidate.offer.n_available
    n_most = _MORE_AT_MOST if n_available is None else min(_MORE_AT_MOST, n_available - n_replicas)
    first = outcome = lose(n_replicas)
    n_more = 0
    while outcome is not None and not outcome.is_borne:
        if n_more == n_most:
            return 0, first
        n_more += 1
        outcome = lose(n_replicas + n_more)
    return n_more, outcome


def lose_spares(
    fit: CapacityFit, one: SettingCapacity, scenario: Scenario, *, n_replicas: int, n_processes: int, rate_rps: float
) -> LossOutcome | None:
    """What happens to a fleet on the machine that was fitted when its spares are lost; None where it is too large.

    Args:
        fit: with a balancer, or nothing is simulated.
        one: the setting, and what one process of it carries.
        scenario: how a loss is found out, and the objectives.
        n_replicas: with the spares.
        n_processes: of each replica.
        rate_rps: of all requests together.
    """
    rules, n_lost = scenario.fleet.loss, n_gone(n_replicas, scenario.plan)
    if fit.balancer is None or n_lost == 0 or rate_rps <= 0.0:
        return None
    until_recovered_s = rules.recovers_within_s - rules.detected_after_s
    run_s = _LOST_AT_S + rules.recovers_within_s
    shown = max(1, min(n_processes, int(n_processes * _REQUESTS_WANTED / (rate_rps * run_s))))
    rate_rps *= shown / n_processes
    least_s = min(_LEAST_WATCHED_S, until_recovered_s)
    if rate_rps * (_LOST_AT_S + rules.detected_after_s + least_s) > _REQUESTS_AT_MOST:
        return None
    affordable_s = _REQUESTS_WANTED / rate_rps - _LOST_AT_S - rules.detected_after_s
    watched_s = max(min(until_recovered_s, affordable_s), least_s)
    setting = replace(one.setting, serving=replace(one.setting.serving, n_server_processes=shown))
    losses = tuple(
        Loss(
            at_s=_LOST_AT_S,
            replica=i,
            detected_after_s=rules.detected_after_s,
            back_after_s=math.inf,
            noticed_after_s=rules.noticed_after_s,
        )
        for i in range(n_lost)
    )
    fleet = replace(
        planned_fleet(fit, setting, n_replicas=n_replicas, balancing=fit.balancer.balancing),
        n_connections=n_connections(fit.balancer, n_processes=shown, n_replicas=n_replicas),
        retries=Retries(n_most=rules.n_retries, backoff_s=rules.retry_backoff_s),
        losses=losses,
    )
    effect = bear_losses(fit, setting, fleet, scenario.objectives, rate_rps=rate_rps, watched_s=watched_s)
    return LossOutcome(
        n_lost=n_lost,
        n_replicas=n_replicas,
        failed_ratio=effect.n_failed / max(effect.n_sent, 1),
        tried_again_ratio=effect.n_tried_again / max(effect.n_sent, 1),
        recovered_after_s=effect.recovered_after_s if math.isfinite(effect.recovered_after_s) else None,
        watched_s=rules.detected_after_s + watched_s,
        allowed_s=rules.recovers_within_s,
    )


def loss_caveats(loss: LossOutcome | None, *, is_simulated: bool, rules: PlanRules) -> Iterable[Caveat]:
    """A loss that isn't borne in the time allowed, and one that could not be simulated."""
    if loss is not None and not loss.is_borne:
        yield Caveat(
            code="plan.loss_not_borne",
            what=f"with {loss.n_lost} replicas lost at the peak the objectives don't hold again within "
            f"{loss.allowed_s:g} s, nor with up to {_MORE_AT_MOST} replicas more, as far as there are any",
            fix="detect losses sooner, let clients try again later, or allow fleet.loss.recovers_within_s more",
            number=loss.allowed_s,
        )
    if loss is None and is_simulated and n_gone(1, rules):
        yield Caveat(
            code="plan.loss_not_simulated",
            what="the fleet is too large for the loss of its spares to be simulated; that the rest carries the peak is "
            "known, how long recovery takes is not",
            fix="plan a part of the traffic, or smaller fleets",
        )
