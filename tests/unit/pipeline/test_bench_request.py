"""What a scenario asks of the benchmark."""

from pathlib import Path

import numpy as np
import pytest

from loadplan.errors import InputError
from loadplan.machine import read_machine
from loadplan.pipeline.bench_request import bench_request
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.reader import read_scenario
from loadplan.scenario.spec import Scenario

LENGTHS = np.array([3, 40, 7])
ROWS = PayloadSet(inputs={}, expected={}, segments=("",) * 3, labels=None, lengths=LENGTHS, sequences=("ids",))
ALIKE = PayloadSet(inputs={}, expected={}, segments=("",) * 3, labels=None)


def scenario_with(folder: Path, lengths: str) -> Scenario:
    (folder / "scenario.yaml").write_text(
        "schema: 1\nmodel: {source: onnx, file: model.onnx}\ntraffic: {peak_rps: 5}\nobjectives: [{p99_ms: 50}]\n"
        "serving: {threads: [1], max_batch_size: [4]}\n"
        f"bench: {{batch_sizes: [1, 2, 4], sequence_lengths: {lengths}}}\n"
    )
    (folder / "model.onnx").touch()
    return read_scenario(folder / "scenario.yaml")


def test_the_smallest_and_the_largest_batch_are_timed_at_each_length_that_is_named(tmp_path: Path) -> None:
    scenario = scenario_with(tmp_path, "[40, 8]")
    request = bench_request(scenario, models={"fp32": tmp_path}, payloads=ROWS, machine=read_machine())
    asked = [(cell.length, cell.batch_size) for cell in request.cells if cell.length]
    assert asked == [(8, 1), (8, 4), (40, 1), (40, 4)]


@pytest.mark.parametrize(
    ("rows", "said"), [(ROWS, "the longest row has 40 positions"), (ALIKE, "the rows are all of one length")]
)
def test_lengths_that_no_row_has_are_refused(tmp_path: Path, rows: PayloadSet, said: str) -> None:
    scenario = scenario_with(tmp_path, "[8, 41]")
    with pytest.raises(InputError, match=said):
        bench_request(scenario, models={"fp32": tmp_path}, payloads=rows, machine=read_machine())
