"""The export stage: build the model, convert it, prove that it is still the same, and only then keep the file.

A variant is checked in a folder of its own that is thrown away; its file appears under its final name, whole, after
the check passed. So whatever lies in the models folder has proved its parity.

A variant that can't be made, or that is no longer the same model, is refused with its reason and the others go on; the
export fails only when none is left.
"""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from types import MappingProxyType

import numpy as np

from loadplan.caveat import Caveat
from loadplan.errors import EnvironmentFault, InputError, LoadplanError, ObjectiveMissed, first_line
from loadplan.execution import ExecutionConfig
from loadplan.export.artifact import ExportedModel, ExportRun, RefusalCause, RefusedVariant
from loadplan.export.factory import build_model, missing_package
from loadplan.export.gate import lost_quality, quality_of, require_judgeable
from loadplan.export.opening import timed
from loadplan.export.padding import padding_caveats, why_not_padded
from loadplan.export.parity import check_parity
from loadplan.export.source import Conversion, TrainedModel
from loadplan.inference import load_runtime, open_session, runtime_version
from loadplan.scenario.payloads import PayloadSet, take_rows
from loadplan.scenario.spec import ModelSource, ModelSourceKind
from loadplan.store.files import write_bytes

# The module that converts models of each framework: `convert` and PACKAGES, what decides the bytes of the graph.
_MODULES: Mapping[ModelSourceKind, str] = MappingProxyType(
    {
        "sklearn": "loadplan.export.sklearn",
        "xgboost": "loadplan.export.xgboost",
        "lightgbm": "loadplan.export.lightgbm",
        "torch": "loadplan.export.torch",
        "transformers": "loadplan.export.transformers",
    }
)
# Less is rounding; this much a caller may notice.
_SPREAD_WORTH_SAYING = 1e-3
_NAMED = 5  # names in a sentence; all are in export.json


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportStep:
    """What an export is at; whoever watches one that hangs wants to know."""

    doing: str  # such as `building the model`
    variant: str | None = None  # the variant that it is done for; None: all of them


OnStep = Callable[[ExportStep], None]
BUILDING = "building the model"  # where the user's own code runs
OPENING = "opening the model file"


def unheard(_: ExportStep) -> None:
    """Nobody watches."""


class _RefusedError(Exception):
    """A variant that is not to be used, and the error to end with should none be left."""

    def __init__(self, cause: RefusalCause, error: LoadplanError) -> None:
        super().__init__(error.what)
        self.cause = cause
        self.error = error


def export_model(
    source: ModelSource, *, models_folder: Path, on_step: OnStep = unheard
) -> tuple[ExportRun, PayloadSet]:
    """Write `<variant>.onnx` for every variant asked for, and return what describes them and the requests to send.

    It runs the user's code and the converters here, for as long as they take; `isolated.export_isolated` doesn't.
    `on_step` hears of each step before it begins.

    Raises:
        InputError: when the factory or its estimator can't be used.
        EnvironmentFault: when a package of the framework or ONNX Runtime is not installed, the disk is full, or no
            variant could be made.
        ObjectiveMissed: when no variant is left that answers like its source; no file of a refused one is left.
    """
    trained, conversion, packages, doubts = _given(source, on_step)
    payloads = PayloadSet(
        inputs=conversion.inputs,
        expected=conversion.answers,
        segments=tuple(trained.segments) if trained.segments is not None else ("",) * trained.n_rows,
        labels=trained.labels,
        groups=None if trained.groups is None else np.unique(np.asarray(trained.groups), return_inverse=True)[1],
        lengths=conversion.lengths,
        sequences=conversion.sequences,
    )
    require_judgeable(source, trained, conversion, payloads)
    unpadded = why_not_padded(conversion.onnx, payloads, source.parity.get("fp32"))
    models: list[ExportedModel] = []
    refusals: dict[str, _RefusedError] = {}
    for variant in source.variants:
        try:
            model = _export_variant(
                variant, source, conversion, payloads, pads=unpadded is None, folder=models_folder, on_step=on_step
            )
            models.append(model)
        except _RefusedError as refusal:
            refusals[variant] = refusal
    if not models:
        raise _none_left(refusals)
    on_step(ExportStep(doing="timing how fast sessions open"))
    models = timed(models, models_folder)
    versions = {name: metadata.version(name) for name in packages}
    runtime, _, runtime_number = runtime_version().partition(" ")
    kind = "file" if trained.estimator is None else type(trained.estimator).__name__
    made_of = "; ".join(filter(None, (kind, conversion.note)))
    run = ExportRun(
        source=f"{source.kind} {source.named} ({made_of})",
        versions={**versions, runtime: runtime_number},
        models=tuple(models),
        refused=tuple(refused_variant(name, refusal.cause, refusal.error) for name, refusal in refusals.items()),
        caveats=(
            *doubts,
            *(refused_caveat(variant, refusal.error) for variant, refusal in refusals.items()),
            *_company_caveats(models),
            *_unproved_caveats(models),
            *(() if conversion.takes_one_row else padding_caveats(unpadded, payloads)),
        ),
    )
    return run, payloads


