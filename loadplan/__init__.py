"""loadplan: which hardware serves this model at this traffic within this latency, at what price, and how we know.

The road the data takes: scenario → export → bench → load → fit → plan → verify → report. Every stage is a function,
`run` walks them all, and each returns a record. Nothing is imported until it is asked for: `__init__.pyi` tells type
checkers and editors what the names here are. In a notebook records show as tables; see docs/python.md.
"""

import sys
from importlib import import_module

__version__ = "0.1.0.dev0"

_FUNCTIONS = (
    "bench_model",
    "compare_runs",
    "fit_run",
    "load_scenario",
    "load_url",
    "plan_given",
    "plan_run",
    "quick",
    "quick_service",
    "read_demand",
    "read_run",
    "read_scenario",
    "report_run",
    "run",
    "to_frame",
    "verify_run",
)
# Where each name is at home. None of them is that of a package below this one: those would hide it.
_HOMES = {
    **dict.fromkeys(_FUNCTIONS, "loadplan.stages"),
    "demand_from_users": "loadplan.demand.business",
    "as_html": "loadplan.report.notebook",
    "load_ipython_extension": "loadplan.report.display",
    "BenchRun": "loadplan.bench.records",
    "CapacityFit": "loadplan.fit.records",
    "Caveat": "loadplan.caveat",
    "Demand": "loadplan.demand.records",
    "ExportRun": "loadplan.export.artifact",
    "Findings": "loadplan.report.findings",
    "Fleet": "loadplan.plan.records.fleet",
    "LoadRequest": "loadplan.pipeline.adhoc",
    "LoadRun": "loadplan.load.records",
    "Plan": "loadplan.plan.records.fleet",
    "QuickEnd": "loadplan.pipeline.quick",
    "QuickServiceEnd": "loadplan.pipeline.quick_service",
    "RoadEnd": "loadplan.pipeline.road",
    "RunComparison": "loadplan.comparison",
    "Scenario": "loadplan.scenario.spec",
    "ServiceQuestion": "loadplan.scenario.service_draft",
    "Verdict": "loadplan.verify",
    "EnvironmentFault": "loadplan.errors",
    "InputError": "loadplan.errors",
    "Interrupted": "loadplan.errors",
    "InvalidMeasurement": "loadplan.errors",
    "LoadplanError": "loadplan.errors",
    "ObjectiveMissed": "loadplan.errors",
}
__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 -- the names are the keys


def __getattr__(name: str) -> object:
    """A stage or a record, imported now that it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found  # so that this happens once
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


if "IPython" in sys.modules:
    import_module("loadplan.report.display").show_records()
