"""Segments of users in plans and verifications: each holds its own objectives, and the one that binds is named."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from loadplan.catalog.capacities import GivenCapacity
from loadplan.catalog.price import Catalog
from loadplan.fit.records import Binding, CapacityFit, ClassLatency, PredictedLatency
from loadplan.load.records import LoadRun, LostTime, Outcome, PayloadClasses, RequestLog
from loadplan.load.verdict import judge
from loadplan.plan.given import plan_on_given
from loadplan.plan.records.fleet import Plan
from loadplan.plan.search import plan_fleet
from loadplan.scenario.class_mix import pooled_rows
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import RequestClass, Scenario
from loadplan.slo import LatencyLimit, Slo
from loadplan.stats import Interval
from loadplan.trial import verification_spec
from loadplan.verify import failure_of, judge_verification, verdict_word, worst_class

TODAY = date(2026, 11, 24)
WEB = RequestClass(name="web", share=0.99, rows_per_request=always(1))
UPLOAD = RequestClass(name="upload", share=0.01, rows_per_request=always(3))
# Not a p99: of all requests exactly one in a hundred is an upload.
OF_ALL = Slo(limits=(LatencyLimit(quantile=0.95, limit_s=0.05),))
UPLOAD_SLO = Slo(limits=(LatencyLimit(quantile=0.95, limit_s=0.2),), max_failed_ratio=0.01, class_name="upload")


@pytest.fixture
def mixed(scenario: Scenario) -> Scenario:
    traffic = replace(scenario.traffic, rows_per_request=pooled_rows((WEB, UPLOAD)), classes=(WEB, UPLOAD))
    return replace(scenario, traffic=traffic, objectives=(OF_ALL, UPLOAD_SLO))


@pytest.fixture
def of_classes(fit: CapacityFit) -> CapacityFit:
    """The p95 of uploads is 9 times that of all: 45 ms when idle, 90 ms at the usable capacity."""
    (here,) = fit.capacities
    curve = tuple(
        replace(point, classes=(_class("web", point, 1.0), _class("upload", point, 9.0))) for point in here.curve
    )
    binding = Binding(class_name="upload", limit=UPLOAD_SLO.limits[0])
    rows = pooled_rows((WEB, UPLOAD))
    return replace(
        fit, rows_per_request=rows, classes=(WEB, UPLOAD), capacities=(replace(here, curve=curve, binding=binding),)
    )


def _class(name: str, point: PredictedLatency, ratio: float) -> ClassLatency:
    return ClassLatency(
        name=name,
        p50_s=ratio * point.p50_s,
        p95_s=ratio * point.p95_s,
        p99_s=ratio * point.p99_s,
        p50_interval=Interval(low=0.8 * ratio * point.p50_s, high=1.25 * ratio * point.p50_s),
        p95_interval=Interval(low=0.8 * ratio * point.p95_s, high=1.25 * ratio * point.p95_s),
        p99_interval=Interval(low=0.8 * ratio * point.p99_s, high=1.25 * ratio * point.p99_s),
    )


def plan_of(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> Plan:
    return plan_fleet(fit=fit, scenario=scenario, catalog=catalog, as_of=TODAY)


def test_a_fleet_is_sized_on_the_class_that_binds_and_says_so(
    of_classes: CapacityFit, mixed: Scenario, scenario: Scenario, catalog: Catalog
) -> None:
    alone = plan_of(of_classes, replace(mixed, objectives=scenario.objectives), catalog)
    both = plan_of(of_classes, mixed, catalog)
    assert alone.recommended is not None
    assert both.recommended is not None
    # On slower cores uploads take longer than 200 ms well before all requests take longer than 50.
    assert both.recommended.usd_per_month > alone.recommended.usd_per_month
    assert "; the p95 of at most 200 ms for the class upload binds" in both.recommended.reason
    assert both.binding_constraint is not None
    assert both.binding_constraint.endswith("; the p95 of at most 200 ms for the class upload binds")


def test_where_no_offer_is_quick_enough_for_a_class_it_is_named(
    of_classes: CapacityFit, mixed: Scenario, catalog: Catalog
) -> None:
    tight = replace(UPLOAD_SLO, limits=(LatencyLimit(quantile=0.95, limit_s=0.05),))
    plan = plan_of(of_classes, replace(mixed, objectives=(mixed.objectives[0], tight)), catalog)
    assert not plan.feasible
    assert plan.binding_constraint is not None
    assert plan.binding_constraint.startswith("p95 of at most 50 ms for the class upload: no offer is sure")


def test_without_classes_nothing_is_said_of_what_binds(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> None:
    (here,) = fit.capacities
    bound = replace(fit, capacities=(replace(here, binding=Binding(class_name=None, limit=None)),))
    assert plan_of(bound, scenario, catalog) == plan_of(fit, scenario, catalog)


def test_given_capacities_say_nothing_of_a_class(mixed: Scenario, catalog: Catalog) -> None:
    (name,) = {offer.type_name for offer in catalog.offers[:1]}
    given = GivenCapacity(
        provider="aws",
        region=None,
        instance_type=name.partition("/")[2],
        batch_size=None,
        usable_capacity_rps=Decimal(800),
        p99_s=Decimal("0.04"),
    )
    strict = replace(UPLOAD_SLO, limits=(LatencyLimit(quantile=0.99, limit_s=0.01),))
    asked: tuple[tuple[Slo | None, list[str]], ...] = ((strict, ["plan.given_without_classes"]), (None, []))
    for extra, codes in asked:
        objectives = (OF_ALL,) if extra is None else (OF_ALL, extra)
        plan = plan_on_given([given], scenario=replace(mixed, objectives=objectives), catalog=catalog, as_of=TODAY)
        assert plan.feasible  # a p99 of all requests refutes no limit of one class
        assert [caveat.code for caveat in plan.caveats if caveat.code.startswith("plan.given")] == codes


def driven(plan: Plan, fit: CapacityFit, scenario: Scenario, *, upload_s: float, n_failed: int = 0) -> LoadRun:
    """The verification run: every hundredth request an upload, all others within about 12 ms."""
    spec = verification_spec(plan, fit, scenario)
    n = int(spec.offered_rate_rps * spec.duration_s)
    payload = (np.arange(n) % 100 == 0).astype(np.int32)
    due_s = np.arange(n) / spec.offered_rate_rps
    done_s = due_s + np.where(payload == 1, upload_s, 0.012) * np.random.default_rng(1).uniform(0.9, 1.1, n)
    outcome = np.full(n, Outcome.OK, dtype=np.uint8)
    outcome[np.flatnonzero(payload == 1)[:n_failed]] = Outcome.HTTP_ERROR
    log = RequestLog(
        due_s=due_s,
        sent_s=due_s,
        first_byte_s=done_s,
        done_s=done_s,
        outcome=outcome,
        status=np.full(n, 200, dtype=np.int16),
        payload=payload,
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
        payload_rows=np.array([1, 3], dtype=np.int32),
        classes=PayloadClasses(
            names=("web", "upload"), shares=(0.99, 0.01), of_payload=np.array([0, 1], dtype=np.int16)
        ),
    )


def test_a_class_that_misses_its_own_objective_fails_a_run_that_passes_as_a_whole(
    of_classes: CapacityFit, mixed: Scenario, catalog: Catalog
) -> None:
    plan = plan_of(of_classes, mixed, catalog)
    good, bad = (
        judge_verification(plan, of_classes, mixed, driven(plan, of_classes, mixed, upload_s=upload_s))
        for upload_s in (0.12, 0.5)
    )
    assert (verdict_word(good), failure_of(good)) == ("PASS", None)
    assert verdict_word(bad) == "FAIL"
    assert [(one.class_name, one.outcome) for one in bad.attainments] == [(None, "met"), ("upload", "missed")]
    assert sum(one.n_requests for one in bad.classes) == bad.n_requests
    failure, worst = failure_of(bad), worst_class(bad)
    assert failure is not None
    assert worst is not None
    assert failure.exit_code == 1
    assert failure.what.endswith("missed the objective when driven live for the class upload")
    assert (worst.name, worst.outcome) == ("upload", "missed")
    assert {one.name: one.outcome for one in bad.classes} == {"web": None, "upload": "missed"}


def test_the_run_lasts_until_a_rare_class_has_requests_enough(
    of_classes: CapacityFit, mixed: Scenario, scenario: Scenario, catalog: Catalog
) -> None:
    """A p95 takes 90 answers, ten times over for clusters: 900 of one in a hundred are 90,000 of all."""
    plan = plan_of(of_classes, mixed, catalog)
    spec = verification_spec(plan, of_classes, mixed)
    assert spec.offered_rate_rps * spec.duration_s == pytest.approx(90_000, rel=0.01)
    assert verification_spec(plan, of_classes, replace(mixed, objectives=scenario.objectives)).duration_s < 20.0


def test_failures_of_a_class_are_counted_over_its_own_requests(
    of_classes: CapacityFit, mixed: Scenario, catalog: Catalog
) -> None:
    """20 failures are 2 % of the uploads and 0.02 % of all requests."""
    plan = plan_of(of_classes, mixed, catalog)
    lenient = replace(mixed, objectives=(replace(mixed.objectives[0], max_failed_ratio=0.01), UPLOAD_SLO))
    run = driven(plan, of_classes, lenient, upload_s=0.1, n_failed=20)
    verdict = judge_verification(plan, of_classes, lenient, run)
    assert (verdict.few_failed, verdict_word(verdict)) == (False, "FAIL")
    only_all = replace(lenient, objectives=lenient.objectives[:1])
    assert judge_verification(plan, of_classes, only_all, run).passed
