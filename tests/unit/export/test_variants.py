"""fp16 and int8 of real models in a real ONNX Runtime: made, judged, refused."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from loadplan.errors import EnvironmentFault, InputError, LoadplanError, ObjectiveMissed
from loadplan.execution import ExecutionConfig
from loadplan.export import variants
from loadplan.export.artifact import ExportedModel, ExportRun
from loadplan.export.company import own_answers
from loadplan.export.runner import export_model
from loadplan.export.variants import calibration_rows
from loadplan.inference import open_session
from loadplan.inference import run as infer
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import ModelSource, ParityLimits, QualityGate

ROOT = Path(__file__).parents[3]
ALL = ("fp32", "fp16", "int8_dynamic", "int8_static")
FP32 = ParityLimits(max_abs_error=1e-5, top1_agreement_ratio=None, min_cosine=None)
LOSSY = ParityLimits(max_abs_error=None, top1_agreement_ratio=0.99, min_cosine=0.99)

HEADER = """\
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from loadplan.export.source import TrainedModel
rows = np.random.default_rng(0).normal(size=(N_ROWS, 6)).astype(np.float32)
labels = (rows.sum(axis=1) > 0).astype(int)
"""
MLP = "MLPClassifier(hidden_layer_sizes=(16,), max_iter=300, random_state=0, tol=1e-3).fit(rows, labels)"
FOREST = "RandomForestClassifier(5, random_state=0).fit(rows, labels)"


def export(
    folder: Path,
    estimator: str,
    *,
    chosen: Sequence[str] = ALL,
    limits: ParityLimits = LOSSY,
    extra: str = "",
    quality: QualityGate | None = None,
    n_rows: int = 400,
) -> tuple[ExportRun, PayloadSet]:
    """Export this estimator, in these variants."""
    (folder / "shop_model.py").write_text(
        f"{HEADER.replace('N_ROWS', str(n_rows))}\ndef build():\n"
        f"    return TrainedModel(estimator={estimator}, rows=rows{extra})\n"
    )
    source = ModelSource(
        kind="sklearn",
        factory="shop_model:build",
        folder=str(folder),
        variants=tuple(chosen),
        parity={variant: FP32 if variant == "fp32" else limits for variant in chosen},
        quality=quality,
    )
    models = folder / "models"
    models.mkdir(exist_ok=True)
    return export_model(source, models_folder=models)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, ExportedModel], ExportRun, Path, PayloadSet]:
    models = tmp_path_factory.mktemp("digits") / "models"
    models.mkdir()
    source = ModelSource(
        kind="sklearn",
        factory="digits_model:build",
        folder=str(ROOT / "scenarios"),
        variants=ALL,
        parity={variant: FP32 if variant == "fp32" else LOSSY for variant in ALL},
    )
    run, payloads = export_model(source, models_folder=models)
    return {model.variant: model for model in run.models}, run, models, payloads


def low_weights(path: Path, *types: int) -> set[tuple[int, ...]]:
    return {tuple(tensor.dims) for tensor in onnx.load(path).graph.initializer if tensor.data_type in types}


def test_every_variant_of_the_digits_reads_them_like_its_source(
    digits: tuple[dict[str, ExportedModel], ExportRun, Path, PayloadSet],
) -> None:
    by_name, run, _, _ = digits
    assert tuple(by_name) == ALL
    assert run.refused == ()
    for model in run.models:
        assert all((check.top1_agreement_ratio or 0.0) >= 0.99 for check in model.parity)
        assert all(check.min_cosine is not None and check.min_cosine >= 0.99 for check in model.parity)
        assert [part.segment for part in model.quality] == ["", "heavy", "light", "medium"]


def test_the_weights_are_really_smaller(digits: tuple[dict[str, ExportedModel], ExportRun, Path, PayloadSet]) -> None:
    by_name, _, folder, _ = digits
    layers = {(64, 256), (256, 128), (128, 10)}
    assert layers <= low_weights(folder / "fp16.onnx", onnx.TensorProto.FLOAT16)
    for variant in ("int8_dynamic", "int8_static"):
        assert layers <= low_weights(folder / f"{variant}.onnx", onnx.TensorProto.INT8)
        assert by_name[variant].n_bytes < 0.35 * by_name["fp32"].n_bytes
    assert by_name["fp16"].n_bytes < 0.65 * by_name["fp32"].n_bytes


def test_the_signature_stays_the_same(digits: tuple[dict[str, ExportedModel], ExportRun, Path, PayloadSet]) -> None:
    by_name, _, _, _ = digits
    for model in by_name.values():
        assert (model.inputs, model.outputs) == (by_name["fp32"].inputs, by_name["fp32"].outputs)
        assert (model.opset, model.ir_version) == (21, 10)


def test_rows_that_calibrated_do_not_judge(
    digits: tuple[dict[str, ExportedModel], ExportRun, Path, PayloadSet],
) -> None:
    by_name, _, _, _ = digits
    assert by_name["int8_static"].parity[-1].n_rows == 450 - 90
    assert by_name["int8_static"].quality[0].n_rows == 450 - 90
    assert by_name["int8_dynamic"].parity[-1].n_rows == 450
    assert len(calibration_rows(100_000)) == 512
    assert len(calibration_rows(4)) == 0
    assert len(set(calibration_rows(100).tolist())) == 20


def test_a_dynamic_scale_makes_answers_depend_on_their_batch_and_that_is_said(
    digits: tuple[dict[str, ExportedModel], ExportRun, Path, PayloadSet],
) -> None:
    by_name, run, _, _ = digits
    assert by_name["fp32"].batch_spread < 1e-5
    assert by_name["int8_static"].batch_spread < 1e-5
    assert by_name["int8_dynamic"].batch_spread > 1e-3
    assert [caveat.code for caveat in run.caveats] == ["export.depends_on_batch"]
    assert "int8_dynamic" in run.caveats[0].what


def test_the_answers_in_any_company_lie_within_twice_the_spread_that_was_seen(
    digits: tuple[dict[str, ExportedModel], ExportRun, Path, PayloadSet],
) -> None:
    by_name, _, folder, payloads = digits
    session = open_session(folder / "int8_dynamic.onnx", ExecutionConfig(variant="int8_dynamic"))
    usual = own_answers(session, payloads)["probabilities"].astype(np.float64)
    generator = np.random.default_rng(1)
    worst = 0.0
    for _ in range(300):  # batches as a server makes them: any rows, any number up to 32
        rows = generator.integers(payloads.n_rows, size=generator.integers(1, 33))
        answers = infer(session, {name: values[rows] for name, values in payloads.inputs.items()})
        worst = max(worst, float(np.abs(answers["probabilities"].astype(np.float64) - usual[rows]).max()))
    spread = by_name["int8_dynamic"].batch_spread
    assert 0.5 * spread < worst < 2.0 * spread


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = [[model.sha256 for model in export(tmp_path, MLP)[0].models] for _ in range(2)]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 4


def test_making_variants_leaves_the_search_path_as_it_was(tmp_path: Path) -> None:
    before = list(sys.path)
    for name in [name for name in sys.modules if name.startswith("onnxruntime.transformers")]:
        del sys.modules[name]
    export(tmp_path, MLP, chosen=("fp32", "fp16"))
    assert sys.path == before


def test_trees_have_nothing_to_convert_and_only_fp32_is_left(tmp_path: Path) -> None:
    run, _ = export(tmp_path, FOREST)
    assert [model.variant for model in run.models] == ["fp32"]
    assert [(refusal.variant, refusal.cause) for refusal in run.refused] == [
        (variant, "unsuitable") for variant in ALL[1:]
    ]
    assert all("would be fp32 under another name" in refusal.reason for refusal in run.refused)
    assert [caveat.code for caveat in run.caveats] == ["export.refused"] * 3
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["fp32.onnx"]


def test_a_variant_that_classifies_otherwise_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    strict = ParityLimits(max_abs_error=1e-9, top1_agreement_ratio=None, min_cosine=None)
    run, _ = export(tmp_path, MLP, chosen=("fp32", "int8_dynamic"), limits=strict)
    assert [(refusal.variant, refusal.cause) for refusal in run.refused] == [("int8_dynamic", "parity")]
    assert "variant int8_dynamic differs from its source" in run.refused[0].reason
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["fp32.onnx"]


def test_answers_without_classes_are_judged_by_their_direction(tmp_path: Path) -> None:
    regressor = (
        "MLPRegressor(hidden_layer_sizes=(16,), max_iter=900, random_state=0, tol=1e-3).fit(rows, rows.sum(axis=1))"
    )
    limits = ParityLimits(max_abs_error=None, top1_agreement_ratio=0.99, min_cosine=0.99)
    run, _ = export(tmp_path, regressor, chosen=("fp32", "int8_dynamic"), limits=limits)
    cosines = [check.min_cosine for check in run.models[1].parity]
    assert all(cosine is not None and 0.99 <= cosine < 1.0 for cosine in cosines)
    too_strict = ParityLimits(max_abs_error=None, top1_agreement_ratio=None, min_cosine=1.0)
    with pytest.raises(ObjectiveMissed, match="variant int8_dynamic has an answer whose cosine"):
        export(tmp_path, regressor, chosen=("int8_dynamic",), limits=too_strict)


@pytest.mark.parametrize(
    ("chosen", "estimator", "kind", "said"),
    [
        (("fp16",), FOREST, InputError, "fp16 would be fp32 under another name"),
        (("fp16", "int8_static"), FOREST, InputError, "no variant is left: fp16 would be"),
        (("int8_dynamic",), MLP, ObjectiveMissed, "variant int8_dynamic differs from its source"),
        (("fp16", "int8_dynamic"), MLP, ObjectiveMissed, "no variant is left: variant fp16 differs"),
    ],
)
def test_when_no_variant_is_left_the_export_ends_with_the_gravest_reason(
    tmp_path: Path, chosen: tuple[str, ...], estimator: str, kind: type[LoadplanError], said: str
) -> None:
    strict = ParityLimits(max_abs_error=1e-12, top1_agreement_ratio=None, min_cosine=None)
    with pytest.raises(kind) as caught:
        export(tmp_path, estimator, chosen=chosen, limits=strict)
    assert said in caught.value.what
    assert list((tmp_path / "models").iterdir()) == []


def test_a_converter_that_fails_costs_its_own_variant_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> onnx.ModelProto:
        raise RuntimeError("no kernel today\nand a second line")

    monkeypatch.setitem(variants._MAKERS, "int8_dynamic", fail)
    run, _ = export(tmp_path, MLP, chosen=("fp32", "int8_dynamic", "fp16"))
    assert [model.variant for model in run.models] == ["fp32", "fp16"]
    assert [(refusal.variant, refusal.cause) for refusal in run.refused] == [("int8_dynamic", "making")]
    assert "int8_dynamic could not be made: RuntimeError: no kernel today (" in run.refused[0].reason
    with pytest.raises(EnvironmentFault, match="RuntimeError: no kernel today"):
        export(tmp_path, MLP, chosen=("int8_dynamic",))


def test_without_rows_to_spare_nothing_is_calibrated(tmp_path: Path) -> None:
    run, _ = export(tmp_path, MLP, n_rows=4)
    assert ("int8_static", "unsuitable") in [(refusal.variant, refusal.cause) for refusal in run.refused]
    assert any("no rows to calibrate with" in refusal.reason for refusal in run.refused)


GATE = QualityGate(metric="accuracy", max_drop=0.005)


def test_the_gate_refuses_a_variant_that_lost_in_one_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A variant that answers to every row of the first segment as if it were no row at all: wrong on half of them.
    real = variants._MAKERS["fp16"]

    def spoil(source: onnx.ModelProto, rows: Sequence[variants.Tensors]) -> onnx.ModelProto:
        model = real(source, rows)
        for tensor in model.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT16 and len(tensor.dims) == 2 and tensor.dims[0] == 6:
                weights = onnx.numpy_helper.to_array(tensor).copy()
                weights[0] *= -1.0  # the first feature counts against its class
                tensor.CopyFrom(onnx.numpy_helper.from_array(weights, tensor.name))
        return model

    monkeypatch.setitem(variants._MAKERS, "fp16", spoil)
    extra = ", labels=labels, segments=np.where(np.abs(rows[:, 0]) > 1, 'far', 'near')"
    lax = ParityLimits(max_abs_error=None, top1_agreement_ratio=0.0, min_cosine=None)
    run, _ = export(tmp_path, MLP, limits=lax, extra=extra, quality=GATE, chosen=("fp32", "fp16"), n_rows=1500)
    assert [(refusal.variant, refusal.cause) for refusal in run.refused] == [("fp16", "quality")]
    assert "may have lost" in run.refused[0].reason
    assert "of accuracy in segment far" in run.refused[0].reason
    assert [part.verdict for part in run.models[0].quality] == ["held", "held", "held"]


@pytest.mark.parametrize(
    ("estimator", "extra", "quality", "said"),
    [
        (MLP, "", GATE, "needs labels and segments, which the factory returned none of"),
        (MLP, ", labels=labels", GATE, "needs segments"),
        (MLP, ", labels=labels, segments=['a'] * 400", QualityGate(metric="mae", max_drop=1.0), "metric mae doesn't"),
    ],
)
def test_a_gate_that_cannot_be_applied_is_refused(
    tmp_path: Path, estimator: str, extra: str, quality: QualityGate, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        export(tmp_path, estimator, extra=extra, quality=quality, chosen=("fp32",))
    assert said in caught.value.what


def test_the_error_of_a_regressor_is_gated_too(tmp_path: Path) -> None:
    regressor = (
        "MLPRegressor(hidden_layer_sizes=(16,), max_iter=900, random_state=0, tol=1e-3).fit(rows, rows.sum(axis=1))"
    )
    extra = ", labels=rows.sum(axis=1), segments=['all'] * 400"
    quality = QualityGate(metric="mae", max_drop=10.0)
    run, _ = export(tmp_path, regressor, chosen=("fp32", "int8_dynamic"), extra=extra, quality=quality)
    assert [part.verdict for model in run.models for part in model.quality] == ["held"] * 4
    fp32, int8 = (model.quality[0] for model in run.models)
    assert fp32.value == pytest.approx(fp32.source_value, rel=1e-4)
    assert int8.metric == "mae"
    assert int8.drop_bound is not None
    assert np.isfinite(int8.drop_bound)
