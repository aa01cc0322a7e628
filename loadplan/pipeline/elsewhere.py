"""What the profiles of an open road bring into its plan, and what of them decides whether a kept plan still holds."""

from loadplan.export.artifact import ExportRun
from loadplan.pipeline import artifacts
from loadplan.pipeline.profiles import measured_types
from loadplan.pipeline.stage import Road, made_by
from loadplan.plan.measured import MeasuredType
from loadplan.store.codec import read_record


def profile_inputs(road: Road) -> dict[str, str]:
    """The profiles by type, and the variants that may be taken from them; nothing where there is no profile."""
    if not road.profiles:
        return {}
    return {**made_by(road, "export"), **{f"profile {one.label}": one.sha256 for one in road.profiles}}


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
        exported=read_record(road.folder.path / artifacts.EXPORT, ExportRun, schema="loadplan.export/1"),
        model_sha256=road.folder.require("export").inputs["model"],
    )
