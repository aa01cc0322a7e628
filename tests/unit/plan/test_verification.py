"""What a live run of the plan is a proof of: the objective, the law, or neither."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from typing import cast

import numpy as np
import pytest

from loadplan.catalog.price import Catalog
from loadplan.cli.documents import verify_document
from loadplan.cli.verdict_lines import verdict_lines
from loadplan.fit.records import CapacityFit
from loadplan.load.records import LoadRun, LostTime, Outcome, RequestLog
from loadplan.load.verdict import judge
from loadplan.plan.records.fleet import Plan
from loadplan.plan.search import plan_fleet
from loadplan.scenario.arrivals import MarkovArrivals, PoissonArrivals, ProfileArrivals, ProfileStep
from loadplan.scenario.outside import ConstantDelay, Vantage
from loadplan.scenario.spec import Scenario
from loadplan.trial import Replica, verification_spec
from loadplan.verify import SERVER_PART_ONLY, failure_of, judge_verification, verdict_word

Drive = Callable[..., LoadRun]


@pytest.fixture(scope="module")
def plan(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> Plan:
    return plan_fleet(fit=fit, scenario=scenario, catalog=catalog, as_of=date(2026, 11, 24))


@pytest.fixture
def drive(plan: Plan, fit: CapacityFit, scenario: Scenario) -> Drive:
    """The verification run, all of whose answers take as long as is said."""
    spec = verification_spec(plan, fit, scenario)

    def driven(response_s: float, *, n_failed: int = 0) -> LoadRun:
        n = int(spec.offered_rate_rps * spec.duration_s)
        due_s = np.arange(n) / spec.offered_rate_rps
        done_s = due_s + response_s * np.random.default_rng(1).uniform(0.9, 1.1, n)
        outcome = np.full(n, Outcome.OK, dtype=np.uint8)
        outcome[:n_failed] = Outcome.HTTP_ERROR
        log = RequestLog(
            due_s=due_s,
            sent_s=due_s,
            first_byte_s=done_s,
            done_s=done_s,
            outcome=outcome,
            status=np.full(n, 200, dtype=np.int16),
            payload=np.zeros(n, dtype=np.int32),
        )
        lost = LostTime(start_s=np.empty(0), length_s=np.empty(0))
        return LoadRun(
            spec=spec,
            url="http://127.0.0.1:1/",
            machine=fit.machine,
            requests=log,
            lost=lost,
            verdict=judge(spec, log, lost),
            caveats=(),
            payload_rows=np.ones(1, dtype=np.int32),
        )

    return driven


def test_the_run_offers_the_share_of_capacity_that_the_plan_uses_with_the_spares_gone(
    plan: Plan, fit: CapacityFit, scenario: Scenario
) -> None:
    """Four replicas carry 2,400 with one gone: 800 each of the 864 that half a speed leaves, or what that is here."""
    assert plan.recommended is not None
    spec = verification_spec(plan, fit, scenario)
    share = plan.recommended.utilisation_ratio_degraded
    assert spec.offered_rate_rps == pytest.approx(share * fit.capacities[0].usable_capacity_rps)
    assert spec.seed != scenario.load.seed


def test_a_limit_far_from_what_is_predicted_takes_a_shorter_run(
    plan: Plan, fit: CapacityFit, scenario: Scenario
) -> None:
    """Ten times as many requests as a p99 takes, for clusters, or twice as many where no cluster comes near."""
    assert plan.recommended is not None
    plan = replace(plan, recommended=replace(plan.recommended, utilisation_ratio_degraded=0.08))
    expected_s = 1.25 * 0.010  # the high end of the first point of the curve, at 100 requests per second
    (objective,) = scenario.objectives
    far, near = (
        verification_spec(
            plan,
            fit,
            replace(
                scenario,
                objectives=(
                    replace(
                        objective, limits=tuple(replace(one, limit_s=ratio * expected_s) for one in objective.limits)
                    ),
                ),
            ),
        )
        for ratio in (10.5, 9.5)
    )
    assert near.offered_rate_rps * near.duration_s == pytest.approx(4590.0)
    assert far.offered_rate_rps * far.duration_s == pytest.approx(918.0)


def test_the_run_drives_the_arrivals_that_the_plan_rests_on(plan: Plan, fit: CapacityFit, scenario: Scenario) -> None:
    """Slow bursts for as long as it may, and of a profile the busiest moment."""
    busy = MarkovArrivals(busy_ratio=2.0, busy_share=0.25, mean_busy_s=1.0)
    ramp = ProfileArrivals(steps=(ProfileStep(for_s=9.0, share=0.1, to_share=1.0),))
    of_bursts, of_ramp = (
        verification_spec(plan, fit, replace(scenario, traffic=replace(scenario.traffic, arrivals=arrivals)))
        for arrivals in (busy, ramp)
    )
    assert (of_bursts.arrivals, of_bursts.duration_s) == (busy, 60.0)
    assert of_ramp == verification_spec(plan, fit, scenario)


def test_a_pass_of_a_run_too_short_for_its_bursts_is_doubted(
    plan: Plan, fit: CapacityFit, scenario: Scenario, drive: Drive
) -> None:
    run = drive(0.02)
    for mean_busy_s, codes in ((1e-3, []), (60.0, ["verify.arrivals_unseen"])):
        busy = MarkovArrivals(busy_ratio=2.0, busy_share=0.25, mean_busy_s=mean_busy_s)
        verdict = judge_verification(plan, fit, scenario, replace(run, spec=replace(run.spec, arrivals=busy)))
        assert [caveat.code for caveat in verdict.caveats if caveat.code.endswith("unseen")] == codes


def test_a_prediction_is_of_the_requests_that_fell_due(
    plan: Plan, fit: CapacityFit, scenario: Scenario, drive: Drive
) -> None:
    """Ten at once are read for 40 µs each; then each in turn takes 40 + 100 µs for its batch and 20 µs to answer."""
    run = drive(0.02)
    n = run.requests.n_requests // 10 * 10
    in_tens = replace(
        run.requests, **{field.name: getattr(run.requests, field.name)[:n] for field in fields(RequestLog)}
    )
    in_tens = replace(in_tens, due_s=np.repeat(np.arange(n // 10) * 10.0 / run.spec.offered_rate_rps, 10))
    predicted = judge_verification(plan, fit, scenario, replace(run, requests=in_tens)).predicted
    assert predicted.offered_rate_rps == pytest.approx(n / run.spec.duration_s)
    assert (predicted.p50_s, predicted.p99_s) == pytest.approx((400e-6 + 5 * 160e-6, 400e-6 + 10 * 160e-6))
    # As many, one by one, never wait.
    alone = judge_verification(plan, fit, scenario, run).predicted
    assert (alone.p50_s, alone.p99_s) == pytest.approx((200e-6, 200e-6))


def test_of_another_machine_it_is_of_the_rate_that_was_met_but_of_slow_bursts_of_the_planned_one(
    plan: Plan, fit: CapacityFit, scenario: Scenario, drive: Drive
) -> None:
    run, faster = drive(0.02), Replica(speed_ratio=2.0, is_fitted=False)
    strayed = replace(run, verdict=replace(run.verdict, achieved_rate_rps=0.8 * run.spec.offered_rate_rps))
    busy = MarkovArrivals(busy_ratio=2.0, busy_share=0.25, mean_busy_s=1.0)
    for arrivals, ratio in ((PoissonArrivals(), 0.8), (busy, 1.0)):
        driven = replace(strayed, spec=replace(strayed.spec, arrivals=arrivals))
        rate_rps = judge_verification(plan, fit, scenario, driven, replica=faster).predicted.offered_rate_rps
        assert rate_rps == pytest.approx(ratio * run.spec.offered_rate_rps)


def predicted_p99_s(plan: Plan, fit: CapacityFit, scenario: Scenario, run: LoadRun) -> float:
    return judge_verification(plan, fit, scenario, run).predicted.p99_s


def test_answers_as_predicted_pass_and_prove_the_law(
    plan: Plan, fit: CapacityFit, scenario: Scenario, drive: Drive
) -> None:
    # Without other plausible laws the prediction is a point, which no run ever meets.
    others = [replace(fit.overhead, request_s=ratio * fit.overhead.request_s) for ratio in (0.8, 0.9, 1.1, 1.2)]
    unsure = replace(fit, plausible=tuple(others))
    p99_s = predicted_p99_s(plan, unsure, scenario, drive(0.001))
    verdict = judge_verification(plan, unsure, scenario, drive(p99_s / 1.1))
    assert (verdict.passed, verdict.subject, verdict.prediction_held) == (True, "law", True)
    assert failure_of(verdict) is None


def test_answers_far_from_the_prediction_pass_the_objective_and_refute_the_law(
    plan: Plan, fit: CapacityFit, scenario: Scenario, drive: Drive
) -> None:
    p99_s = predicted_p99_s(plan, fit, scenario, drive(0.001))
    verdict = judge_verification(plan, fit, scenario, drive(5.0 * p99_s))
    assert (verdict.passed, verdict.prediction_held) == (True, False)
    assert [caveat.code for caveat in verdict.caveats] == ["verify.prediction_missed"]


def test_answers_beyond_the_objective_fail(plan: Plan, fit: CapacityFit, scenario: Scenario, drive: Drive) -> None:
    verdict = judge_verification(plan, fit, scenario, drive(0.060))
    assert not verdict.passed
    failure = failure_of(verdict)
    assert failure is not None
    assert failure.exit_code == 1


def test_a_run_with_nearly_as_many_misses_as_may_be_shows_neither(
    plan: Plan, fit: CapacityFit, scenario: Scenario, drive: Drive
) -> None:
    run = drive(0.001)
    n = run.requests.n_requests
    run.requests.done_s[np.random.default_rng(1).choice(n, int(0.0095 * n), replace=False)] += 0.2
    verdict = judge_verification(plan, fit, scenario, run)
    (attained,) = verdict.attainments
    assert (attained.is_met, attained.outcome, verdict.passed) == (True, "unclear", False)
    failure = failure_of(verdict)
    assert failure is not None
    assert (failure.exit_code, verdict_word(verdict)) == (3, "UNCLEAR")
    assert "of the requests miss 50 ms in the long run, 1.00% may" in failure.what


def test_too_many_failures_fail_however_fast_the_others_are(
    plan: Plan, fit: CapacityFit, scenario: Scenario, drive: Drive
) -> None:
    allowed = replace(scenario, objectives=(replace(scenario.objectives[0], max_failed_ratio=0.001),))
    n_requests = drive(0.001).requests.n_requests
    assert judge_verification(plan, fit, allowed, drive(0.001, n_failed=n_requests // 1000)).passed
    assert not judge_verification(plan, fit, allowed, drive(0.001, n_failed=n_requests // 1000 + 1)).passed


def test_the_bill_of_the_plan_is_that_of_four_replicas(plan: Plan) -> None:
    assert plan.recommended is not None
    assert plan.recommended.usd_per_month == Decimal("0.10") * plan.recommended.items[0].n_replicas * 730


def test_a_run_beside_the_server_proves_its_part_alone_and_is_judged_with_what_lies_outside(
    plan: Plan, fit: CapacityFit, scenario: Scenario, drive: Drive
) -> None:
    """45 ms at the server are within the 50 ms; with 10 ms more they aren't, and the law is that of the server."""
    further = replace(scenario, vantage=Vantage(at="edge", outside=ConstantDelay(delay_s=0.010)))
    run = drive(0.044)
    here = judge_verification(plan, fit, scenario, run)
    there = judge_verification(plan, replace(fit, vantage=further.vantage), further, run)
    assert (verdict_word(here), verdict_word(there)) == ("PASS", "FAIL")
    assert there.measured_p99_s == here.measured_p99_s
    assert there.predicted == here.predicted
    told = cast("list[dict[str, str]]", verify_document(there)["caveats"])
    assert SERVER_PART_ONLY in [caveat["code"] for caveat in told]
    assert SERVER_PART_ONLY not in {caveat.code for caveat in here.caveats}
    (line,) = (line for line in verdict_lines(there) if "measured at the edge" in line)
    assert "proves the server's part alone" in line
    fetching = replace(scenario, vantage=Vantage(fetch=ConstantDelay(delay_s=0.010)))
    fetched = judge_verification(plan, replace(fit, vantage=fetching.vantage), fetching, run)
    assert (verdict_word(fetched), fetched.predicted) == ("FAIL", here.predicted)
    assert any("met nothing of the fetch" in caveat.what for caveat in fetched.caveats)
    close = replace(further, vantage=Vantage(at="edge", outside=ConstantDelay(delay_s=0.001)))
    assert verdict_word(judge_verification(plan, fit, close, run)) == "PASS"
