"""Whether a recommended fleet bears the loss of its spares, and what it says when it doesn't."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import partial
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadplan.catalog.price import Catalog, Offer
from loadplan.execution import Balancing
from loadplan.fit.capacity import with_capacities
from loadplan.fit.fleet_capacity import planned_fleet
from loadplan.fit.fleet_ladder import n_connections, with_fleets
from loadplan.fit.records import CapacityFit
from loadplan.fit.simulate_fleet import offer as offered_requests
from loadplan.plan.fleets.loss import settle_losses
from loadplan.plan.fleets.ranking import best_of_each_type
from loadplan.plan.reasons import loss_text, why_not_fewer
from loadplan.plan.records.fleet import Plan
from loadplan.plan.records.loss import LossOutcome
from loadplan.plan.search import plan_fleet, searching
from loadplan.scenario.spec import FleetRules, LossRules, Scenario
from loadplan.scenario.traffic import schedule
from loadplan.slo import LatencyLimit, Slo
from tests.theory.test_fleet_rule import PlainFleet

Settle = Callable[..., tuple[int, str, bool]]

LIMIT_S = 0.005
TODAY = date(2026, 11, 24)


@pytest.fixture(scope="module")
def question(scenario: Scenario) -> Scenario:
    """p99 within 5 ms, N+1, a fifth kept free."""
    return replace(
        scenario,
        objectives=(Slo(limits=(LatencyLimit(quantile=0.99, limit_s=LIMIT_S),), max_failed_ratio=0.001),),
        fleet=FleetRules(balancing="random", loss=LossRules(detected_after_s=2.0, recovers_within_s=12.0)),
    )


@pytest.fixture(scope="module")
def laws(fit: CapacityFit) -> CapacityFit:
    """A server of which an inference takes a millisecond and all else nothing, measured on the machine that is sold."""
    (law,) = fit.service_times
    return replace(
        fit,
        machine=replace(fit.machine, instance_type="aws/h.xlarge"),
        service_times=(replace(law, mean_s=(1e-3, 3e-3), mean_s_low=(1e-3, 3e-3), mean_s_high=(1e-3, 3e-3)),),
        overhead=replace(fit.overhead, request_s=0.0, response_s=0.0, batch_s=0.0),
        capacities=(),
    )


def planned(laws: CapacityFit, question: Scenario, catalog: Catalog) -> tuple[CapacityFit, Plan]:
    fit = with_fleets(with_capacities(laws, question), question)
    return fit, plan_fleet(fit=fit, scenario=question, catalog=catalog, as_of=TODAY)


def p99_with_spares_gone_s(laws: CapacityFit, asked: Scenario, catalog: Catalog) -> float:
    """Of what is recommended: request by request in plain Python, with connections dealt out at random."""
    fit, plan = planned(laws, asked, catalog)
    fleet = plan.recommended
    assert fleet is not None
    assert fleet.capacity.setting is not None
    assert fit.balancer is not None
    n_left = fleet.items[0].n_replicas - asked.plan.n_spare_replicas
    n_processes, balancing = fleet.capacity.n_server_processes, asked.fleet.balancing
    serving = replace(fleet.capacity.setting.serving, n_server_processes=n_processes)
    rest = replace(
        planned_fleet(fit, replace(fleet.capacity.setting, serving=serving), n_replicas=n_left, balancing=balancing),
        n_connections=n_connections(fit.balancer, n_processes=n_processes, n_replicas=n_left),
    )
    rng, peak_rps = np.random.default_rng(11), asked.traffic.peak_rps
    sent_s = schedule(asked.traffic.arrivals, rate_rps=peak_rps, duration_s=12_000 / peak_rps, rng=rng)
    ended_s = PlainFleet(offered_requests(sent_s, np.ones(sent_s.size, dtype=np.int64)), rest).run().ended_s
    return float(np.quantile((np.array(ended_s) - np.sort(sent_s))[1200:], 0.99))


@pytest.mark.parametrize(
    ("balancing", "peak_rps"), [("random", 2000.0), ("round_robin", 4500.0), ("least_outstanding", 900.0)]
)
def test_a_recommended_fleet_holds_in_a_second_simulation_with_its_spare_gone(
    laws: CapacityFit, question: Scenario, catalog: Catalog, balancing: Balancing, peak_rps: float
) -> None:
    asked = replace(
        question,
        traffic=replace(question.traffic, peak_rps=peak_rps),
        fleet=replace(question.fleet, balancing=balancing),
    )
    assert p99_with_spares_gone_s(laws, asked, catalog) <= LIMIT_S


@pytest.mark.nightly  # each question is fitted, planned and simulated twice
@given(
    peak_rps=st.floats(min_value=150.0, max_value=6000.0),
    balancing=st.sampled_from(get_args(Balancing)),
    n_spare=st.integers(min_value=0, max_value=3),
    headroom_ratio=st.floats(min_value=0.1, max_value=0.5),
    limit_s=st.floats(min_value=0.004, max_value=0.05),
)
@settings(max_examples=25)
def test_whatever_is_asked_the_recommended_fleet_holds_in_a_second_simulation(
    laws: CapacityFit,
    question: Scenario,
    catalog: Catalog,
    peak_rps: float,
    balancing: Balancing,
    n_spare: int,
    headroom_ratio: float,
    limit_s: float,
) -> None:
    asked = replace(
        question,
        objectives=(Slo(limits=(LatencyLimit(quantile=0.99, limit_s=limit_s),), max_failed_ratio=0.001),),
        traffic=replace(question.traffic, peak_rps=peak_rps),
        fleet=replace(question.fleet, balancing=balancing),
        plan=replace(question.plan, n_spare_replicas=n_spare, n_min_replicas=1, headroom_ratio=headroom_ratio),
    )
    assert p99_with_spares_gone_s(laws, asked, catalog) <= limit_s


def test_a_loss_fails_what_meets_the_lost_replica_twice_until_it_is_found_out(
    laws: CapacityFit, question: Scenario, catalog: Catalog
) -> None:
    """At random behind n replicas: each attempt meets it with 1 / n, and there are two, for 2 of the 12 s watched.

    The second comes 1.1 s after the first, so that of the last 1.1 s of the 2 s finds another replica.
    """
    _, plan = planned(laws, replace(question, traffic=replace(question.traffic, peak_rps=2000.0)), catalog)
    assert plan.recommended is not None
    assert plan.loss is not None
    n = plan.recommended.items[0].n_replicas
    assert plan.loss.n_replicas == n
    assert plan.loss.tried_again_ratio == pytest.approx(2.0 / n / 12.0, rel=0.1)
    assert plan.loss.failed_ratio == pytest.approx(0.9 / n**2 / 12.0, rel=0.2)
    assert plan.loss.recovered_after_s is not None
    assert 2.0 <= plan.loss.recovered_after_s <= 5.0
    assert plan.loss.is_borne


def test_nothing_is_lost_where_nothing_is_spare(laws: CapacityFit, question: Scenario, catalog: Catalog) -> None:
    _, plan = planned(laws, replace(question, plan=replace(question.plan, n_spare_replicas=0)), catalog)
    assert plan.loss is None
    assert not [one for one in plan.caveats if one.code.startswith("plan.loss")]


def outcome(n_replicas: int, recovered_after_s: float | None) -> LossOutcome:
    return LossOutcome(
        n_lost=1,
        n_replicas=n_replicas,
        failed_ratio=0.0123,
        tried_again_ratio=0.1,
        recovered_after_s=recovered_after_s,
        watched_s=30.0,
        allowed_s=20.0,
    )


@pytest.fixture
def settle(fit: CapacityFit, scenario: Scenario, catalog: Catalog, offer: Offer) -> Settle:
    """Replicas, why not fewer, and whether it is borne, where a loss is borne from so many replicas on."""

    def lose(name: str, n_least: float, n_replicas: int, _used: float) -> LossOutcome:
        return outcome(n_replicas, 12.0 if n_replicas >= n_least or name == "aws/z.xlarge" else None)

    def run(n_least: float, *, dearer: str = "0.11") -> tuple[int, str, bool]:
        other = replace(
            offer,
            instance_type=replace(offer.instance_type, name="z.xlarge"),
            usd_per_hour=Decimal(dearer),
        )
        offers = replace(catalog, offers=(offer, other))
        found = searching(fit=fit, catalog=offers, as_of=TODAY)(scenario)
        losing = [replace(one, lose=partial(lose, one.offer.type_name, n_least)) for one in found.candidates]
        settled = settle_losses(losing, peak_rps=2400.0, rules=scenario.plan)
        best = settled.ranked[0]
        assert settled.loss is not None
        why = why_not_fewer(best.candidate, best.fleet, peak_rps=2400.0, rules=scenario.plan)
        return best.fleet.items[0].n_replicas, f"{best.candidate.offer.type_name}: {why}", settled.loss.is_borne

    return run


def test_a_fleet_that_takes_too_long_to_recover_grows_and_says_why(
    settle: Settle,
) -> None:
    n = settle(0)[0]
    grown, why, is_borne = settle(n + 1, dearer="9")
    assert grown == n + 1
    assert why == f"aws/h.xlarge: {n} would carry the peak with 1 gone, but take too long to recover from that loss"
    assert is_borne


def test_another_type_wins_where_growing_makes_the_cheapest_dearer(
    settle: Settle,
) -> None:
    n, why, is_borne = settle(settle(0)[0] + 2)
    assert why.startswith("aws/z.xlarge")
    assert is_borne
    assert n == settle(0)[0]


def test_a_fleet_that_no_growth_helps_stays_as_it_was(settle: Settle) -> None:
    assert settle(math.inf, dearer="9")[::2] == (settle(0)[0], False)


def test_the_line_says_what_failed_and_when_it_was_over() -> None:
    assert loss_text(outcome(4, 12.0)) == (
        "1 of 4 lost at the peak: 1.2 % of the requests of 30 s fail, every objective holds again after 12 s; "
        "20 s are allowed (simulated)"
    )
    assert "don't hold again in that time" in loss_text(outcome(4, None))
    assert not outcome(4, 21.0).is_borne


def test_the_settled_candidates_are_ranked_as_any(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> None:
    candidates = searching(fit=fit, catalog=catalog, as_of=TODAY)(scenario).candidates
    settled = settle_losses(candidates, peak_rps=2400.0, rules=scenario.plan)
    assert settled.ranked == best_of_each_type(candidates, peak_rps=2400.0, rules=scenario.plan)
    assert settled.loss is None


def test_a_zone_is_lost_where_that_is_asked_for(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> None:
    # Five of 622 requests per second each carry 2,400 with a fifth kept free, so in two zones ten are needed.
    asked = replace(scenario, plan=replace(scenario.plan, n_zones=2, n_spare_replicas=0))
    candidates = searching(fit=fit, catalog=catalog, as_of=TODAY)(asked).candidates
    losing = [replace(one, lose=lambda n, _used: outcome(n, 12.0)) for one in candidates]
    settled = settle_losses(losing, peak_rps=2400.0, rules=asked.plan)
    assert settled.loss is not None
    assert settled.loss.n_replicas == settled.ranked[0].fleet.items[0].n_replicas == 10


def test_a_fleet_of_which_there_are_no_more_machines_stays_as_it_was(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    (found,) = searching(fit=fit, catalog=catalog, as_of=TODAY)(scenario).candidates
    few = replace(found, offer=replace(found.offer, n_available=6), lose=lambda n, _used: outcome(n, None))
    settled = settle_losses([few], peak_rps=2400.0, rules=scenario.plan)
    assert [one.fleet.items[0].n_replicas for one in settled.ranked] == [6]
    assert settled.loss == outcome(6, None)