def _given(
    source: ModelSource, on_step: OnStep
) -> tuple[TrainedModel, Conversion, tuple[str, ...], tuple[Caveat, ...]]:
    """Model and rows, the graph, the packages that made it, and what is doubtful about the rows."""
    if source.kind == "onnx":
        from loadplan.export import onnx_file

        on_step(ExportStep(doing="looking at the model file"))
        trained, conversion, doubts = onnx_file.read_model(source)
        return trained, conversion, onnx_file.PACKAGES, doubts
    trained, doubts = _trained(source, on_step)
    on_step(ExportStep(doing="converting the model"))
    conversion, packages = _convert(source, trained)
    return trained, conversion, packages, (*doubts, *conversion.caveats)


def _trained(source: ModelSource, on_step: OnStep) -> tuple[TrainedModel, tuple[Caveat, ...]]:
    if source.factory is None:
        from loadplan.export.model_file import read_model

        on_step(ExportStep(doing=OPENING))
        return read_model(source)
    on_step(ExportStep(doing=BUILDING))
    trained = build_model(source)
    if source.file is not None:
        from loadplan.export.model_file import fill

        on_step(ExportStep(doing=OPENING))
        fill(trained, source)
    return trained, ()


def _convert(source: ModelSource, trained: TrainedModel) -> tuple[Conversion, tuple[str, ...]]:
    """The framework's module is imported only now: each needs an extra of its own."""
    try:
        framework = import_module(_MODULES[source.kind])
    except ModuleNotFoundError as error:
        raise missing_package(error, "this Python environment") from error
    return framework.convert(trained, where=source.named), framework.PACKAGES


def _export_variant(
    variant: str,
    source: ModelSource,
    conversion: Conversion,
    payloads: PayloadSet,
    *,
    pads: bool,
    folder: Path,
    on_step: OnStep,
) -> ExportedModel:
    from loadplan.export.cost import BATCH_SIZES, model_costs
    from loadplan.export.graph import read_facts
    from loadplan.export.sensitivity import sensitivity_of

    on_step(ExportStep(doing=f"making {variant}", variant=variant))
    serialised, judged = _made(variant, conversion, payloads)
    on_step(ExportStep(doing=f"checking {variant} against its source", variant=variant))
    limits = source.parity[variant]
    with tempfile.TemporaryDirectory(prefix="loadplan-export-") as scratch:
        unproved = Path(scratch) / f"{variant}.onnx"
        write_bytes(unproved, serialised)
        try:
            session = open_session(unproved, ExecutionConfig(variant=variant))
        except InputError as error:
            raise _RefusedError("making", error) from error
        try:
            parity = check_parity(session, judged, variant=variant, limits=limits, pads=pads)
        except ObjectiveMissed as error:
            raise _RefusedError("parity", error) from error
        quality = quality_of(session, source, conversion, judged)
    lost = lost_quality(variant, quality, source.quality)
    if lost is not None:
        raise _RefusedError("quality", lost)
    on_step(ExportStep(doing=f"looking at what {variant} is made of", variant=variant))
    path = folder / f"{variant}.onnx"
    write_bytes(path, serialised)
    facts = read_facts(serialised)
    costs = model_costs(serialised, judged, batch_sizes=(1,) if conversion.takes_one_row else BATCH_SIZES)
    return ExportedModel(
        variant=variant,
        path=f"{folder.name}/{path.name}",
        sha256=hashlib.sha256(serialised).hexdigest(),
        n_bytes=len(serialised),
        opset=facts.opset,
        ir_version=facts.ir_version,
        n_parameters=facts.n_parameters,
        inputs=session.inputs,
        outputs=session.outputs,
        limits=limits,
        parity=parity.checks,
        batch_spread=parity.batch_spread,
        quality=quality,
        pads=pads,
        sensitivity=sensitivity_of(serialised, judged, limits, takes_one_row=conversion.takes_one_row)
        if variant == "fp32"
        else None,
        costs=costs.by_batch_size,
        costs_unknown=costs.unknown,
    )


