"""Whatever stands in the strings of a scenario, a model or a run: no new element in the page, no formula in a sheet."""

import csv
import io
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loadplan.catalog.price import Catalog
from loadplan.fit.records import CapacityFit
from loadplan.load.records import ServerWatch, WatchedSeries
from loadplan.plan.search import searching
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.report.assets import plotly_script
from loadplan.report.budget.focus import focus_csv
from loadplan.report.budget.lines import NO_LINES, budget_lines
from loadplan.report.budget.months import Month
from loadplan.report.budget.rows import budget_csv
from loadplan.report.budget.text_sheets import Origin
from loadplan.report.budget.workbook import budget_workbook
from loadplan.report.findings import Findings, Provenance
from loadplan.report.html import render_report
from loadplan.report.page import Audience
from tests.unit.report.hostile import rewritten
from tests.unit.report.reading import read
from tests.unit.report.spreadsheet import read_formulas

ORIGIN = Origin(run="20261126T040000Z-0123456789", created_at="2026-11-26T04:00:00+00:00", version="1.0")
NUMBER = re.compile(r"[+-]?[\d.]+(e[+-]?\d+)?", re.IGNORECASE)
TURNING = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\x00\x1b]")
FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")

# Each breaks out of one place that somebody may have forgotten: an element, an attribute, a comment, a script, a
# style, a template, JSON, a formula, the direction of the text.
PIECES = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "</style><style>*{display:none}</style>",
    "</title><img src=x onerror=alert(3)>",
    "--><b>",
    "<!--",
    "]]>",
    '" onmouseover="alert(4)',
    "' autofocus onfocus='alert(5)",
    "javascript:alert(6)",
    "&lt;i&gt;&#60;u&#62;",
    "{{ 7 * 7 }}{% raw %}",
    "\\u003cscript\\u003e",
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r\n=2",
    "＝1",
    ";=3",
    ",=4",
    "\u202egnp.exe",
    "\u2066\u200f",
    "\x00\x1b[31m",
    "\ud800",
    "<svg onload=alert(7)>",
)
# Nothing at all brings nothing: the names are the known ones then, and a page says more of them.
STRINGS = st.lists(st.sampled_from(PIECES) | st.text(min_size=1, max_size=4), min_size=1, max_size=5).map("".join)
_SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
FEW = settings(max_examples=3, deadline=None, suppress_health_check=_SLOW)
MANY = settings(max_examples=60, deadline=None, suppress_health_check=_SLOW)
Shape = list[tuple[str, tuple[str, ...]]]


def page(findings: Findings, provenance: Provenance, brought: str, audience: Audience) -> str:
    """Every string of the run begins with what was brought, so that equal ones stay equal and keep their order."""

    def change(text: str) -> str:
        return brought + text if text else text  # an empty one says that there is nothing to say

    return render_report(rewritten(findings, change), rewritten(provenance, change), audience=audience)


def shape(html: str) -> Shape:
    """Every element in order, with the names of its attributes."""
    return [(tag, tuple(sorted(attributes))) for tag, attributes in read(html).tags]


@pytest.fixture(scope="module")
def whole(findings: Findings, fit: CapacityFit, catalog: Catalog) -> Findings:
    """With all that lies around a plan, and with what the server did meanwhile."""
    asked = findings.scenario
    asked = replace(asked, plan=replace(asked.plan, today=(("aws/east/h.xlarge/on_demand", 10),)))
    search = searching(fit=fit, catalog=catalog, as_of=date(2026, 11, 20))
    assert findings.verification is not None
    series = (
        WatchedSeries(name="cores_busy", values=np.array([0.25, 0.75]), absent_reason=None),
        WatchedSeries(name="gpu_busy_ratio", values=None, absent_reason="it has no such thing"),
    )
    watch = ServerWatch(processes="python (pid 5)", at_s=np.arange(2.0), series=series)
    return replace(
        findings,
        scenario=asked,
        plan=plan_with_outlook(search, scenario=asked, catalog=catalog),
        verification=replace(findings.verification, server=watch),
    )


@pytest.fixture(scope="module")
def harmless(whole: Findings, provenance: Provenance) -> dict[Audience, Shape]:
    return {audience: shape(page(whole, provenance, "x", audience)) for audience in get_args(Audience)}


def check_pages(findings: Findings, provenance: Provenance, brought: str, harmless: dict[Audience, Shape]) -> None:
    for audience, wanted in harmless.items():
        # What stands between back quotes is set as code, which is an element: meant, and harmless.
        check_page(page(findings, provenance, brought.replace("`", "'"), audience), wanted)


def check_page(html: str, harmless: Shape) -> None:
    assert shape(html) == harmless
    for tag, attributes in read(html).tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("src") is None
        assert (attributes.get("href") or "#").startswith(("#", "data:")), (tag, attributes)
    assert not TURNING.search(html.replace(plotly_script(), ""))
    html.encode()  # no half of a surrogate pair is left


def check_sheets(findings: Findings, brought: str, folder: Path) -> None:
    assert findings.plan is not None
    plan = rewritten(findings.plan, lambda text: brought + text)
    scenario = rewritten(findings.scenario, lambda text: brought + text)
    origin, lines = replace(ORIGIN, run=brought + ORIGIN.run), budget_lines(NO_LINES)
    (folder / "a.xlsx").write_bytes(budget_workbook(findings.plan, findings.scenario, origin=ORIGIN, lines=lines))
    (folder / "b.xlsx").write_bytes(budget_workbook(plan, scenario, origin=origin, lines=lines))
    assert read_formulas(folder / "b.xlsx") == read_formulas(folder / "a.xlsx")
    first = Month(year=2026, number=12)
    focus = focus_csv(plan, scenario, origin=origin, lines=lines, version="1.4", first=first)
    for sheet in (budget_csv(plan, lines), focus):
        rows = list(csv.reader(io.StringIO(sheet)))
        assert len({len(row) for row in rows}) == 1
        for cell in (cell for row in rows for cell in row):
            may_run = cell.startswith("\t") or cell.lstrip().startswith(FORMULA_STARTS)
            assert not may_run or NUMBER.fullmatch(cell), cell


@FEW
@given(brought=STRINGS)
@example(brought="".join(PIECES))
def test_no_string_brings_an_element_into_the_page(
    whole: Findings, provenance: Provenance, harmless: dict[Audience, Shape], brought: str
) -> None:
    check_pages(whole, provenance, brought, harmless)


@FEW
@given(brought=STRINGS)
@example(brought="=1")
def test_no_string_becomes_a_formula(whole: Findings, tmp_path: Path, brought: str) -> None:
    check_sheets(whole, brought, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("brought", PIECES, ids=ascii)
def test_each_known_trick_stays_text(
    whole: Findings, provenance: Provenance, harmless: dict[Audience, Shape], tmp_path: Path, brought: str
) -> None:
    check_pages(whole, provenance, brought, harmless)
    check_sheets(whole, brought, tmp_path)


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # of how long what failed would be
@MANY
@given(brought=STRINGS)
def test_no_string_does_by_night_either(
    whole: Findings, provenance: Provenance, harmless: dict[Audience, Shape], tmp_path: Path, brought: str
) -> None:
    check_pages(whole, provenance, brought, harmless)
    check_sheets(whole, brought, tmp_path)
