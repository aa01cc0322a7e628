"""The page answers a reader's questions in their order, each figure one of them, in one set of colours."""

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest

from loadplan.driven import SHARPNESS_RATIO, ShareVerdict, Sharpness
from loadplan.plan.records.fleet import Plan
from loadplan.report.bill import BillParts, bill_parts
from loadplan.report.chapters import blocks_of, chapters_of
from loadplan.report.chart import ASKED, CHOSEN, GENERATOR, MIDDLE, NEIGHBOURS, OTHERS, SLOWEST, Axis, Chart, Series
from loadplan.report.chart_table import chart_table
from loadplan.report.doubts import doubts_of
from loadplan.report.findings import Findings, Provenance
from loadplan.report.html import render_report
from loadplan.report.page import Figure, HeatTable
from loadplan.scenario.spec import Scenario
from loadplan.slo import Attainment
from loadplan.stats import Interval
from loadplan.verify import Verdict
from tests.unit.report.hand_made import LIMIT, point
from tests.unit.report.reading import answer, everything

Page = Callable[[Findings], str]
_ORDER = [
    "Why this and not the others?",
    "Will it hold?",
    "What does it cost over time?",
    "What was measured?",
    "Is it still the same model?",
    "What could be wrong?",
    "How to check it",
]


@pytest.fixture
def page(provenance: Provenance) -> Page:
    return lambda known: render_report(known, provenance)


@pytest.fixture
def figures(findings: Findings, provenance: Provenance) -> dict[str, Figure]:
    chapters = chapters_of(findings, provenance, doubts_of(findings), audience="engineer")
    return {block.name: block for block in blocks_of(chapters) if isinstance(block, Figure)}


def share(name: str, rate_rps: float, *, n_within: int = 1000, reasons: tuple[str, ...] = ()) -> ShareVerdict:
    """1,000 requests of which so many were within the limit; 20 ms where 25 were predicted."""
    attained = Attainment(limit=LIMIT, n_due=1000, n_within=n_within)
    return ShareVerdict(
        run=name,
        offered_rate_rps=rate_rps,
        utilisation_ratio=rate_rps / 1200.0,
        n_requests=1000,
        n_failed=0,
        invalid_reasons=reasons,
        few_failed=True,
        attainments=() if reasons else (attained,),
        measured_p99_s=None if reasons else 0.02,
        measured_p99_interval=None if reasons else Interval(low=0.018, high=0.022),
        predicted=point(rate_rps, 0.025),
    )


def test_chapters_stand_in_the_order_in_which_people_ask(page: Page, findings: Findings) -> None:
    titles = [re.sub(r"<[^>]*>", "", title) for title in re.findall(r"<h2[^>]*>(.*?)</h2>", page(findings))]
    assert titles == _ORDER


def test_headings_go_down_one_level_at_a_time(page: Page, findings: Findings) -> None:
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", page(findings))]
    assert levels[0] == 1
    assert all(after <= before + 2 for before, after in pairwise(levels))


def test_the_card_says_which_settings_and_what_the_money_is_for(page: Page, findings: Findings) -> None:
    said = answer(page(findings))
    assert "fp32, 1 thread, batches ≤ 8, no window; 4 server processes on each replica" in said
    # 2,400 / 1,440 is 1.67, of which 80 % is 1,152: 2.08. Two for the peak, one for headroom, one spare, 73.00 each.
    assert (
        "2 replicas for the peak (50 % of the money), 1 more for headroom (25 %, $73.00) and 1 for redundancy (25 %"
        in said
    )


def test_the_parts_of_a_bill_sum_to_all_replicas(plan: Plan, scenario: Scenario) -> None:
    assert plan.recommended is not None
    assert bill_parts(plan, plan.recommended, scenario.plan) == BillParts(
        n_traffic=2, n_headroom=1, n_redundancy=1, usd_headroom=Decimal("73.00"), usd_redundancy=Decimal("73.00")
    )
    (item,) = plan.recommended.items
    ten = replace(plan.recommended, items=(replace(item, n_replicas=10),))  # as the scenario may ask for at least
    parts = bill_parts(plan, ten, scenario.plan)
    assert parts is not None
    assert (parts.n_redundancy, parts.n_replicas) == (7, 10)


def test_the_runs_beside_the_verification_stand_on_the_page(page: Page, findings: Findings, verdict: Verdict) -> None:
    sharp = Sharpness(
        driven=share("verification-sharpness", 1125.0, n_within=900),
        n_replicas=4,
        n_would_do=None,
        usd_per_month_less=None,
    )
    known = replace(findings, verdict=replace(verdict, planned=share("verification-planned", 675.0), sharpness=sharp))
    said = everything(page(known))
    assert "the peak, 1 replica gone90075 %3,6000" in said
    assert "the peak, all there67556.2 %1,000025 ms (95 %: 20 to 31.2)20 ms (95 %: 18 to 22)1.25✓ met" in said
    assert f"{SHARPNESS_RATIO:g} × the rate of the first row1,12593.8 %1,0000" in said
    assert "✗ missed" in said
    assert "Is it more than is needed? The plan is sharp: at 1.25 × the rate of the verification" in said
    assert "p99 measured, other rates" in said


def test_what_was_not_driven_is_said_not_to_have_been(page: Page, findings: Findings) -> None:
    assert "Whether less would do was not driven" in everything(page(findings))


