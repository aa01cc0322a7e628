"""All answers worked out beforehand, by hand.

An inference of one row takes 0.1 ms (see conftest): 10,000 rows a second on the core that was measured. h.xlarge has
four cores of half the speed, give or take a factor of 1.5: 20,000 rows a second, 13,333 to 30,000, for 0.10 USD an
hour.
"""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from loadplan.catalog.price import Catalog, Offer
from loadplan.fit.records import CapacityFit
from loadplan.plan.records.fleet import Plan
from loadplan.plan.records.precomputed import Precomputed
from loadplan.plan.search import searching
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.report.around_text import break_even_text, job_text, precomputed_text
from loadplan.report.savings import savings_of
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import PrecomputeRules, Scenario, StartUpRules
from tests.unit.plan.around.machines import Kind, asking, planned

AS_OF = date(2026, 11, 24)
HOUR_S = 3600.0
# 96 million answers each day, within two hours; a machine takes 100 s to start.
DAILY = PrecomputeRules(n_entities=96_000_000, rows_per_entity=1.0, every_s=24 * HOUR_S, within_s=2 * HOUR_S)
START = StartUpRules(node_s=100.0, image_s=0.0, load_s=0.0, warm_up_s=0.0)


def asked(scenario: Scenario, rules: PrecomputeRules | None = DAILY, start_up: StartUpRules = START) -> Scenario:
    return replace(scenario, plan=replace(scenario.plan, precompute=rules, start_up=start_up))


