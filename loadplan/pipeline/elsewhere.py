"""What carries a plan beyond this machine: what the model asks of any, and profiles of others, with their keys."""

from loadplan.export.artifact import ExportRun
from loadplan.pipeline import artifacts
from loadplan.pipeline.profiles import measured_types
from loadplan.pipeline.stage import Road, made_by
from loadplan.plan.hardware.measured import MeasuredType
from loadplan.plan.hardware.roofline import Costs
from loadplan.store.codec import read_record


def elsewhere_inputs(road: Road) -> dict[str, str]:
    """The exported variants, and the profiles by type: what decides whether a kept plan still holds."""
    return {**made_by(road, "export"), **{f"profile {one.label}": one.sha256 for one in road.profiles}}


def graph_costs(road: Road) -> Costs:
    """What the graph of each variant asks of a machine; variants whose costs could not be read are left out."""
    return {model.variant: model.costs for model in _exported(road).models if model.costs}


def measured_elsewhere(road: Road) -> tuple[MeasuredType, ...]:
    """What the profiles of an open road say of its scenario.

    Raises:
        InputError: as `measured_types`.
    """
    if not road.profiles:
        return ()
    return measured_types(
        road.profiles,
        scenario=road.scenario,
        exported=_exported(road),
        model_sha256=road.folder.require("export").inputs["model"],
    )


def _exported(road: Road) -> ExportRun:
    return read_record(road.folder.path / artifacts.EXPORT, ExportRun, schema="loadplan.export/1")
