"""The same hand-made run as the unit tests of the page."""

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
