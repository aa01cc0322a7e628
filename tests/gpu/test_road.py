"""The road with a GPU: the digits scenario swept on it, served from it, written as a profile, and planned."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest

from loadplan.catalog.reader import load_catalog
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.capacity import with_capacities
from loadplan.inference import open_session, run
from loadplan.load.target.server_process import start_server
from loadplan.pipeline.profiles import ProfileFile, read_profiles
from loadplan.plan.hardware.measured import MeasuredType
from loadplan.plan.search import plan_fleet
from loadplan.scenario.reader import read_scenario

from .conftest import normal

ROOT = Path(__file__).parents[2]
CHANGES = (
    ("max_batch_size: [1, 8, 32]", "max_batch_size: [1, 32]"),
    (
        "batch_sizes: [1, 2, 3, 4, 6, 8, 12, 16, 24, 32], budget_s: 12",
        "batch_sizes: [1, 8, 32], budget_s: 8, providers: [CPU, CUDA]",
    ),
    ("threads: [1, 2]", "threads: [1]"),
)


@pytest.fixture(scope="module")
def scenario_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    text = (ROOT / "scenarios" / "digits.yaml").read_text()
    for old, new in CHANGES:
        assert old in text
        text = text.replace(old, new)
    (folder / "digits.yaml").write_text(text)
    (folder / "digits_model.py").write_text((ROOT / "scenarios" / "digits_model.py").read_text())
    return folder / "digits.yaml"


def loadplan(*arguments: str | Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "loadplan", *map(str, arguments), "--json"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def test_the_server_answers_a_request_from_the_gpu(
    small: Path, on_gpu: ExecutionConfig, on_cpu: ExecutionConfig
) -> None:
    rows = normal(3, 64)
    setting = Setting(execution=on_gpu, serving=ServingConfig(max_batch_size=8, max_queue_rows=64))
    body = {"inputs": [{"name": "x", "shape": [3, 64], "datatype": "FP32", "data": rows.ravel().tolist()}]}
    with start_server(small, setting=setting, model_name="small") as server:
        request = Request(f"{server.url}/v2/models/small/infer", json.dumps(body).encode())
        with urlopen(request) as answer:
            (output,) = json.load(answer)["outputs"]
    expected = run(open_session(small, on_cpu), {"x": rows})["y"]
    answers = np.reshape(output["data"], output["shape"])
    np.testing.assert_allclose(answers, np.asarray(expected, dtype=np.float64), rtol=1e-4, atol=1e-4)


@pytest.mark.timeout(300)
def test_a_profile_of_the_gpu_is_written_and_planned(
    scenario_file: Path, tmp_path: Path, on_gpu: ExecutionConfig
) -> None:
    file = tmp_path / "gpu.parquet"
    written = loadplan("profile", scenario_file, "-o", tmp_path / "results", "--out", file)
    assert written["file"] == str(file)
    catalog = load_catalog(as_of=date.today())
    machine_type = ProfileFile(path=file, type_name=None)
    (given,) = read_profiles([machine_type], catalog)
    scenario = read_scenario(scenario_file)
    fit = with_capacities(given.profile.facts.fit, scenario)
    carried = {one.setting.execution.provider: one.usable_capacity_rps for one in fit.capacities}
    assert set(carried) == {"CPU", "CUDA"}
    assert min(carried.values()) > 0.0
    measured = {cell.cell.execution.provider: cell for cell in given.profile.bench.cells}
    assert measured["CUDA"].copy_in_s is not None
    everywhere = replace(scenario, plan=replace(scenario.plan, providers=("aws", "gcp", "azure", "lambda")))
    plan = plan_fleet(
        fit=fit,
        scenario=everywhere,
        catalog=catalog,
        as_of=date.today(),
        measured=[MeasuredType(type_name=given.type_name, fit=fit)],
    )
    assert plan.recommended is not None
    unknown = [one.reason for one in plan.not_offered if "until it is measured" in one.reason]
    known = {offer.instance_type.accelerator for offer in catalog.offers} - {None}
    assert len(set(unknown)) < len(known)  # of the GPU that was measured, offers are planned
