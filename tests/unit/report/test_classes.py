"""Segments of users in the page and on the screen: each with its own figures, the worst one named."""

from dataclasses import replace

import numpy as np
import pytest

from loadplan.cli.summary import load_lines
from loadplan.cli.verdict_lines import verdict_lines
from loadplan.load.records import PayloadClasses
from loadplan.report.findings import Findings, Provenance
from loadplan.report.html import render_report
from loadplan.report.page import Section, Table
from loadplan.report.sections.classes import class_spread
from loadplan.report.sections.holding import holding_section
from loadplan.report.sections.live_run import live_run_section
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import RequestClass
from loadplan.slo import Attainment, LatencyLimit, Slo
from loadplan.verify import ClassVerdict, Verdict

UPLOAD = LatencyLimit(quantile=0.95, limit_s=0.2)


@pytest.fixture
def known(findings: Findings) -> Findings:
    """Nine of ten requests of the verification are of the web, every tenth is an upload and ten times as slow."""
    run, verdict = findings.verification, findings.verdict
    assert run is not None
    assert verdict is not None
    n = run.requests.n_requests
    payload = (np.arange(n) % 10 == 0).astype(np.int32)
    done_s = run.requests.due_s + (run.requests.done_s - run.requests.due_s) * np.where(payload == 1, 10.0, 1.0)
    classes = PayloadClasses(names=("web", "upload"), shares=(0.9, 0.1), of_payload=np.array([0, 1], dtype=np.int16))
    run = replace(
        run,
        requests=replace(run.requests, payload=payload, done_s=done_s),
        payload_rows=np.array([1, 3], dtype=np.int32),
        classes=classes,
    )
    n_upload = int(payload.sum())
    missed = Attainment(limit=UPLOAD, n_due=n_upload, n_within=10, class_name="upload")
    web = ClassVerdict(
        name="web",
        n_requests=n - n_upload,
        n_failed=0,
        measured_p50_s=0.004,
        measured_p99_s=0.013,
        measured_p99_interval=None,
        predicted=None,
        outcome=None,
    )
    upload = replace(web, name="upload", n_requests=n_upload, n_failed=2, measured_p99_s=None, outcome="missed")
    traffic = replace(
        findings.scenario.traffic,
        classes=(
            RequestClass(name="web", share=0.9, rows_per_request=always(1)),
            RequestClass(name="upload", share=0.1, rows_per_request=always(3), segment="large"),
        ),
    )
    slo = Slo(limits=(UPLOAD,), class_name="upload")
    scenario = replace(findings.scenario, traffic=traffic, objectives=(*findings.scenario.objectives, slo))
    verdict = replace(verdict, passed=False, attainments=(*verdict.attainments, missed), classes=(web, upload))
    return replace(findings, scenario=scenario, verification=run, verdict=verdict)


def table_of(section: Section | None, caption: str) -> Table:
    assert section is not None
    (found,) = [block for block in section.blocks if isinstance(block, Table) and caption in str(block.caption)]
    return found


def test_the_live_run_says_what_each_segment_met(known: Findings) -> None:
    run = known.verification
    assert run is not None
    table = table_of(live_run_section(known), "What did each segment of users meet?")
    web, upload = table.rows
    assert (web[0], upload[0]) == ("web", "upload")
    assert int(str(web[1]).replace(",", "")) + int(str(upload[1])) == run.requests.n_requests
    assert upload[4] == "takes 459 answers"  # there are 360
    figure = class_spread(known, run)
    assert figure is not None
    assert [series.name for series in figure.chart.series] == ["upload", "web"]  # the slowest first
    assert figure.sentence.startswith("On average upload waited")


def test_objectives_and_failures_of_a_class_are_counted_over_its_own_requests(known: Findings) -> None:
    section = holding_section(known)
    rows = {row[0]: row for row in table_of(section, "against each objective").rows}
    assert rows["upload: p95 ≤ 200 ms"][1] == "10 of 360"
    assert rows["upload: failed or unanswered"][1] == "2 of 360"
    by_class = table_of(section, "by segment of users; the worst is upload")
    assert [row[-1] for row in by_class.rows] == ["none of its own", "✗ missed"]
    assert all("as of all" in str(row[4]) for row in by_class.rows)


def test_the_page_and_the_screen_name_the_worst_segment(known: Findings, provenance: Provenance) -> None:
    page = render_report(known, provenance)
    for said in ("web (90 %): 1; upload (10 %, sends large): 3", "of the requests of upload were within 200 ms"):
        assert said in page
    assert known.verdict is not None
    assert known.verification is not None
    lines = "\n".join(verdict_lines(known.verdict))
    assert "worst segment upload (MISSED its objective): too few answers for a p99 over 360 requests, 2 failed" in lines
    shown = "\n".join(load_lines(known.verification, None, None))
    assert "class     upload: 0 failed of 360; p50" in shown
    assert "(a p99 takes 459)" in shown


def test_one_kind_of_requests_has_no_table_of_classes(
    findings: Findings, provenance: Provenance, verdict: Verdict
) -> None:
    page = render_report(findings, provenance)
    assert "segment of users" not in page
    assert "worst segment" not in "\n".join(verdict_lines(verdict))
