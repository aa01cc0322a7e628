"""The hand-made run of the report's tests."""

from tests.unit.report.conftest import catalog, export, fit, machine, plan, scenario  # noqa: F401 -- fixtures
