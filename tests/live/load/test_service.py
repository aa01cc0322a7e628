"""A FastAPI service of somebody's own is driven as it is, and its token shows nowhere."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.messages.service_requests import service_requests
from loadplan.load.records import Outcome
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import Service

ROOT = Path(__file__).parents[3]
TOKEN = "canary-7c1f"


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Address of the service, http://host:port."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "fakes" / "fastapi_service.py")],
        env={**os.environ, "SERVICE_TOKEN": TOKEN},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


@pytest.fixture
def service(origin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The service and how it is asked."""
    monkeypatch.setenv("LOADPLAN_TEST_TOKEN", TOKEN)
    (tmp_path / "body.json").write_text('{"instances": "$rows"}')
    return Service(
        url=f"{origin}/predict",
        protocol="json",
        folder=str(tmp_path),
        request="body.json",
        method=None,
        answers={"": "/predictions"},
        model="",
        headers=(("Authorization", "Bearer $LOADPLAN_TEST_TOKEN"),),
        allow_remote=(),
    )


def test_every_answer_is_compared_with_the_models_own(service: Service, drive: Callable[..., LoopResult]) -> None:
    x = np.random.default_rng(5).normal(size=(60, 3)).astype(np.float32)
    payloads = PayloadSet(inputs={"x": x}, expected={"y": 2.0 * x}, segments=("",) * 60, labels=None)

    def outcomes(asked: Service) -> set[int]:
        requests = service_requests(asked, payloads, rows_per_request=always(3))
        port = int(asked.url.removesuffix("/predict").rpartition(":")[2])
        return set(drive(port, requests, np.arange(30) / 100.0).requests.outcome.tolist())

    assert outcomes(service) == {Outcome.OK}
    assert outcomes(replace(service, answers={"": "/results"})) == {Outcome.WRONG_ANSWER}
    assert outcomes(replace(service, headers=())) == {Outcome.HTTP_ERROR}
    Path(service.folder, "body.json").write_text('{"instances": "$rows", "is_wrong": true}')
    assert outcomes(service) == {Outcome.WRONG_ANSWER}


def loadplan(*arguments: str | Path, cwd: Path, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadplan", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LOADPLAN_TEST_TOKEN": token},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def scenario(service: Service) -> Path:
    """A scenario whose model doubles, and whose target is the service."""
    folder = Path(service.folder)
    shape: list[int | str | None] = ["n", 3]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "doubling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "double.onnx"
    )
    path = folder / "double.yaml"
    path.write_text(
        "model: {source: onnx, file: double.onnx, variants: [fp32]}\n"
        "traffic: {peak_rps: 80, rows_per_request: 2}\n"
        "objectives: [{p99_ms: 500}]\n"
        f"target: {{url: '{service.url}', request: body.json, answer: /predictions,"
        " headers: {Authorization: Bearer $LOADPLAN_TEST_TOKEN}}\n"
    )
    return path


def test_a_scenario_drives_its_service_and_the_token_stays_in_the_environment(scenario: Path) -> None:
    folder = scenario.parent
    done = loadplan("load", scenario, "--duration", "1s", "--json", "--debug", cwd=folder)
    said = json.loads(done.stdout)
    assert said["n_requests"] > 40, done.stderr
    assert said["n_failed"] == 0
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"$LOADPLAN_TEST_TOKEN" in written  # so the scenario itself was kept, and looked at
    assert TOKEN.encode() not in written + (done.stdout + done.stderr).encode()


@pytest.mark.nightly
def test_a_wrong_token_is_an_answer_that_is_an_error(scenario: Path) -> None:
    done = loadplan("load", scenario, "--duration", "500ms", cwd=scenario.parent, token="wrong-canary")
    assert done.returncode in {1, 3}, done.stderr
    assert "HTTP 401" in done.stdout + done.stderr
    assert "wrong-canary" not in done.stdout + done.stderr


def test_no_fleet_is_planned_of_a_model_and_a_service_at_once(scenario: Path) -> None:
    done = loadplan("run", scenario, cwd=scenario.parent)
    assert done.returncode == 2
    assert "a fleet runs one of them" in done.stderr
    assert f"loadplan load {scenario}" in done.stderr
    assert not (scenario.parent / "results").exists()


def test_a_url_is_driven_with_the_bodies_of_a_file(service: Service) -> None:
    folder = Path(service.folder)
    (folder / "log.jsonl").write_text('{"instances":[{"x":[1,2,3]}]}\n{"instances":[]}\n')
    header = "Authorization: Bearer $LOADPLAN_TEST_TOKEN"
    arguments = ("load", service.url, "--rate", "60", "--duration", "500ms", "--header", header, "--json")
    done = loadplan(*arguments, "--body", "log.jsonl", "--answer", "/predictions", cwd=folder)
    said = json.loads(done.stdout)
    assert (said["n_requests"] > 10, said["n_failed"]) == (True, 0), done.stderr
    done = loadplan(*arguments, "--body", "log.jsonl", "--answer", "/results", cwd=folder)
    said = json.loads(done.stdout)
    assert said["n_failed"] == said["n_requests"]
    assert said["response_time_s"] is None
    assert TOKEN not in done.stdout + done.stderr
