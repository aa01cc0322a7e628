"""The scenario file to begin with: it reads, means the same as the shortest one, and every key there is is in it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadplan.execution import TensorSpec
from loadplan.scenario.reader import json_schema, read_scenario
from loadplan.scenario.starter import StarterModel, starter_text
from loadplan.scenario.yaml_tree import Path as KeyPath
from loadplan.scenario.yaml_tree import read_tree
from tests.unit.scenario.files import MINIMAL, write

OR = "# or, in its place:"
KEY = re.compile(r" *(#(?! \S) *)?(- )?[a-z0-9_]+:")
NOTE = re.compile(r" {40,}# ")
ONNX = StarterModel(source="onnx", file="m.onnx")
SKOPS = StarterModel(source="sklearn", file="m.skops")
MODELS: dict[str, tuple[StarterModel | None, str]] = {
    "none": (None, ""),
    "onnx": (ONNX, "model: {source: onnx, file: m.onnx}\n"),
    "sklearn": (SKOPS, "model: {source: sklearn, file: m.skops, payload: rows.npz}\n"),
    "xgboost": (
        StarterModel(source="xgboost", file="m.ubj"),
        "model: {source: xgboost, file: m.ubj, payload: rows.npz}\n",
    ),
    "torch": (
        StarterModel(source="torch", file="m.pt"),
        "model: {source: torch, file: m.pt, factory: my_model:build}\n",
    ),
}


def switched_on(text: str) -> str:
    """With every key that is off taken into the file; of a key that has two shapes, in the second."""
    lines: list[str] = []
    for line in text.splitlines():
        on = re.sub(r"^( *)#(?! \S)", r"\1", line)
        if lines and lines[-1].strip() == OR:
            key = on.partition(":")[0]
            lines = [other for other in lines if not other.startswith(f"{key}: ")]
        lines.append(on)
    return "\n".join(lines)


def key_paths(node: dict[str, Any], defs: dict[str, Any], path: KeyPath, seen: set[str]) -> Iterator[KeyPath]:
    """Every key of a schema at its place; those of a section that occurs several times at its first place alone."""
    for kind in ("anyOf", "oneOf", "allOf"):
        for choice in node.get(kind, ()):
            yield from key_paths(choice, defs, path, seen)
    if "items" in node:
        yield from key_paths(node["items"], defs, (*path, 0), seen)
    name = node.get("$ref", "").rpartition("/")[2]
    if name and name not in seen:
        seen.add(name)
        yield from key_paths(defs[name], defs, path, seen)
    for key, child in node.get("properties", {}).items():
        yield (*path, key)
        yield from key_paths(child, defs, (*path, key), seen)


@pytest.mark.parametrize(("model", "keys"), MODELS.values(), ids=MODELS.keys())
def test_it_means_the_same_as_the_shortest_scenario(tmp_path: Path, model: StarterModel | None, keys: str) -> None:
    shortest = read_scenario(write(tmp_path, MINIMAL + keys))
    assert read_scenario(write(tmp_path, starter_text(model).text)) == shortest


@pytest.mark.parametrize("model", [None, ONNX, SKOPS], ids=["none", "onnx", "sklearn"])
def test_every_key_of_the_schema_stands_at_its_place(model: StarterModel | None) -> None:
    schema = json_schema()
    known = set(key_paths(schema, schema["$defs"], (), set()))
    assert len(known) > 120
    assert ("fleet", "loss", "retries") in known
    tree = read_tree(switched_on(starter_text(model).text))
    assert tree.mistakes == []
    assert known - set(tree.keys) == set()


def test_every_key_says_what_it_means() -> None:
    rows = starter_text(ONNX).text.splitlines()
    neighbours = zip(["", *rows], rows, [*rows[1:], ""], strict=False)
    silent = [
        row
        for before, row, after in neighbours
        if KEY.match(row) and " # " not in row and not NOTE.match(after) and before.strip() != OR
    ]
    assert silent == []
    assert max(map(len, rows)) <= 120


def test_what_only_the_user_knows_is_marked_and_told() -> None:
    for model, own in ((None, "model"), (SKOPS, "model.payload"), (ONNX, None)):
        made = starter_text(model)
        asked = {"traffic.peak_rps", "objectives[0].p99_ms"}
        assert set(made.yours) == asked | ({own} if own else set())
        n_marked = len(re.findall(r"# YOURS: ", made.text))
        assert n_marked == len(made.yours) - (own == "model")  # that one is off, and says that it is needed


def test_inputs_are_named_and_none_gets_out_of_its_comment(tmp_path: Path) -> None:
    hostile = TensorSpec(name="x\nplan: {min_replicas: 9}", dtype="float32", shape=(None, 64))
    words = TensorSpec(name="words", dtype="object", shape=(None, None))
    many = tuple(TensorSpec(name=f"i{k}", dtype="int64", shape=()) for k in range(40))
    text = starter_text(StarterModel(source="onnx", file="m.onnx", inputs=(hostile, words, *many))).text
    assert "float32, rows × 64\n" in text
    assert "  # it takes 'words': text, rows × any\n" in text
    assert "  # and 10 more\n" in text
    assert read_scenario(write(tmp_path, text)).plan.n_min_replicas == 1


@pytest.mark.parametrize("name", ["my model.onnx", "a: b #c.onnx", "yes", "123", "é'\".onnx", "[x]\n.onnx", "~"])
def test_a_file_of_any_name_is_named_rightly(tmp_path: Path, name: str) -> None:
    text = starter_text(StarterModel(source="onnx", file=name)).text
    model = read_scenario(write(tmp_path, text)).model
    assert model is not None
    assert model.file == name
