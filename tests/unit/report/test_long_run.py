"""A run of hours, or of millions of requests: the page stays one that can be sent and opened."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadplan.load.records import PayloadClasses
from loadplan.machine import Machine
from loadplan.report.findings import Findings, Provenance
from loadplan.report.html import render_report
from loadplan.report.stretches import N_STRETCHES_MOST
from tests.unit.report.hand_made import load_run
from tests.unit.report.planned_run import write_findings

PAGE_BYTES_MOST = 2_500_000
MEMORY_BYTES_MOST = 1 << 30
# The memory is that of the process itself, which what a parent held is no part of.
REPORT = """
import re, sys
from loadplan.cli.app import run_command_line
code = run_command_line(["report", sys.argv[1], "--quiet"])
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
sys.exit(code)
"""


def long(findings: Findings, machine: Machine, *, rate_rps: float, duration_s: float) -> Findings:
    """The same run, verified for so long."""
    run = load_run(machine, name="verification", purpose="verification", rate_rps=rate_rps, duration_s=duration_s)
    assert findings.verdict is not None
    return replace(findings, verification=run, verdict=replace(findings.verdict, n_requests=run.requests.n_requests))


def test_a_run_of_three_hours_is_shown_in_stretches_that_a_page_can_list(
    findings: Findings, machine: Machine, provenance: Provenance
) -> None:
    html = render_report(long(findings, machine, rate_rps=2.0, duration_s=10_800.0), provenance)
    assert len(html.encode()) <= PAGE_BYTES_MOST
    figures = re.findall(r"<figure.*?</figure>", html, re.DOTALL)
    in_time = [figure for figure in figures if "-in-time-title" in figure]
    assert len(in_time) == 2
    assert all("seconds since the run began" in figure and "60 s" in figure for figure in in_time)
    assert all(figure.count("<tr>") <= 3 * N_STRETCHES_MOST + 1 for figure in figures)
    # Two requests a second were due in its tenth minute, give or take their luck.
    rows = [re.findall(r"<t[dh][^>]*>(?:<[^>]*>)*([^<]*)", row) for row in in_time[0].split("<tr>")]
    (due,) = [row[1] for row in rows if row[:1] == ["600"]]
    assert float(due) == pytest.approx(2.0, rel=0.4)


def of_two_classes(known: Findings) -> Findings:
    """The same run, nine in ten of its requests of one class and the others of another."""
    run = known.verification
    assert run is not None
    classes = PayloadClasses(names=("web", "upload"), shares=(0.9, 0.1), of_payload=np.array([0, 1], dtype=np.int16))
    is_upload = np.random.default_rng(5).random(run.requests.n_requests) < 0.1
    requests = replace(run.requests, payload=is_upload.astype(np.int32))
    payload_rows = np.ones(2, dtype=np.int32)
    return replace(known, verification=replace(run, requests=requests, classes=classes, payload_rows=payload_rows))


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("classed", [lambda known: known, of_two_classes], ids=["one-class", "two-classes"])
def test_ten_million_requests_become_a_page_within_a_gibibyte(
    findings: Findings, machine: Machine, tmp_path: Path, classed: Callable[[Findings], Findings]
) -> None:
    known = classed(long(findings, machine, rate_rps=1_000.0, duration_s=10_000.0))
    run = write_findings(tmp_path, known)
    done = subprocess.run([sys.executable, "-c", REPORT, str(run)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) * 1024 <= MEMORY_BYTES_MOST
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "10,000,000 requests due in" in page
    assert len(page.encode()) <= PAGE_BYTES_MOST