def test_a_run_beside_the_verification_that_cant_be_believed_makes_no_pass_and_no_fail(
    page: Page, findings: Findings, verdict: Verdict
) -> None:
    spoiled = share("verification-planned", 675.0, reasons=("the generator was paused",))
    said = answer(page(replace(findings, verdict=replace(verdict, passed=False, planned=spoiled))))
    assert "INVALID" in said
    assert "FAIL" not in said
    assert "the generator was paused" in said
    assert "nothing by a live run" in said


def test_a_thing_has_the_same_colour_in_every_figure(figures: dict[str, Figure]) -> None:
    hues = {
        (name, series.name.split(",")[0]): series.hue
        for name, figure in figures.items()
        for series in figure.chart.series
    }
    assert hues["cost-and-latency", "chosen"] == hues["ways-of-paying", "on demand"] == CHOSEN
    assert hues["cost-and-latency", "others that hold"] == OTHERS
    assert hues["latency-over-rate", "p99 predicted"] == hues["latency-over-rate", "p99 measured"] == SLOWEST
    assert hues["latency-over-rate", "p50 predicted"] == hues["latency-over-rate", "p50 measured"] == MIDDLE
    assert hues["response-times", "send delay of the generator"] == hues["latency-in-time", "send delay"] == GENERATOR
    assert hues["latency-in-time", "taken by neighbours"] == NEIGHBOURS
    assert hues["rates-in-time", "due"] == hues["replicas-over-week", "demand"] == ASKED
    assert [one.hue for one in figures["service-time"].chart.series] == [
        one.hue for one in figures["throughput"].chart.series
    ]


def test_every_axis_has_a_name_and_every_title_is_a_question(figures: dict[str, Figure]) -> None:
    assert [figure.title for figure in figures.values() if not figure.title.endswith("?")] == []
    axes = [axis.title for figure in figures.values() for axis in (figure.chart.x, figure.chart.y)]
    assert [title for title in axes if len(title.split()) < 2] == []


def test_the_time_that_neighbours_took_is_drawn_where_they_took_it(figures: dict[str, Figure]) -> None:
    # 20 ms from the first second on, which is in the second one.
    figure = figures["latency-in-time"]
    (taken,) = (one for one in figure.chart.series if one.name == "taken by neighbours")
    assert list(taken.x) == [2.0]
    assert list(taken.y) == pytest.approx([20.0])
    assert "neighbours took 20" in figure.sentence


def test_throughput_is_rows_over_time(figures: dict[str, Figure]) -> None:
    # One thread: 8 rows in 100 + 8 x 25 = 300 us are 26,667 rows a second; 3 % more or less.
    one, *_ = figures["throughput"].chart.series
    assert one.name == "fp32, 1 thread"
    assert one.y[-1] == pytest.approx(8 / 300e-6)
    assert one.low is not None
    assert one.low[-1] == pytest.approx(8 / 309e-6)


def test_the_heat_map_marks_the_best_cell_and_names_the_noisy(findings: Findings, provenance: Provenance) -> None:
    chapters = chapters_of(findings, provenance, doubts_of(findings), audience="engineer")
    (grid,) = (block for block in blocks_of(chapters) if isinstance(block, HeatTable) and block.name == "grid")
    cells = {(law, size): cell for law, row in grid.rows for size, cell in zip(grid.columns, row, strict=True)}
    best = cells["fp32, 2 threads", "8"]
    assert best is not None
    assert (best.text, best.is_marked, best.shade) == ("37,712", True, 5)  # 8 rows in 300 us / sqrt(2)
    noisy = cells["fp32, 2 threads", "4"]
    assert noisy is not None
    assert noisy.note == "noisy"
    assert sum(cell is not None and cell.is_marked for cell in cells.values()) == 1


def test_lines_over_the_same_points_stand_side_by_side_in_the_table_of_a_figure() -> None:
    demand = Series(name="demand", x=[0.0, 1.0], y=[5.0, 7.0])
    carried = Series(
        name="carried", x=[0.0, 1.0], y=[10.0, 20.0], low=[9.0, 18.0], high=[11.0, 22.0], labels=["a", "b"]
    )
    table = chart_table(Chart(x=Axis(title="hour"), y=Axis(title="requests/s"), series=(demand, carried)))
    assert [column.title for column in table.columns] == ["hour", "demand", "carried"]
    assert table.rows == (("0", "5", "10 (9 to 11), a"), ("1", "7", "20 (18 to 22), b"))


def test_lines_over_other_points_stand_below_each_other() -> None:
    series = (Series(name="a", x=[0.0], y=[5.0]), Series(name="b", x=[1.0], y=[7.0]))
    table = chart_table(Chart(x=Axis(title="hour"), y=Axis(title="requests/s"), series=series))
    assert table.rows == (("a", "0", "5"), ("b", "1", "7"))


def test_ways_of_paying_are_added_up_month_by_month(figures: dict[str, Figure], findings: Findings) -> None:
    # 4 x 292 + 3 x 365 + 3 x 438 + 2 x 511 on demand; the shares of it are the assumed discounts.
    ways = {one.name: one for one in figures["ways-of-paying"].chart.series}
    assert ways["on demand"].y[-1] == pytest.approx(4599.0)
    off = float(findings.scenario.plan.commitment_discounts.commit_1y_ratio)
    assert ways["committed for a year (assumed discount)"].y[-1] == pytest.approx(4599.0 * (1 - off))
    assert np.all(np.diff(ways["on demand"].y) > 0.0)