def _made(variant: str, conversion: Conversion, payloads: PayloadSet) -> tuple[bytes, PayloadSet]:
    """The variant's graph, and the rows that may judge it."""
    if variant == "fp32":
        return conversion.onnx, payloads
    from loadplan.export.variants import calibration_batches, calibration_rows, make_variant

    load_runtime()  # without one no variant could be judged either
    try:
        calibrating = calibration_batches(payloads, takes_one_row=conversion.takes_one_row)
        serialised = make_variant(variant, conversion.onnx, calibration=calibrating)
    except InputError as error:
        raise _RefusedError("unsuitable", error) from error
    except Exception as error:  # converters raise whatever their own code happens to raise
        said = first_line(error)
        fault = EnvironmentFault(
            what=f"{variant} could not be made: {type(error).__name__}{f': {said}' if said else ''}",
            where="the conversion from fp32",
            fix=f"leave out {variant}, or install another version of ONNX Runtime",
        )
        raise _RefusedError("making", fault) from error
    if variant != "int8_static":
        return serialised, payloads
    judging = np.setdiff1d(np.arange(payloads.n_rows), calibration_rows(payloads.n_rows))
    return serialised, take_rows(payloads, judging)


def _none_left(refusals: dict[str, _RefusedError]) -> LoadplanError:
    """What the export ends with: a model that changed outweighs a graph that couldn't be made."""
    first = next(iter(refusals.values()))
    if len(refusals) == 1:
        return first.error
    causes = {refusal.cause for refusal in refusals.values()}
    kind: type[LoadplanError] = InputError
    if causes & {"parity", "quality"}:
        kind = ObjectiveMissed
    elif "making" in causes:
        kind = EnvironmentFault
    return kind(
        what="no variant is left: " + "; ".join(refusal.error.what for refusal in refusals.values()),
        where=first.error.where,
        fix=first.error.fix,
    )


def refused_variant(variant: str, cause: RefusalCause, error: LoadplanError) -> RefusedVariant:
    """What is kept of a variant that is not to be used."""
    return RefusedVariant(variant=variant, cause=cause, reason=f"{error.what} ({error.where})")


def refused_caveat(variant: str, error: LoadplanError) -> Caveat:
    """What is said of it wherever the choices are shown."""
    return Caveat(
        code="export.refused",
        what=f"the variant {variant} was asked for and is not among the choices: {error.what}",
        fix=error.fix,
    )


def _company_caveats(models: Sequence[ExportedModel]) -> list[Caveat]:
    return [
        Caveat(
            code="export.depends_on_batch",
            what=f"what {model.variant} answers to a row depends on the rows that share its batch, by up to "
            f"{model.batch_spread:.1e} on the evaluation rows",
            fix="use int8_static, whose scales are fixed, if the same row must always get the same answer",
            number=model.batch_spread,
        )
        for model in models
        if model.batch_spread > _SPREAD_WORTH_SAYING
    ]


def _unproved_caveats(models: Sequence[ExportedModel]) -> list[Caveat]:
    return [
        Caveat(
            code="export.unproved_weights",
            what=f"{len(found.unproved)} of {found.n_examined} weights of {model.variant} could be 1 % wrong and no "
            f"answer to {found.n_rows} evaluation rows would tell: {', '.join(found.unproved[:_NAMED])}"
            + ("" if len(found.unproved) <= _NAMED else " and others"),
            fix="give rows that use them, as production does",
            number=float(len(found.unproved)),
        )
        for model in models
        if (found := model.sensitivity) is not None and found.unproved
    ]
