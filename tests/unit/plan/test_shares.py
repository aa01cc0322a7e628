"""What is driven beside a verification: the share with all replicas there, and a quarter more than planned."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from loadplan.catalog.price import Catalog
from loadplan.driven import ShareVerdict, judge_share, judge_sharpness, sharpness_spec, sharpness_text
from loadplan.fit.latency import predict
from loadplan.fit.records import CapacityFit
from loadplan.load.records import LoadRun, LoadSpec, LostTime, Outcome, RequestLog
from loadplan.load.verdict import judge
from loadplan.machine import Machine
from loadplan.plan.records.fleet import Plan
from loadplan.plan.search import plan_fleet
from loadplan.scenario.spec import Scenario
from loadplan.trial import Replica, planned_spec, verification_spec
from loadplan.verify import failure_of, judge_verification, predicted_for, verdict_word, with_shares

CAPACITY_RPS = 1000.0  # of the server below, which takes 1 ms for each request, one after the other


def plan_of(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> Plan:
    return plan_fleet(fit=fit, scenario=scenario, catalog=catalog, as_of=date(2026, 11, 24))


@pytest.fixture(scope="module")
def plan(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> Plan:
    """Six replicas, one of them spare, 2,400 requests per second."""
    return plan_of(fit, scenario, catalog)


def driven(spec: LoadSpec, machine: Machine) -> LoadRun:
    """A D/D/1 queue: request i leaves at max(i / rate, its predecessor's) + 1 ms."""
    n = int(spec.offered_rate_rps * spec.duration_s)
    due_s = np.arange(n) / spec.offered_rate_rps
    begun_s = np.maximum.accumulate(due_s - np.arange(n) / CAPACITY_RPS) + np.arange(n) / CAPACITY_RPS
    done_s = begun_s + 1.0 / CAPACITY_RPS
    log = RequestLog(
        due_s=due_s,
        sent_s=due_s,
        first_byte_s=done_s,
        done_s=done_s,
        outcome=np.full(n, Outcome.OK, dtype=np.uint8),
        status=np.full(n, 200, dtype=np.int16),
        payload=np.zeros(n, dtype=np.int32),
    )
    lost = LostTime(start_s=np.empty(0), length_s=np.empty(0))
    return LoadRun(
        spec=spec,
        url="http://127.0.0.1:1/",
        machine=machine,
        requests=log,
        lost=lost,
        verdict=judge(spec, log, lost),
        caveats=(),
        payload_rows=np.ones(1, dtype=np.int32),
    )


def share_at(rate_rps: float, plan: Plan, fit: CapacityFit, scenario: Scenario) -> ShareVerdict:
    spec = replace(verification_spec(plan, fit, scenario), offered_rate_rps=rate_rps)
    run = driven(spec, fit.machine)
    return judge_share(run, scenario, usable_capacity_rps=CAPACITY_RPS, predicted=None)


def test_with_all_replicas_each_is_offered_five_sixths_of_what_it_is_with_one_of_six_gone(
    plan: Plan, fit: CapacityFit, scenario: Scenario
) -> None:
    spec = verification_spec(plan, fit, scenario)
    beside = planned_spec(plan, spec)
    assert beside is not None
    assert beside.offered_rate_rps == pytest.approx(5 / 6 * spec.offered_rate_rps)
    assert beside.name != spec.name
    assert beside.seed != spec.seed


def test_without_spares_there_is_no_second_share(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> None:
    alone = replace(scenario, plan=replace(scenario.plan, n_spare_replicas=0))
    plan = plan_of(fit, alone, catalog)
    assert planned_spec(plan, verification_spec(plan, fit, alone)) is None


def test_one_replica_of_the_fleet_itself_is_offered_its_part_of_the_peak(
    plan: Plan, fit: CapacityFit, scenario: Scenario
) -> None:
    """2,400 over the five of six that are left; with all six 400."""
    spec = verification_spec(plan, fit, scenario, replica=Replica(speed_ratio=0.8, is_fitted=False))
    beside = planned_spec(plan, spec)
    assert beside is not None
    assert spec.offered_rate_rps == pytest.approx(480.0)
    assert beside.offered_rate_rps == pytest.approx(400.0)


def run_at(rate_rps: float, plan: Plan, fit: CapacityFit, scenario: Scenario) -> LoadRun:
    spec = replace(verification_spec(plan, fit, scenario), offered_rate_rps=rate_rps, duration_s=8.0)
    return driven(spec, fit.machine)


def test_a_machine_half_as_fast_takes_twice_as_long_at_half_the_rate(
    plan: Plan, fit: CapacityFit, scenario: Scenario
) -> None:
    here = predict(fit, fit.capacities[0].setting, rate_rps=1000.0)
    slower = Replica(speed_ratio=0.5, is_fitted=False)
    there = predicted_for(fit, run_at(500.0, plan, fit, scenario), replica=slower)
    assert there is not None
    assert there.p99_s == pytest.approx(2.0 * here.p99_s)
    for slow, fast in (
        (there.p50_interval, here.p50_interval),
        (there.p95_interval, here.p95_interval),
        (there.p99_interval, here.p99_interval),
    ):
        assert (slow.low, slow.high) == pytest.approx((2.0 * fast.low, 2.0 * fast.high))
    # It saturates at 1,500 and at half of that.
    assert predicted_for(fit, run_at(1501.0, plan, fit, scenario)) is None
    assert predicted_for(fit, run_at(751.0, plan, fit, scenario), replica=slower) is None


@pytest.mark.parametrize(("rate_rps", "outcome"), [(950.0, "met"), (1200.0, "missed")])
def test_a_share_is_judged_by_the_queue_that_grows(
    rate_rps: float, outcome: str, plan: Plan, fit: CapacityFit, scenario: Scenario
) -> None:
    share = share_at(rate_rps, plan, fit, scenario)
    assert share.outcome == outcome
    assert share.utilisation_ratio == pytest.approx(rate_rps / 1000.0)


def test_a_quarter_more_that_is_missed_makes_a_plan_sharp(plan: Plan, fit: CapacityFit, scenario: Scenario) -> None:
    assert plan.recommended is not None
    assert sharpness_spec(verification_spec(plan, fit, scenario)).offered_rate_rps == pytest.approx(
        1.25 * verification_spec(plan, fit, scenario).offered_rate_rps
    )
    sharp = judge_sharpness(share_at(1.25 * 900.0, plan, fit, scenario), plan.recommended, scenario)
    assert (sharp.n_would_do, sharp.usd_per_month_less) == (None, None)
    assert sharpness_text(sharp).startswith("the plan is sharp")


@pytest.mark.parametrize(
    ("n_replicas", "headroom_ratio", "n_would_do"),
    [
        (6, 0.0, 5),  # five carry 1.25 times what was asked of them: four would have done, and the spare
        (11, 0.0, 9),
        (10, 0.1, 9),  # nine at 1.25 times 0.9: eight
        (6, 0.2, 6),  # 1.25 times 0.8 is what was asked
        (16, 0.5, 16),
    ],
)
def test_what_is_left_on_the_table_is_counted_in_replicas(
    n_replicas: int, headroom_ratio: float, n_would_do: int, plan: Plan, fit: CapacityFit, scenario: Scenario
) -> None:
    assert plan.recommended is not None
    (item,) = plan.recommended.items
    fleet = replace(plan.recommended, items=(replace(item, n_replicas=n_replicas),))
    rules = replace(scenario.plan, headroom_ratio=headroom_ratio)
    slack = judge_sharpness(share_at(900.0, plan, fit, scenario), fleet, replace(scenario, plan=rules))
    assert slack.n_would_do == n_would_do
    assert slack.usd_per_month_less == (n_replicas - n_would_do) * Decimal("0.10") * 730


def test_the_least_count_of_replicas_is_no_waste(plan: Plan, fit: CapacityFit, scenario: Scenario) -> None:
    assert plan.recommended is not None
    rules = replace(scenario.plan, headroom_ratio=0.0, n_min_replicas=6, n_spare_replicas=0)
    slack = judge_sharpness(share_at(900.0, plan, fit, scenario), plan.recommended, replace(scenario, plan=rules))
    assert slack.n_would_do == 6
    assert "saves no replica" in sharpness_text(slack)


def test_a_verdict_passes_only_where_both_shares_do(plan: Plan, fit: CapacityFit, scenario: Scenario) -> None:
    run = driven(replace(verification_spec(plan, fit, scenario), offered_rate_rps=900.0), fit.machine)
    verdict = judge_verification(plan, fit, scenario, run)
    assert plan.recommended is not None
    good, bad = share_at(600.0, plan, fit, scenario), share_at(1200.0, plan, fit, scenario)
    spoiled = replace(good, invalid_reasons=("neighbours",), attainments=())
    said = {
        name: (verdict_word(one), getattr(failure_of(one), "exit_code", 0))
        for name, one in (
            ("alone", verdict),
            ("both", with_shares(verdict, good, None)),
            ("lower missed", with_shares(verdict, bad, None)),
            ("lower spoiled", with_shares(verdict, spoiled, None)),
            ("wasteful", with_shares(verdict, good, judge_sharpness(good, plan.recommended, scenario))),
            ("not known", with_shares(verdict, good, judge_sharpness(spoiled, plan.recommended, scenario))),
        )
    }
    assert said == {
        "alone": ("PASS", 0),
        "both": ("PASS", 0),
        "lower missed": ("FAIL", 1),
        "lower spoiled": ("INVALID", 3),
        "wasteful": ("PASS", 0),
        "not known": ("PASS", 3),
    }
