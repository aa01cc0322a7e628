"""The export stage: build the model, convert it, prove that it is still the same, and only then keep the file.

A variant is checked in a folder of its own that is thrown away; its file appears under its final name, whole, after
the check passed. So whatever lies in the models folder has proved its parity.
"""

import hashlib
import tempfile
from importlib import metadata
from pathlib import Path

from loadplan.execution import ExecutionConfig
from loadplan.export.artifact import ExportedModel, ExportRun, SegmentQuality
from loadplan.export.factory import build_model, missing_package
from loadplan.export.parity import answer, check_parity
from loadplan.export.quality import segment_quality
from loadplan.export.source import Conversion, TrainedModel
from loadplan.inference import Session, open_session, runtime_version
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import ModelSource
from loadplan.store.files import write_bytes


def export_model(source: ModelSource, *, models_folder: Path) -> tuple[ExportRun, PayloadSet]:
    """Write `<variant>.onnx` for every variant asked for, and return what describes them and the requests to send.

    Raises:
        InputError: when the factory or its estimator can't be used.
        EnvironmentFault: when a package of the framework or ONNX Runtime is not installed, or the disk is full.
        ObjectiveMissed: when a variant doesn't answer like its source; no file of it is left.
    """
    trained = build_model(source)
    conversion, packages = _convert(source, trained)
    payloads = PayloadSet(
        inputs=conversion.inputs,
        expected=conversion.answers,
        segments=tuple(trained.segments) if trained.segments is not None else ("",) * len(trained.rows),
        labels=trained.labels,
    )
    models = tuple(
        _export_variant(
            variant, conversion, payloads, max_abs_error_allowed=source.max_abs_error[variant], folder=models_folder
        )
        for variant in source.variants
    )
    versions = {name: metadata.version(name) for name in packages}
    runtime, _, runtime_number = runtime_version().partition(" ")
    run = ExportRun(
        source=f"{source.kind} {source.factory} ({type(trained.estimator).__name__})",
        versions={**versions, runtime: runtime_number},
        models=models,
    )
    return run, payloads


def _convert(source: ModelSource, trained: TrainedModel) -> tuple[Conversion, tuple[str, ...]]:
    """The framework's module is imported only now: each needs an extra of its own."""
    try:
        from loadplan.export import sklearn
    except ModuleNotFoundError as error:
        raise missing_package(error, "this Python environment") from error
    return sklearn.convert(trained, where=source.factory), sklearn.PACKAGES


def _export_variant(
    variant: str, conversion: Conversion, payloads: PayloadSet, *, max_abs_error_allowed: float, folder: Path
) -> ExportedModel:
    from loadplan.export.graph import read_facts

    with tempfile.TemporaryDirectory(prefix="loadplan-export-") as scratch:
        unproved = Path(scratch) / f"{variant}.onnx"
        write_bytes(unproved, conversion.onnx)
        session = open_session(unproved, ExecutionConfig(variant=variant))
        parity = check_parity(session, payloads, variant=variant, max_abs_error_allowed=max_abs_error_allowed)
        quality = _quality(session, conversion, payloads)
    path = folder / f"{variant}.onnx"
    write_bytes(path, conversion.onnx)
    facts = read_facts(conversion.onnx)
    return ExportedModel(
        variant=variant,
        path=f"{folder.name}/{path.name}",
        sha256=hashlib.sha256(conversion.onnx).hexdigest(),
        n_bytes=len(conversion.onnx),
        opset=facts.opset,
        ir_version=facts.ir_version,
        n_parameters=facts.n_parameters,
        inputs=session.inputs,
        outputs=session.outputs,
        max_abs_error_allowed=max_abs_error_allowed,
        parity=parity,
        quality=quality,
    )


def _quality(session: Session, conversion: Conversion, payloads: PayloadSet) -> tuple[SegmentQuality, ...]:
    """Empty where there is no truth to compare with, or the model doesn't name classes."""
    output = conversion.label_output
    if payloads.labels is None or output is None:
        return ()
    predicted = answer(session, payloads.inputs, batch_size=payloads.n_rows, n_rows=payloads.n_rows)[output]
    return segment_quality(
        predicted,
        source_predicted=payloads.expected[output],
        labels=payloads.labels,
        segments=payloads.segments,
    )
