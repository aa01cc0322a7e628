"""Hostile names stay text, and the page asks nobody for anything."""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from loadplan.caveat import Caveat
from loadplan.report.assets import plotly_script
from loadplan.report.findings import Findings, Provenance
from loadplan.report.html import render_report, render_split_report
from tests.unit.report.reading import everything, read

Page = Callable[[Findings], str]


@pytest.fixture
def page(provenance: Provenance) -> Page:
    return lambda known: render_report(known, provenance)


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"'&amp; \u202egnp.exe"


def hostile(findings: Findings) -> Findings:
    """The name wherever a scenario, a model or a run can bring one."""
    assert findings.bench is not None
    assert findings.export is not None
    assert findings.plan is not None
    assert findings.loads is not None
    assert findings.fit is not None
    cells = tuple(
        replace(
            summary,
            cell=replace(summary.cell, execution=replace(summary.cell.execution, variant=HOSTILE)),
        )
        for summary in findings.bench.cells
    )
    models = tuple(
        replace(model, variant=HOSTILE, quality=tuple(replace(one, segment=HOSTILE) for one in model.quality))
        for model in findings.export.models
    )
    residuals = tuple(replace(one, run=HOSTILE) for one in findings.fit.overhead.residuals)
    return replace(
        findings,
        scenario=replace(findings.scenario, name=HOSTILE, traffic=replace(findings.scenario.traffic, profile=HOSTILE)),
        machine=replace(findings.machine, cpu_model=HOSTILE),
        bench=replace(findings.bench, cells=cells),
        export=replace(findings.export, source=HOSTILE, models=models),
        loads=tuple(replace(run, spec=replace(run.spec, name=HOSTILE)) for run in findings.loads),
        fit=replace(findings.fit, overhead=replace(findings.fit.overhead, residuals=residuals)),
        plan=replace(
            findings.plan,
            caveats=(Caveat(code=HOSTILE, what=HOSTILE, fix=HOSTILE),),
            runners_up=tuple(replace(fleet, reason=HOSTILE) for fleet in findings.plan.runners_up),
        ),
    )


def test_hostile_names_stay_text(findings: Findings, provenance: Provenance) -> None:
    named = replace(provenance, run=HOSTILE, command=HOSTILE, failure=HOSTILE, versions={HOSTILE: HOSTILE})
    clean, dirty = read(render_report(findings, provenance)), read(render_report(hostile(findings), named))
    # A tag more or less would be one that a name brought or broke; links to more doubts may come and go.
    count = {tag: [t for t, _ in clean.tags].count(tag) for tag in ("script", "img", "style", "table", "svg")}
    assert {tag: [t for t, _ in dirty.tags].count(tag) for tag in count} == count
    assert not any(name.startswith("on") for _, attributes in dirty.tags for name in attributes)


def test_marks_that_turn_the_direction_of_text_are_written_out(page: Page, findings: Findings) -> None:
    html = page(hostile(findings))
    assert "\u202e" not in html
    assert "\\u202egnp.exe" in everything(html)


def test_the_page_asks_no_host_for_anything(page: Page, findings: Findings) -> None:
    html = page(findings)
    own = html.replace(plotly_script(), "")
    assert re.findall(r"https?://[^\s\"'<]*", own) == []
    sources = [attributes for _, attributes in read(html).tags if attributes.get("src")]
    assert sources == []
    links = {attributes.get("href") or "" for tag, attributes in read(html).tags if tag in {"a", "link"}}
    assert all(link.startswith(("#", "data:")) for link in links)


def policy_of(html: str) -> dict[str, list[str]]:
    """What the page allows itself, by directive."""
    policy = next(a["content"] for t, a in read(html).tags if t == "meta" and "http-equiv" in a)
    assert policy is not None
    return {name: sources for name, *sources in (part.split() for part in policy.split(";"))}


def sha256_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_page_allows_itself_its_own_style_and_scripts_by_their_hashes_and_nothing_else(
    page: Page, findings: Findings
) -> None:
    html = page(findings)
    scripts = re.findall(r"<script>(.*?)</script>", html, flags=re.S)
    (style,) = re.findall(r"<style[^>]*>(.*?)</style>", html, flags=re.S)
    assert len(scripts) == 2
    assert policy_of(html) == {
        "default-src": ["'none'"],
        "script-src": [sha256_of(script) for script in scripts],
        "style-src": [sha256_of(style)],
        "img-src": ["data:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }


def test_no_element_of_the_page_has_a_style_of_its_own(page: Page, findings: Findings) -> None:
    # The page's own policy would drop it, and say so on the console.
    assert [tag for tag, attributes in read(page(findings)).tags if "style" in attributes] == []


def test_a_page_in_several_files_carries_nothing_that_runs_and_says_the_same(
    findings: Findings, provenance: Provenance
) -> None:
    files = render_split_report(findings, provenance)
    html = files.pop("report.html")
    tags = read(html).tags
    assert set(files) == {"report.css", "plotly.js", "report.js"}
    assert [a["src"] for t, a in tags if t == "script" and a.get("type") is None] == ["plotly.js", "report.js"]
    assert [a["href"] for t, a in tags if t == "link" and a.get("rel") == "stylesheet"] == ["report.css"]
    assert "style" not in {t for t, _ in tags}
    assert everything(html) == everything(render_report(findings, provenance))
    allowed = policy_of(html)
    assert (allowed["default-src"], allowed["script-src"], allowed["style-src"]) == (["'none'"], ["'self'"], ["'self'"])
