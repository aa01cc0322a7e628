"""MLServer, a server that others wrote, is driven over JSON and gRPC; binary tensors over HTTP it doesn't take.

Its environment is the one of `tests/performance/server.py`, made here when it is missing.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from loadplan.child_process import last_lines, stop
from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.messages.requests import PreparedRequests, v2_requests
from loadplan.load.messages.v2_grpc import v2_grpc_requests
from loadplan.load.records import Outcome
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always

ROOT = Path(__file__).parents[3]
ENVIRONMENT = ROOT / ".venv-mlserver"
WANTED = ["mlserver>=1.7,<2", f"onnxruntime=={onnxruntime.__version__}"]

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]

Build = Callable[..., PreparedRequests]
BUILDERS: dict[str, Build] = {"json": v2_requests, "gRPC": v2_grpc_requests}


@pytest.fixture(scope="module")
def mlserver() -> Path:
    """The program; skips where it can't be installed."""
    program = ENVIRONMENT / "bin" / "mlserver"
    if not program.exists():
        pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for command in ([sys.executable, "-m", "venv", str(ENVIRONMENT)], [*pip, *WANTED]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                shutil.rmtree(ENVIRONMENT, ignore_errors=True)
                pytest.skip(f"MLServer can't be installed: {done.stderr.strip().splitlines()[-1:]}")
    return program


@pytest.fixture(scope="module")
def ports(mlserver: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The port of each protocol of a running MLServer, whose model doubles rows of three numbers."""
    folder = tmp_path_factory.mktemp("mlserver")
    shape: list[int | str | None] = ["n", 3]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "doubling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "double.onnx")
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        http, grpc, metrics = (server.getsockname()[1] for server in taken)
    settings = {"parallel_workers": 0, "debug": False, "host": "127.0.0.1", "use_structured_logging": False}
    settings |= {"http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps({"name": "d", "implementation": "mlserver_model.OnnxModel"}))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = kept | {"LOADPLAN_MODEL": str(folder / "double.onnx"), "PYTHONPATH": str(ROOT / "tests" / "fakes")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([mlserver, "start", folder], stdout=log, stderr=log, env=environment)
    try:
        _wait_until_ready(http, process, folder / "log")
        yield {"json": http, "gRPC": grpc}
    finally:
        stop(process, grace_s=10.0)


def _wait_until_ready(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end_s = time.monotonic() + 120.0
    while time.monotonic() < end_s and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5.0) as client:
            client.sendall(b"GET /v2/models/d/ready HTTP/1.1\r\nconnection: close\r\nhost: here\r\n\r\n")
            if client.recv(65_536).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.2)
    pytest.fail(f"MLServer did not start: {last_lines(log)}")


@pytest.mark.parametrize("protocol", BUILDERS)
def test_every_answer_is_right_and_a_wrong_expectation_is_seen(
    protocol: str, ports: dict[str, int], drive: Callable[..., LoopResult]
) -> None:
    x = np.random.default_rng(4).normal(size=(30, 3)).astype(np.float32)
    for factor, outcome in ((2.0, Outcome.OK), (2.1, Outcome.WRONG_ANSWER)):
        payloads = PayloadSet(inputs={"x": x}, expected={"y": factor * x}, segments=("",) * 30, labels=None)
        requests = BUILDERS[protocol](payloads, model="d", rows_per_request=always(2))
        result = drive(ports[protocol], requests, np.arange(60) / 50.0)
        assert set(result.requests.outcome) == {outcome}


def test_a_model_that_is_not_there_is_an_error_of_the_call(
    ports: dict[str, int], drive: Callable[..., LoopResult]
) -> None:
    payloads = PayloadSet(inputs={"x": np.ones((2, 3), np.float32)}, expected={}, segments=("",) * 2, labels=None)
    statuses = {}
    for protocol, build in BUILDERS.items():
        requests = build(payloads, model="none", rows_per_request=always(1))
        result = drive(ports[protocol], requests, np.arange(5) / 50.0)
        assert set(result.requests.outcome) == {Outcome.HTTP_ERROR}
        statuses[protocol] = set(result.requests.status)
    assert statuses == {"json": {404}, "gRPC": {1005}}  # NOT_FOUND
