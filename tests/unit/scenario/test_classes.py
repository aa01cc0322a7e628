"""Segments of users in a scenario: what they resolve to, and what is wrong with them, said at once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadplan.errors import InputError
from loadplan.scenario.class_mix import draw_requests, pooled_rows
from loadplan.scenario.reader import read_scenario
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import RequestClass, RowsPerRequest

MIXED = """\
model: {source: onnx, file: a.onnx}
traffic:
  peak_rps: 300
  rows_per_request: 2
  classes:
    - {name: web, share: 0.8}
    - {name: upload, share: 0.2, payload: large, rows_per_request: {mean: 60, p95: 150, max: 200}}
objectives:
  - {p99_ms: 50}
  - {class: upload, p95_ms: 200, max_failed_ratio: 0.01}
"""


def mistake(folder: Path, old: str, new: str) -> str:
    assert MIXED.count(old) == 1
    path = folder / "shop.yaml"
    path.write_text(MIXED.replace(old, new))
    with pytest.raises(InputError) as caught:
        read_scenario(path)
    return caught.value.what.removeprefix(f"{path}:")


def test_classes_resolve_to_shares_rows_and_objectives_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(MIXED)
    scenario = read_scenario(path)
    web, upload = scenario.traffic.classes
    assert web == RequestClass(name="web", share=0.8, rows_per_request=always(2))
    assert upload == RequestClass(
        name="upload", share=0.2, rows_per_request=RowsPerRequest(mean=60.0, p95=150.0, most=200), segment="large"
    )
    assert [slo.class_name for slo in scenario.objectives] == [None, "upload"]
    assert scenario.traffic.rows_per_request.mean == pytest.approx(0.8 * 2 + 0.2 * 60)
    assert scenario.traffic.rows_per_request.most == 200
    assert scenario.bench.batch_sizes[-1] == 200  # what carries the largest request is benchmarked


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("share: 0.8", "share: 0.7", "6:5 traffic.classes: the shares sum to 0.9, and those of all classes together"),
        ("name: upload", "name: web", "traffic.classes[1].name: a class named web is there already"),
        (
            "class: upload",
            "class: uplaod",
            "objectives[1].class: there is no class uplaod; traffic.classes has web",
        ),
        ("share: 0.8", "share: 0", "traffic.classes[0].share: expected a number above 0"),
        ("share: 0.8", "share: 0.8, shape: 1", "traffic.classes[0].shape: unknown key; did you mean share?"),
        ("name: web", "name: a b", "traffic.classes[0].name: expected a plain name"),
        ("payload: large", "payload: large.jsonl", "only a target of the protocol json is sent bodies from a file"),
        ("model: {source: onnx, file: a.onnx}\n", "", "a segment of a model's rows, and the scenario has no model"),
        ("p95: 150", "p95: 15", "p95 15 is not above mean 60"),
    ],
)
def test_a_mistake_about_classes_is_told_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in mistake(tmp_path, old, new)


def test_an_objective_of_a_class_where_none_is_named_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text("traffic: {peak_rps: 1}\nobjectives: [{p99_ms: 5, class: web}]\n")
    with pytest.raises(InputError, match=r"there is no class web; traffic\.classes names none"):
        read_scenario(path)


def test_thirds_are_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    thirds = ", ".join(f"{{name: c{i}, share: 0.333333{4 if i == 0 else 3}}}" for i in range(3))
    path.write_text(f"traffic: {{peak_rps: 1, classes: [{thirds}]}}\nobjectives: [{{p99_ms: 5}}]\n")
    assert len(read_scenario(path).traffic.classes) == 3


def test_classes_of_equal_rows_sum_up_to_that_law_and_others_to_a_weighted_mean() -> None:
    one = RequestClass(name="a", share=0.1, rows_per_request=always(3))
    others = (one, replace(one, name="b", share=0.2), replace(one, name="c", share=0.7))
    assert pooled_rows(others) == always(3)
    mixed = pooled_rows((replace(one, share=0.97), replace(one, name="b", share=0.03, rows_per_request=always(103))))
    assert mixed.mean == pytest.approx(0.97 * 3 + 0.03 * 103)
    assert (mixed.p95, mixed.most) == (3.0, 103)
    assert not mixed.is_constant


def test_a_run_is_drawn_by_the_shares_and_each_request_has_the_rows_of_its_class() -> None:
    small = RequestClass(name="small", share=0.99, rows_per_request=always(1))
    large = RequestClass(name="large", share=0.01, rows_per_request=always(50))
    rows, index = draw_requests(always(1), (small, large), 100_000, np.random.default_rng(1))
    n_large = int(np.count_nonzero(index == 1))
    assert abs(n_large - 1_000) < 5 * np.sqrt(990)  # binomial
    assert np.array_equal(rows, np.where(index == 1, 50, 1))
