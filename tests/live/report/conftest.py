"""The same hand-made run as the unit tests of the page, and the browser that opens it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from loadplan.report.findings import Findings, Provenance
from loadplan.report.html import render_report
from tests.live.report.browser import reset, started
from tests.unit.report.conftest import (
    bench,
    catalog,
    export,
    findings,
    fit,
    invalid,
    machine,
    make_plan,
    plan,
    provenance,
    scenario,
    verdict,
    verification,
)

__all__ = [
    "bench",
    "catalog",
    "export",
    "findings",
    "fit",
    "invalid",
    "machine",
    "make_plan",
    "plan",
    "provenance",
    "scenario",
    "verdict",
    "verification",
]


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with started(tmp_path_factory.mktemp("profile")) as session:
        yield session


@pytest.fixture
def browser(running: Any) -> Any:
    """As new for every test."""
    reset(running)
    return running


@pytest.fixture(scope="session")
def addresses(
    findings: Findings, invalid: Findings, provenance: Provenance, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """A whole run for engineers and for its budget, an invalid one and one that stopped at once."""
    folder = tmp_path_factory.mktemp("pages")
    pages = {
        "whole": render_report(findings, provenance),
        "budget": render_report(findings, provenance, audience="budget"),
        "invalid": render_report(invalid, replace(provenance, failure="the live verification is invalid")),
        "stopped": render_report(
            Findings(scenario=findings.scenario, machine=findings.machine),
            replace(provenance, failure="the port is taken; free it"),
        ),
    }
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in pages}
