"""The same hand-made run as the unit tests of the page, and the browser that opens it."""

from collections.abc import Iterator
from typing import Any

import pytest

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
