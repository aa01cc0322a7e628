"""A model that takes one row at a time: refused with the keys to set, and walked at batch 1 once they are set."""

from pathlib import Path

import pytest

from loadplan.errors import InputError
from loadplan.pipeline.road import run
from tests.faults.model_flips import plain, save

from .conftest import Place, make_place

GIVEN = ("source: sklearn\n  factory: tiny_model:build", "source: onnx\n  file: given.onnx")


def place_of(folder: Path, *changes: tuple[str, str]) -> Place:
    """A scenario with a model whose axes are fixed at one row."""
    model = plain()
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].ClearField("dim_param")
        tensor.type.tensor_type.shape.dim[0].dim_value = 1
    save(model, folder / "given.onnx")
    return make_place(folder, changes=[GIVEN, *changes])


def test_batches_of_a_single_row_model_are_refused_with_the_keys_that_go_on_without_them(tmp_path: Path) -> None:
    changes = [("  peak_rps: 60", "  peak_rps: 60\n  rows_per_request: 4")]
    for change, keys in (
        (changes, ["serving: {max_batch_size: [1]}", "bench: {batch_sizes: [1]}", "traffic: {rows_per_request: 1}"]),
        ([("max_batch_size: [1, 8]", "max_batch_size: [1]")], ["bench: {batch_sizes: [1]}"]),
    ):
        place = place_of(tmp_path, *change)
        with pytest.raises(InputError) as caught:
            run(place.scenario, results=place.results, until="export")
        assert "fixed at 1 row" in caught.value.what
        assert caught.value.fix.endswith(f"write {', '.join(keys)} in the scenario")


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_single_row_model_walks_the_whole_road_at_batch_1(tmp_path: Path) -> None:
    place = place_of(
        tmp_path, ("max_batch_size: [1, 8]", "max_batch_size: [1]"), ("batch_sizes: [1, 4, 8]", "batch_sizes: [1]")
    )
    said = place.walk()
    assert said.code == 0, said.err
    page = (Path(said.document["run"]) / "report.html").read_text()
    assert "batch 1 only" in page