def plan(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> Plan:
    search = searching(fit=fit, catalog=catalog, as_of=AS_OF)
    return plan_with_outlook(search, scenario=scenario, catalog=catalog)


def precomputed(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> Precomputed:
    outlook = plan(fit, scenario, catalog).outlook
    assert outlook is not None
    assert outlook.precomputed is not None, outlook.precomputed_reason
    return outlook.precomputed


def test_a_run_is_done_in_time_by_the_low_end_and_paid_by_the_middle(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    """96 M / 13,333 = 7,200 s of one machine, of which 7,100 are left after its start: two.

    Each runs for 96 M / 20,000 / 2 + 100 = 2,500 s (1,700 to 3,700), 730 / 24 = 30.4 times a month: 0.20 x 2,500 /
    3,600 x 30.4 = 4.22 (2.87 to 6.25).
    """
    found = precomputed(fit, asked(scenario), catalog)
    (job,) = found.jobs
    assert (job.offer, job.n_machines, job.batch_size, job.variant) == ("aws/east/h.xlarge/on_demand", 2, 1, "fp32")
    assert (job.rows_per_s_low, job.rows_per_s, job.rows_per_s_high) == pytest.approx((40_000 / 3, 20_000, 30_000))
    assert (job.run_s, job.run_s_most) == pytest.approx((2500.0, 3700.0))
    assert (job.usd_per_month_low, job.usd_per_month, job.usd_per_month_high) == (
        Decimal("2.87"),
        Decimal("4.22"),
        Decimal("6.25"),
    )
    assert job.usd_less_per_month == Decimal("433.78")  # six replicas are 438.00
    assert job.basis == "extrapolated"
    assert found.oldest_answer_s == pytest.approx(24 * HOUR_S + 3700.0)


def test_on_spot_it_is_cheaper_and_stands_beside_though_no_fleet_may_be_of_it(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog, offer: Offer
) -> None:
    spot = replace(offer, purchase="spot", usd_per_hour=Decimal("0.03"), quality="undated")
    found = precomputed(fit, asked(scenario), replace(catalog, offers=(offer, spot)))
    assert [(job.purchase, job.usd_per_month) for job in found.jobs] == [
        ("spot", Decimal("1.27")),
        ("on_demand", Decimal("4.22")),
    ]
    assert "price DOUBTFUL: undated" in job_text(found.jobs[0])


def test_an_entity_takes_as_many_rows_as_a_request_unless_the_scenario_says(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    rules = replace(DAILY, n_entities=24_000_000, rows_per_entity=None)
    four = replace(scenario, traffic=replace(scenario.traffic, rows_per_request=always(4)))
    found = precomputed(fit, asked(four, rules), catalog)
    assert (found.rows_per_entity, found.jobs[0].usd_per_month) == (4.0, Decimal("4.22"))


def test_it_is_named_among_what_would_save_with_the_age_that_it_costs(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    """An answer is a day old and the 3,700 s of the slowest run: 25.03 h."""
    largest = savings_of(plan(fit, asked(scenario), catalog))[0]
    assert (largest.usd_less_per_month, largest.gives_up) == (Decimal("433.78"), True)
    assert largest.what == "answers worked out beforehand, up to 25.0 h old"
    dearer = savings_of(plan(fit, asked(scenario, replace(DAILY, n_entities=10**13)), catalog))
    assert not any("beforehand" in one.what for one in dearer)


def test_where_even_the_least_fleet_is_dearer_it_is_cheaper_at_every_rate(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    found = precomputed(fit, asked(scenario), catalog)
    # Two replicas are 146.00 at any peak; tried from 2,400 / 64 on, whose mean is 3/4: 37.5 x 0.75 x 3,600 x 730.
    assert (found.is_cheaper_always, found.break_even_peak_rps) == (True, 37.5)
    assert found.break_even_requests_per_month == pytest.approx(73_912_500)
    assert break_even_text(found).startswith("cheaper than a fleet at every rate that was tried, from 73.9 million")


def test_it_breaks_even_where_a_fleet_of_the_same_plan_becomes_dearer(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    """A hundred times as many answers are 414 a month, between five replicas, 365.00, and six, 438.00."""
    question = asked(scenario, replace(DAILY, n_entities=9_600_000_000))
    found = precomputed(fit, question, catalog)
    assert Decimal(365) < found.jobs[0].usd_per_month < Decimal(438)
    peak_rps = found.break_even_peak_rps
    assert peak_rps is not None
    bills = {}
    for factor in (1.0, 1 / 1.006):
        moved = replace(question, traffic=replace(question.traffic, peak_rps=factor * peak_rps))
        fleet = plan(fit, moved, catalog).recommended
        assert fleet is not None
        bills[factor] = fleet.usd_per_month
    assert bills == {1.0: Decimal("438.00"), 1 / 1.006: Decimal("365.00")}
    assert found.break_even_requests_per_month == pytest.approx(peak_rps * 0.75 * 3600 * 730)


def test_too_many_answers_are_never_cheaper(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> None:
    found = precomputed(fit, asked(scenario, replace(DAILY, n_entities=10**13)), catalog)
    assert (found.break_even_requests_per_month, found.is_cheaper_always) == (None, False)
    assert "a fleet is cheaper at every rate that was tried" in precomputed_text(found)


def test_what_a_start_takes_is_assumed_and_told(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> None:
    found = plan(fit, asked(scenario, start_up=StartUpRules()), catalog)
    assert found.outlook is not None
    assert found.outlook.precomputed is not None
    told = {one.name: one.value for one in found.assumptions}
    assert told["start of each machine of a run that works answers out beforehand"] == 131.0
    assert told["step in which the machines of such a run are billed"] == 1.0


def test_a_run_that_is_over_before_its_machines_run_is_refused_with_the_reason(
    fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    outlook = plan(fit, asked(scenario, replace(DAILY, within_s=100.0)), catalog).outlook
    assert outlook is not None
    assert outlook.precomputed is None
    assert outlook.precomputed_reason == "to start a machine takes 100 s, a run may last 100 s"


def test_given_capacities_say_nothing_of_batches(scenario: Scenario, offer: Offer) -> None:
    question = asking(scenario, precompute=DAILY)
    _, outlook = planned(question, offer, [Kind(name="small", usd_per_hour="0.10", rps=100)])
    assert outlook.precomputed is None
    assert outlook.precomputed_reason == "how long a batch takes is known for no machine that the scenario allows"


def test_nobody_who_did_not_ask_is_told(fit: CapacityFit, scenario: Scenario, catalog: Catalog) -> None:
    outlook = plan(fit, scenario, catalog).outlook
    assert outlook is not None
    assert (outlook.precomputed, outlook.precomputed_reason) == (None, "")
