"""Records as a notebook shows them."""

import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

import loadplan
from loadplan.caveat import Caveat
from loadplan.demand.business import demand_from_users
from loadplan.errors import ObjectiveMissed
from loadplan.pipeline.quick import QuickEnd
from loadplan.pipeline.quick_service import QuickServiceEnd
from loadplan.pipeline.road import RoadEnd
from loadplan.report.display import SHOWN, show_records
from loadplan.report.findings import Findings
from loadplan.report.notebook import as_html
from loadplan.report.view import fleet_name, usd
from loadplan.scenario.draft import ASSUMED

HOSTILE = "<script>alert(1)</script>\"'&amp; \u202egnp.exe"


class Cells(HTMLParser):
    """The text of each cell and paragraph, and the tags."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self._is_within = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag in {"td", "th", "p", "caption"}:
            self.texts.append("")
            self._is_within = True

    def handle_endtag(self, tag: str) -> None:
        self._is_within = False

    def handle_data(self, data: str) -> None:
        if self._is_within:
            self.texts[-1] += data


def ends(known: Findings) -> tuple[RoadEnd, QuickEnd]:
    failure = ObjectiveMissed(what="too slow", where="here", fix="buy more")
    end = RoadEnd(findings=known, folder=Path("results/x/y"), report=Path("results/x/y/report.html"), failure=failure)
    return end, QuickEnd(scenario=Path("results/x.yaml"), end=end)


@pytest.fixture
def records(findings: Findings) -> list[object]:
    """One of each kind that is shown."""
    known = findings
    assert known.plan is not None
    assert known.loads is not None
    return [
        *(known, known.scenario, known.export, known.bench, known.loads[0], known.fit, known.plan, known.verdict),
        known.plan.recommended,
        demand_from_users(daily_users=250_000),
        Caveat(code="bench.noisy", what="it was loud", fix="be quiet"),
        *ends(known),
        QuickServiceEnd(scenario=Path("results/x.yaml"), end=ends(known)[0], demand=None, assumed=()),
    ]


def test_every_kind_that_ipython_is_told_of_shows_as_tables(records: list[object]) -> None:
    told = {(module, name) for module, names in SHOWN.items() for name in names}
    assert {(type(one).__module__, type(one).__name__) for one in records} == told
    for record in records:
        assert "table" in Cells(as_html(record)).tags, record


def test_the_answer_is_what_a_plan_shows_first(findings: Findings) -> None:
    plan = findings.plan
    assert plan is not None
    assert plan.recommended is not None
    texts = Cells(as_html(plan)).texts
    assert texts[texts.index("buy") + 1].startswith(fleet_name(plan.recommended))
    assert usd(plan.recommended.usd_per_month) in texts[texts.index("bill") + 1]
    assert [texts[texts.index(fleet_name(other)) + 2] for other in plan.runners_up[:2]] == [
        other.reason for other in plan.runners_up[:2]
    ]


def test_a_demand_shows_its_peak_and_what_its_doubts_would_make_of_it() -> None:
    """250,000 a day, a tenth of them in an hour of 3,600 s: 6.94 a second; were it a fifth, twice as many."""
    texts = Cells(as_html(demand_from_users(daily_users=250_000))).texts
    assert texts[texts.index("busiest hour") + 1] == "6.94 requests/s"
    (doubt,) = (text for text in texts if text.startswith("the peak share is 20 % and"))
    assert texts[texts.index(doubt) + 1] == "13.9 requests/s"


def test_an_invalid_run_shows_no_latency(invalid: Findings) -> None:
    assert invalid.verdict is not None
    texts = Cells(as_html(invalid.verdict)).texts
    assert texts[0].startswith("INVALID: ")
    assert texts[1:] == []  # neither a p50 nor a p99


def test_a_run_that_was_cut_short_says_how_far_it_came(findings: Findings) -> None:
    texts = Cells(as_html(replace(findings, plan=None, verdict=None, fit=None))).texts
    assert "The last finished stage is load; there is no plan." in texts
    assert "NOT VERIFIED: no live run of this plan." in Cells(as_html(replace(findings, verdict=None))).texts


def test_the_end_of_a_walk_says_what_it_ended_in_and_where_it_is_kept(findings: Findings) -> None:
    end, drafted = ends(findings)
    texts = Cells(as_html(end)).texts
    assert texts[texts.index("ended in") + 1] == "too slow (here); buy more"
    assert texts[texts.index("report") + 1] == "results/x/y/report.html"
    assert [text for text in Cells(as_html(drafted)).texts if text.startswith("results/x.yaml: ")] != []
    assert Cells(as_html(drafted)).texts[: len(ASSUMED) + 1] == ["assumed", *ASSUMED]
    service = QuickServiceEnd(scenario=Path("x.yaml"), end=end, demand=None, assumed=("the moon is full",))
    assert Cells(as_html(service)).texts[1] == "the moon is full"


def test_hostile_names_stay_text(findings: Findings) -> None:
    plan, export, bench = findings.plan, findings.export, findings.bench
    assert plan is not None
    assert export is not None
    assert bench is not None
    doubt = Caveat(code=HOSTILE, what=HOSTILE, fix=HOSTILE)
    for record in (
        doubt,
        replace(findings.scenario, name=HOSTILE),
        replace(plan, caveats=(doubt,), runners_up=tuple(replace(one, reason=HOSTILE) for one in plan.runners_up)),
        replace(export, source=HOSTILE),
        replace(bench, machine=replace(bench.machine, cpu_model=HOSTILE)),
    ):
        html = as_html(record)
        read = Cells(html)
        assert "script" not in read.tags
        assert "\u202e" not in html
        assert [text for text in read.texts if "<script>alert(1)</script>" in text] != []


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(TypeError, match="how a dict is shown"):
        as_html({})


def test_long_tables_are_cut_with_the_number_of_what_is_left_out(findings: Findings) -> None:
    fit = findings.fit
    assert fit is not None
    many = replace(fit, capacities=fit.capacities[:1] * 40)
    texts = Cells(as_html(many)).texts
    assert texts.count(texts[6]) >= 12
    assert "and 28 more" in texts


def test_ipython_shows_them_once_it_was_told(findings: Findings) -> None:
    shell: Any = InteractiveShell()
    assert "text/html" not in shell.display_formatter.format(findings.plan)[0]
    shell.run_line_magic("load_ext", "loadplan")
    shown = shell.display_formatter.format(findings.plan)[0]
    assert shown["text/html"] == loadplan.as_html(findings.plan)
    assert shown["text/plain"].startswith("Plan of feasible, recommended, runners_up")
    assert len(shown["text/plain"]) < 1000


def test_ipython_itself_knows_of_them_after_an_import() -> None:
    told = "get_ipython().display_formatter.formatters['text/html'].deferred_printers"
    command = f"import loadplan; print(('loadplan.plan.records.fleet', 'Plan') in {told})"
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--quick", "--no-banner", "-c", command],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().endswith("True")


def test_an_import_in_ipython_is_enough(findings: Findings, monkeypatch: pytest.MonkeyPatch) -> None:
    shell: Any = InteractiveShell()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    show_records()
    assert "text/html" in shell.display_formatter.format(findings.verdict)[0]
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    show_records()  # IPython as a library of some other program
    assert "IPython" in sys.modules
