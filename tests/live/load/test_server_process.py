"""The embedded server as a child: started, driven, stopped, and heard when it fails."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper

from loadplan.errors import EnvironmentFault, InvalidMeasurement
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.load.driver import run_load
from loadplan.load.messages.requests import v2_requests
from loadplan.load.records import LoadSpec, Outcome
from loadplan.load.target.server_process import start_server
from loadplan.machine import Machine
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import RowsPerRequest

SETTING = Setting(
    execution=ExecutionConfig(variant="fp32"),
    serving=ServingConfig(max_batch_size=8, batch_window_s=0.001, max_queue_rows=64),
)


@pytest.fixture(scope="module")
def doubling_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = x + x over rows of three numbers."""
    shape: list[int | str | None] = ["n", 3]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "doubling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    path = tmp_path_factory.mktemp("model") / "doubling.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_the_embedded_server_is_driven_and_every_answer_is_right(
    doubling_model: Path, make_spec: Callable[..., LoadSpec], machine: Machine
) -> None:
    x = np.random.default_rng(3).normal(size=(50, 3)).astype(np.float32)
    payloads = PayloadSet(inputs={"x": x}, expected={"y": 2.0 * x}, segments=("",) * 50, labels=None)
    requests = v2_requests(payloads, model="d", rows_per_request=always(2))
    with start_server(doubling_model, setting=SETTING, model_name="d") as server:
        assert psutil.pid_exists(server.pid)
        run = run_load(
            make_spec(rate_rps=300.0, duration_s=1.0, timeout_s=5.0),
            url=server.url,
            requests=requests,
            machine=machine,
            core=None,
        )
    assert (run.requests.outcome == Outcome.OK).all()
    assert not psutil.pid_exists(server.pid)
    with pytest.raises(URLError):
        urlopen(server.url)


def test_a_setting_of_several_processes_is_served_by_as_many(doubling_model: Path) -> None:
    setting = replace(SETTING, serving=replace(SETTING.serving, n_server_processes=2))
    with start_server(doubling_model, setting=setting, model_name="d", with_grpc=True) as server:
        members = psutil.Process(server.pid).children()
        ports = [{entry.laddr.port for entry in member.net_connections("inet")} for member in members]
        assert server.grpc is not None
        wanted = {int(address.rsplit(":", 1)[1]) for address in (server.url, server.grpc)}
        assert len(members) == 2
        assert all(wanted <= own for own in ports)
    assert not any(member.is_running() for member in members)


def test_requests_of_mixed_sizes_share_batches_and_every_answer_is_right(
    doubling_model: Path, make_spec: Callable[..., LoadSpec], machine: Machine
) -> None:
    """From one row to forty, on a server whose batches hold eight; the largest ones run alone."""
    x = np.random.default_rng(4).normal(size=(500, 3)).astype(np.float32)
    payloads = PayloadSet(inputs={"x": x}, expected={"y": 2.0 * x}, segments=("",) * 500, labels=None)
    requests = v2_requests(payloads, model="d", rows_per_request=RowsPerRequest(mean=6.0, p95=18.0, most=40))
    setting = replace(SETTING, serving=replace(SETTING.serving, max_queue_rows=4096))
    with start_server(doubling_model, setting=setting, model_name="d") as server:
        run = run_load(
            make_spec(rate_rps=600.0, duration_s=1.5, timeout_s=5.0),
            url=server.url,
            requests=requests,
            machine=machine,
            core=None,
        )
        with urlopen(f"{server.url}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    assert (run.requests.outcome == Outcome.OK).all()
    assert run.n_rows is not None
    assert (run.n_rows.min(), run.n_rows.max()) == (1, 40)
    told = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("loadplan_batch_rows_"))
    assert float(told["loadplan_batch_rows_sum"]) == run.n_rows.sum()
    assert float(told["loadplan_batch_rows_count"]) < run.requests.n_requests


def test_a_server_that_fails_at_its_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    with (
        pytest.raises(EnvironmentFault, match=r"(?s)ended with exit code .* before it was ready.*broken\.onnx"),
        start_server(tmp_path / "broken.onnx", setting=SETTING, model_name="b"),
    ):
        pass


def test_a_server_that_is_never_ready_is_given_up(doubling_model: Path) -> None:
    before = psutil.Process().children()
    with (
        pytest.raises(EnvironmentFault, match=r"was not ready within 0\.01 s"),
        start_server(doubling_model, setting=SETTING, model_name="d", ready_limit_s=0.01),
    ):
        pass
    assert psutil.Process().children() == before


def test_a_server_is_asked_to_pad_only_what_can_be_padded(doubling_model: Path) -> None:
    with (
        pytest.raises(EnvironmentFault, match=r"can't be padded to share a batch of this model: its inputs are of one"),
        start_server(doubling_model, setting=SETTING, model_name="d", pads=True),
    ):
        pass


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    # Until every thread of it is gone, and it waits to be collected.
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.01)


def test_a_server_that_dies_while_driven_spoils_the_measurement(doubling_model: Path) -> None:
    with (
        pytest.raises(InvalidMeasurement, match="ended by SIGKILL"),
        start_server(doubling_model, setting=SETTING, model_name="d") as server,
    ):
        kill(server.pid)
