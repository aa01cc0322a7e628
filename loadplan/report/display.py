"""Tells IPython, and so a notebook, how records show: as the small tables of `report.notebook`.

Types are named rather than imported, so that nothing is loaded before a record is there to be shown.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Records by the module that they are defined in.
SHOWN: "Mapping[str, tuple[str, ...]]" = {
    "loadplan.caveat": ("Caveat",),
    "loadplan.demand.records": ("Demand",),
    "loadplan.scenario.spec": ("Scenario",),
    "loadplan.export.artifact": ("ExportRun",),
    "loadplan.bench.records": ("BenchRun",),
    "loadplan.load.records": ("LoadRun",),
    "loadplan.fit.records": ("CapacityFit",),
    "loadplan.plan.records.fleet": ("Fleet", "Plan"),
    "loadplan.verify": ("Verdict",),
    "loadplan.report.findings": ("Findings",),
    "loadplan.pipeline.road": ("RoadEnd",),
    "loadplan.pipeline.quick": ("QuickEnd",),
    "loadplan.pipeline.quick_service": ("QuickServiceEnd",),
}


def load_ipython_extension(ipython: Any) -> None:
    """What `%load_ext loadplan` calls, and `import loadplan` in a notebook by itself."""
    formatters = ipython.display_formatter.formatters
    for module, names in SHOWN.items():
        for name in names:
            formatters["text/html"].for_type_by_name(module, name, _as_html)
            formatters["text/plain"].for_type_by_name(module, name, _as_line)


def show_records() -> None:
    """The same in the IPython that this process is, if it is one."""
    from IPython import get_ipython

    ipython = get_ipython()
    if ipython is not None:
        load_ipython_extension(ipython)


def _as_line(record: Any, printer: Any, cycle: bool) -> None:  # noqa: ARG001 -- as IPython calls it
    """What a record holds, by name: with all its samples it would fill a notebook's file and a terminal for minutes."""
    printer.text(f"{type(record).__name__} of {', '.join(record.__dataclass_fields__)}")


def _as_html(record: object) -> str:
    from loadplan.report.notebook import as_html

    return as_html(record)
