"""The page as a reader gets it: what it says of a whole, a partial, a failed and an invalid run."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from loadplan.catalog.price import Catalog
from loadplan.fit.records import CapacityFit
from loadplan.load.records import Outcome, ServerWatch, WatchedSeries
from loadplan.load.verdict import judge
from loadplan.plan.hardware.measured import MeasuredType
from loadplan.plan.records.fleet import Plan
from loadplan.plan.search import plan_fleet
from loadplan.report.findings import Findings, Provenance
from loadplan.report.html import render_report
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import RowsPerRequest, Scenario
from loadplan.slo import LatencyLimit, Slo
from loadplan.stats import Interval
from tests.unit.report.reading import answer, everything, read

Page = Callable[[Findings], str]


@pytest.fixture
def page(provenance: Provenance) -> Page:
    return lambda known: render_report(known, provenance)


def test_the_rows_of_requests_stand_in_the_report_as_a_number_or_as_a_law(findings: Findings, page: Page) -> None:
    def rows_of(rows: RowsPerRequest) -> str:
        traffic = replace(findings.scenario.traffic, rows_per_request=rows)
        text = " ".join(read(page(replace(findings, scenario=replace(findings.scenario, traffic=traffic)))).text)
        return re.sub(r"\s+", " ", text)

    assert "rows in a request 7 " in rows_of(always(7))
    law = RowsPerRequest(mean=120.0, p95=300.0, most=400)
    assert "rows in a request 120 on average, p95 300, 400 at most (lognormal)" in rows_of(law)


def test_the_answer_says_what_to_buy_what_it_costs_and_that_it_passed(page: Page, findings: Findings) -> None:
    said = answer(page(findings))
    # 2,400 / (1,440 x 0.8) is 2.08: three replicas and a spare one, at 0.10 x 730 each.
    assert "4 × h.xlarge (aws/east, on demand)" in said
    assert "$292.00 a month" in said
    assert "PASS" in said
    assert "p99 41.5 ms (95 %: 38 to 45) measured at 900 requests/s" in said
    assert "limit 50 ms" in said


def test_the_cost_has_the_interval_of_the_capacity(page: Page, findings: Findings) -> None:
    # At the high end one replica carries 3,960: 2,400 / (3,960 x 0.8) is 0.76, one replica and a spare one.
    assert "$146.00 to $292.00 by what a replica may carry" in answer(page(findings))


def test_the_answer_says_what_is_proved_and_what_is_not(page: Page, findings: Findings) -> None:
    said = answer(page(findings))
    assert "the law, at 75 % of this machine's capacity; h.xlarge is extrapolated" in said


def test_a_fleet_on_a_profile_is_not_called_extrapolated(
    page: Page, findings: Findings, fit: CapacityFit, scenario: Scenario, catalog: Catalog
) -> None:
    plan = plan_fleet(
        fit=fit,
        scenario=scenario,
        catalog=catalog,
        as_of=date(2026, 11, 20),
        measured=[MeasuredType(type_name="aws/h.xlarge", fit=fit)],
    )
    said = answer(page(replace(findings, plan=plan)))
    assert "h.xlarge was measured with loadplan profile, not driven now" in said.replace("`", "")
    assert "h.xlarge is simulated (by the laws in its profile)" in said
    assert "other hardware is extrapolated" not in said


def test_the_next_cheaper_fleet_stands_with_the_reason_why_it_lost(page: Page, findings: Findings) -> None:
    assert "3 × the same for $219.00, lost: 3 would carry only 2,304 of 2,400" in answer(page(findings))


def test_the_weakest_points_are_links_to_their_doubts(page: Page, findings: Findings) -> None:
    tags = read(page(findings)).tags
    ids = [attributes["id"] for _, attributes in tags if attributes.get("id")]
    links = {(attributes.get("href") or "") for tag, attributes in tags if tag == "a"}
    inner = {link.removeprefix("#") for link in links if link.startswith("#")}
    assert {"doubt-1", "doubt-2", "doubt-3"} <= inner
    assert inner <= set(ids)
    assert len(ids) == len(set(ids))


def test_the_head_of_the_page_has_the_oldest_price(page: Page, findings: Findings) -> None:
    assert findings.plan is not None
    aged = replace(findings, plan=replace(findings.plan, oldest_price_date=date(2025, 2, 3)))
    (head,) = re.findall(r"<header>(.*?)</header>", page(aged), flags=re.S)
    assert "oldest price 2025-02-03" in head


def test_each_fleet_says_where_its_price_is_from_and_whether_it_is_doubtful(page: Page, findings: Findings) -> None:
    assert findings.plan is not None
    assert findings.plan.recommended is not None
    (item,) = findings.plan.recommended.items
    offer = replace(item.offer, layer="project own.csv", quality="anomaly: by hand")
    fleet = replace(findings.plan.recommended, items=(replace(item, offer=offer),))
    text = " ".join(read(page(replace(findings, plan=replace(findings.plan, recommended=fleet)))).text)
    assert "project own.csv (doubtful)" in text


def test_every_stage_of_a_whole_run_is_on_the_page(page: Page, findings: Findings) -> None:
    said = everything(page(findings))
    for piece in (
        "4 × f.large (aws/east, on demand)",  # an alternative
        "6 replicas would cost $438.00",  # at twice the peak: ceil(4,800 / 1,152) + 1
        "$4,599.00 in all",  # 4 x 292 + 3 x 365 + 3 x 438 + 2 x 511
        "steady-50-8",  # a calibration run
        "n = 5,000",  # samples of a benchmark cell
        "sent minus due",  # the generator's own lateness
        "off by 10 % in the middle and 25 % at worst (idle-1, p99)",  # 6.6 for 6.0; 2.0 where 1.6 was predicted
        "nothing is known of its processor",  # not offered, and why
        "730",  # an assumption
        "loadplan run digits.yaml",
        "cd" * 32,  # the hash of an artefact
    ):
        assert piece in said, piece


def test_the_worst_segment_is_named(page: Page, findings: Findings) -> None:
    said = everything(page(findings))
    assert "it lost most, 2 % of its rows, in B: right in 94 % (87.5 % to 97.2 %) of 100 rows" in said


def test_a_refused_variant_stands_with_its_reason(page: Page, findings: Findings) -> None:
    said = everything(page(findings))
    assert "Variant int8_static was refused and is no choice here: 0.8 of the rows have the same class." in said


def test_a_segment_too_small_to_judge_is_said_to_be(page: Page, findings: Findings) -> None:
    assert "can't tell" in everything(page(findings))


def test_an_invalid_run_shows_no_latency(page: Page, invalid: Findings) -> None:
    html = page(replace(invalid, loads=None, bench=None))
    said = answer(html)
    assert "INVALID" in said
    assert "The live run proves nothing: the generator could not keep up" in said
    assert "PASS" not in said
    assert "measured at" not in said
    assert "How are response times spread?" not in html
    # The run's response times are log-normal about 4 ms; its slowest answer took 19.8 ms.
    assert "19.8" not in everything(html)
    assert "p99 measured" not in html


def test_what_the_server_did_meanwhile_stands_beside_the_live_run(page: Page, findings: Findings) -> None:
    assert findings.verification is not None
    busy = WatchedSeries(name="cores_busy", values=np.array([0.25, math.nan, 0.75, 0.5]), absent_reason=None)
    gpu = WatchedSeries(name="gpu_busy_ratio", values=None, absent_reason="it has no such thing")
    watch = ServerWatch(processes="python (pid 5)", at_s=np.arange(4.0), series=(busy, gpu))
    html = page(replace(findings, verification=replace(findings.verification, server=watch)))
    said = re.sub(r"\s+", " ", everything(html))
    assert "What did the server do meanwhile? python (pid 5), looked at 4 times (measured)." in said
    assert "cores that it kept busy0.5000.750" in said
    assert "time in which its GPU was busy––it has no such thing" in said


def test_a_failed_run_says_by_how_much_it_missed(page: Page, findings: Findings) -> None:
    assert findings.verdict is not None
    missed = tuple(replace(one, n_within=3_000) for one in findings.verdict.attainments)
    failed = replace(findings.verdict, passed=False, n_failed=7, attainments=missed)
    said = answer(page(replace(findings, verdict=failed)))
    assert "FAIL" in said
    assert "83.3 % of the requests were within 50 ms, 99 % must be; 7 of 3,600 failed" in said


def test_a_plan_that_nobody_drove_is_not_verified(page: Page, findings: Findings) -> None:
    said = answer(page(replace(findings, verdict=None, verification=None)))
    assert "NOT VERIFIED" in said
    assert "nothing by a live run" in said


@pytest.mark.parametrize("n_stages", range(6))
def test_a_run_that_stopped_says_so_and_shows_what_it_has(
    n_stages: int, findings: Findings, provenance: Provenance
) -> None:
    stages = ("export", "bench", "loads", "fit", "plan", "verdict")
    left_out: dict[str, Any] = dict.fromkeys(stages[n_stages:])
    partial = replace(findings, verification=None, **left_out)
    html = render_report(partial, replace(provenance, failure="the port is taken; free it"))
    said = answer(html)
    assert "What happened: the port is taken; free it." in said
    assert ("STOPPED" in said) == (n_stages < 5)
    assert ("the plan and the live test of the plan; loadplan run digits.yaml goes on from there" in said) == (
        n_stages < 5
    )
    assert ("the export, the benchmark" in said) == (n_stages == 0)
    assert ("How long does one batch take?" in html) == (n_stages >= 2)
    assert ("Is it still the same model?" in html) == (n_stages >= 1)


@pytest.mark.parametrize("n_stages", range(6))
def test_nothing_that_no_live_run_has_shown_is_called_a_pass(page: Page, findings: Findings, n_stages: int) -> None:
    stages = ("export", "bench", "loads", "fit", "plan", "verdict")
    left_out: dict[str, Any] = dict.fromkeys(stages[n_stages:])
    claims_nothing(page(replace(findings, verification=None, **left_out)))


def test_nothing_that_a_live_run_has_shown_to_miss_or_could_not_show_is_called_a_pass(
    page: Page, findings: Findings, invalid: Findings
) -> None:
    assert findings.verdict is not None
    missed = tuple(replace(one, n_within=3_000) for one in findings.verdict.attainments)
    claims_nothing(page(replace(findings, verdict=replace(findings.verdict, passed=False, attainments=missed))))
    claims_nothing(page(invalid))


def claims_nothing(html: str) -> None:
    """A pass has no other words on the page; the list of words explains it beside its opposite."""
    said = everything(html).replace("PASS, FAIL", "")
    assert "PASS" not in said
    assert "held when driven live" not in said


def test_where_nothing_will_do_the_binding_constraint_and_the_nearest_miss_stand(
    page: Page, findings: Findings, scenario: Scenario, make_plan: Callable[[Scenario], Plan]
) -> None:
    tight = replace(scenario, objectives=(Slo(limits=(LatencyLimit(quantile=0.99, limit_s=1e-4),)),))
    plan = make_plan(tight)
    said = answer(page(replace(findings, scenario=tight, plan=plan, verdict=None, verification=None)))
    assert plan.nearest_miss is not None
    assert plan.binding_constraint is not None
    assert "NOTHING WILL DO" in said
    assert plan.binding_constraint in said
    assert plan.nearest_miss.reason in said


def test_a_plan_on_nothing_renders(
    page: Page, findings: Findings, scenario: Scenario, make_plan: Callable[[Scenario], Plan]
) -> None:
    nowhere = replace(scenario, plan=replace(scenario.plan, regions=("nowhere",)))
    plan = make_plan(nowhere)
    assert plan.nearest_miss is None
    html = page(replace(findings, scenario=nowhere, plan=plan, verdict=None, verification=None))
    assert "NOTHING WILL DO" in answer(html)


def test_a_budget_that_is_too_small_names_the_cheapest_fleet(
    page: Page, findings: Findings, scenario: Scenario, make_plan: Callable[[Scenario], Plan]
) -> None:
    poor = replace(scenario, plan=replace(scenario.plan, budget_usd_per_month=Decimal(10)))
    said = answer(page(replace(findings, scenario=poor, plan=make_plan(poor), verdict=None, verification=None)))
    assert "4 × h.xlarge (aws/east, on demand), $292.00 a month" in said


def test_a_plan_on_given_capacities_claims_no_latency_and_no_interval(page: Page, findings: Findings) -> None:
    assert findings.plan is not None
    assert findings.plan.recommended is not None
    fleet = findings.plan.recommended
    capacity = replace(
        fleet.capacity, setting=None, basis="given", usable_capacity_rps_low=900.0, usable_capacity_rps_high=900.0
    )
    given = replace(
        fleet,
        capacity=capacity,
        basis="given",
        predicted_p99_s=None,
        predicted_p99_s_low=None,
        predicted_p99_s_high=None,
    )
    known = Findings(
        scenario=findings.scenario, machine=findings.machine, plan=replace(findings.plan, recommended=given)
    )
    said = answer(page(known))
    assert "NOT VERIFIED" in said
    assert "given as one number, so the bill has no interval" in said
    assert "no latency: at the peak 55.6 % of the given capacity is used" in said


def test_a_run_in_which_nothing_was_answered_renders(page: Page, findings: Findings) -> None:
    assert findings.verification is not None
    assert findings.verdict is not None
    log = findings.verification.requests
    nothing = np.full(log.n_requests, np.nan)
    silent = replace(
        log, sent_s=nothing, done_s=nothing, outcome=np.full(log.n_requests, Outcome.NOT_SENT, dtype=np.uint8)
    )
    spec = findings.verification.spec
    run = replace(findings.verification, requests=silent, verdict=judge(spec, silent, findings.verification.lost))
    verdict = replace(findings.verdict, passed=False, valid=False, invalid_reasons=run.verdict.invalid_reasons)
    html = page(replace(findings, loads=(run,), verification=run, verdict=verdict))
    assert "INVALID" in answer(html)
    assert "Nothing was sent." in everything(html)


def test_an_unbounded_interval_doesnt_keep_the_page_from_being_drawn(page: Page, findings: Findings) -> None:
    assert findings.fit is not None
    (capacity,) = findings.fit.capacities
    open_end = replace(capacity.curve[-1], p99_interval=Interval(low=0.01, high=math.inf))
    fit = replace(findings.fit, capacities=(replace(capacity, curve=(*capacity.curve[:-1], open_end)),))
    assert "Do the response times hold" in page(replace(findings, fit=fit))


def test_the_same_findings_give_the_same_bytes(page: Page, findings: Findings) -> None:
    assert page(findings) == page(findings)


def test_a_page_is_small_enough_to_send(page: Page, findings: Findings) -> None:
    assert len(page(findings).encode()) <= 2_500_000


def test_every_figure_says_its_number_and_lists_its_data(page: Page, findings: Findings) -> None:
    html = page(findings)
    figures = re.findall(r"<figure.*?</figure>", html, re.DOTALL)
    assert len(figures) == 12
    for figure in figures:
        sentence = re.search(r"<figcaption[^>]*>(.*?)</figcaption>", figure, re.DOTALL)
        assert sentence is not None
        assert re.search(r"\d", sentence[1])
        assert 'role="img"' in figure
        assert figure.count("<tr>") >= 2


def test_a_pass_whose_prediction_missed_is_no_proof_of_the_law(page: Page, findings: Findings) -> None:
    assert findings.verdict is not None
    missed = replace(findings, verdict=replace(findings.verdict, prediction_held=False))
    said, held = " ".join(read(page(missed)).answer), " ".join(read(page(findings)).answer)
    assert "the prediction missed" in said
    assert "not the law" in said
    assert "missed" not in held
