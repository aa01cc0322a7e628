"""The scenario that is written for a model without one: it says what was told, and marks what was assumed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadplan.execution import TensorSpec
from loadplan.scenario.draft import QuickQuestion, draft_scenario, name_of
from loadplan.scenario.reader import scenario_of
from loadplan.scenario.spec import Scenario

PIXELS = TensorSpec(name="pixels", dtype="float32", shape=(None, 64))


def question(model: Path, **told: Any) -> QuickQuestion:
    return QuickQuestion(model=model, peak_rps=300.0, p99_s=0.05, **told)


def drafted(asked: QuickQuestion, *inputs: TensorSpec) -> Scenario:
    return scenario_of(draft_scenario(asked, inputs or (PIXELS,)), asked.model.with_suffix(".yaml"))


def test_what_was_not_told_is_what_a_scenario_has_by_default_but_for_how_much_is_measured(tmp_path: Path) -> None:
    model = tmp_path.resolve() / "digits.onnx"
    bare = (
        f"model: {{source: onnx, file: {json.dumps(str(model))}}}\n"
        "traffic: {peak_rps: 300}\nobjectives: [{p99_ms: 50}]\n"
    )
    by_default = scenario_of(bare, model.with_suffix(".yaml"))
    draft = drafted(question(model))
    assert replace(draft, bench=by_default.bench, load=by_default.load) == by_default
    assert draft.bench.budget_s < by_default.bench.budget_s
    assert draft.load.duration_s < by_default.load.duration_s


def test_what_was_told_is_in_it(tmp_path: Path) -> None:
    today = ("aws/eu-west-1/c7i.large/on_demand", 4)
    proposal = ("aws/us-east-1/p3.16xlarge/on_demand", 1)
    where = {"providers": ("aws",), "regions": ("eu-west-1", "eu-north-1")}
    asked = question(tmp_path / "digits.onnx", **where, today=(today,), proposal=(proposal,))
    plan = drafted(asked).plan
    assert (plan.providers, plan.regions) == (where["providers"], where["regions"])
    assert (plan.today, plan.proposal) == ((today,), (proposal,))
    odd = drafted(replace(asked, peak_rps=0.125, p99_s=0.0025))
    assert odd.traffic.peak_rps == 0.125
    assert odd.objectives[0].limits[0].limit_s == pytest.approx(0.0025, rel=1e-12)


def test_each_assumption_is_marked_where_it_can_be_corrected(tmp_path: Path) -> None:
    lines = draft_scenario(question(tmp_path / "digits.onnx"), [PIXELS]).splitlines()
    marked = {line.split(":")[0].strip() for line in lines if "# assumed" in line}
    assert marked == {
        "# assumed",  # the rows, which have no key
        "rows_per_request",
        "arrivals",
        "profile",
        "max_failed_ratio",
        "purchase",
        "spare_replicas",
        "headroom_ratio",
    }
    assert any("made up" in line for line in lines)
    assert '  #   "pixels": float32 (rows, 64)' in lines
    assert "  # payload: rows.npz" in lines


def test_of_a_model_that_takes_single_rows_no_batches_are_asked(tmp_path: Path) -> None:
    draft = drafted(question(tmp_path / "one.onnx"), replace(PIXELS, shape=(1, 64)))
    assert draft.serving.max_batch_sizes == draft.bench.batch_sizes == (1,)
    assert draft.serving.batch_windows_s == (0.0,)


def test_no_name_of_a_file_or_an_input_changes_what_is_asked(tmp_path: Path) -> None:
    model = tmp_path.resolve() / """it's "a" #1: {x} é.onnx"""
    hostile = replace(PIXELS, name='x\n  file: "/etc/passwd"\u2028\u202e' + "y" * 100_000)
    draft = drafted(question(model), *[hostile] * 1000)
    assert draft.model is not None
    assert draft.model.file == str(model)
    assert draft == drafted(question(model))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("digits.onnx", "digits"),
        ("my model (2).onnx", "my-model-2-"),
        ("1e5.onnx", "1e5"),
        ("true.onnx", "true"),
        ("._hidden.onnx", "hidden"),
        ("模型.onnx", "model"),
        ("m" * 200 + ".onnx", "m" * 64),
    ],
)
def test_the_name_may_name_a_folder(tmp_path: Path, file: str, name: str) -> None:
    assert name_of(Path(file)) == name
    assert drafted(question(tmp_path / file)).name == name
