"""`loadplan quick MODEL.onnx`: the scenario that it leaves is the one that was walked, and its user's to correct."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.model_flips import plain, save

if TYPE_CHECKING:
    from tests.live.cli.conftest import Loadplan

ASKED = ("quick", "tiny.onnx", "--peak-rps", "60", "--p99-ms", "500", "--json", "--until")


@pytest.mark.slow
def test_the_scenario_that_it_leaves_goes_on_with_the_same_run_and_is_never_overwritten(
    loadplan: "Loadplan", tmp_path: Path
) -> None:
    save(plain(), tmp_path / "tiny.onnx")
    said = loadplan(*ASKED, "export", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    document = json.loads(said.stdout)
    assert document["schema"] == "loadplan.quick/1"
    assert document["scenario"] == "results/tiny.yaml"
    assert [text for text in document["assumed"] if "rows are made up" in text]
    exported = json.loads((tmp_path / document["run"] / "export.json").read_text())["record"]
    assert "export.made_up_rows" in [caveat["code"] for caveat in exported["caveats"]]

    again = loadplan("run", document["scenario"], "--until", "export", "--json", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["run"] == document["run"]

    scenario = tmp_path / document["scenario"]
    corrected = scenario.read_text().replace("rows_per_request: 1 ", "rows_per_request: 3 ")
    assert corrected != scenario.read_text()
    scenario.write_text(corrected)
    repeated = loadplan(*ASKED, "scenario", cwd=tmp_path)
    assert repeated.returncode == 0, repeated.stderr
    assert json.loads(repeated.stdout)["scenario"] == "results/tiny-2.yaml"
    assert json.loads(repeated.stdout)["run"] == document["run"]
    assert scenario.read_text() == corrected
