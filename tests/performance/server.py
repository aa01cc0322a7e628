"""Requests per second of the embedded server at saturation: `python tests/performance/server.py`.

The model takes some 10 microseconds. The server has the first core, the client the last. The client keeps 64
connections busy from one epoll loop, each with one request of 64 numbers under way, and counts whole answers; all have
the same length, so it need not parse them. With a batch of 32 what is left is the work per request: the inference and
the poll are shared. Where `wrk` is installed its figure stands beside.
"""

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_N_CONNECTIONS = 64
_N_INPUTS = 64
_WARM_UP_S = 0.5
_MEASURED_S = 3.0
_ROOT = Path(__file__).parents[2]


def main() -> None:
    """Measure both settings and print one line for each."""
    cores = sorted(os.sched_getaffinity(0))
    server_core, client_core = cores[0], cores[-1]
    os.sched_setaffinity(0, {client_core})
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "small.onnx"
        onnx.save(_model(), model)
        rates = {size: _measure(model, size, server_core) for size in (1, 32)}
    sys.stdout.write(f"batching: {rates[32] / rates[1]:.2f} times the requests per second\n")


def _measure(model: Path, max_batch_size: int, core: int) -> float:
    command = [
        sys.executable,
        "-m",
        "loadplan.serve",
        "--model",
        str(model),
        "--cores",
        str(core),
        "--exit-with-parent",
    ]
    command += ["--max-batch-size", str(max_batch_size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_ROOT) as server:
        assert server.stdout is not None
        port = int(json.loads(server.stdout.readline())["url"].rsplit(":", 1)[1])
        rate = _saturate(port)
        inference_s, n_inferences, n_rows = _counted(port)
        beside = _wrk(port)
        server.terminate()
    sys.stdout.write(
        f"max batch {max_batch_size:>2}: {rate:>7,.0f} requests/s, {n_rows / n_inferences:4.1f} rows an inference, "
        f"{inference_s / n_inferences * 1e6:.1f} µs each, {1e6 / rate - inference_s / n_rows * 1e6:.1f} µs a request "
        f"beside inference{beside}\n"
    )
    return rate


def _saturate(port: int) -> float:
    """Whole answers per second over the measured time."""
    message = _message()
    with ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        clients = {}
        for _ in range(_N_CONNECTIONS):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(message)
            clients[client.fileno()] = client
        n_answer_bytes = len(next(iter(clients.values())).recv(65536, socket.MSG_PEEK))
        for client in clients.values():
            client.setblocking(False)
            poll.register(client, select.EPOLLIN)
        start_s = time.perf_counter() + _WARM_UP_S
        end_s = start_s + _MEASURED_S
        n_answers = 0
        while (now_s := time.perf_counter()) < end_s:
            for descriptor, _ in poll.poll():
                client = clients[descriptor]
                if len(client.recv(65536)) != n_answer_bytes:
                    raise RuntimeError("an answer came in pieces or with another length")
                client.send(message)
                n_answers += now_s >= start_s
        return n_answers / _MEASURED_S


def _counted(port: int) -> tuple[float, float, float]:
    """Seconds in inference, inferences, and rows, since the server started."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nconnection: close\r\nhost: here\r\n\r\n")
        text = client.makefile().read()
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("loadplan_"))
    values = {name: float(value) for name, value in lines}
    names = ("loadplan_inference_seconds_sum", "loadplan_inference_seconds_count", "loadplan_batch_rows_sum")
    inference_s, n_inferences, n_rows = (values[name] for name in names)
    return inference_s, n_inferences, n_rows


def _wrk(port: int) -> str:
    """What wrk measures, as text; empty where it is not installed."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return ""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f"wrk.method = 'POST'\nwrk.body = '{_body().decode()}'\n")
        script.flush()
        url = f"http://127.0.0.1:{port}/v2/models/small/infer"
        command = [wrk, "-t1", f"-c{_N_CONNECTIONS}", f"-d{_MEASURED_S:.0f}", "-s", script.name, url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = float(said.split("Requests/sec:")[1].split()[0])
    return f"; wrk: {rate:,.0f} requests/s"


def _message() -> bytes:
    head = f"POST /v2/models/small/infer HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(_body())}\r\n\r\n"
    return head.encode() + _body()


def _body() -> bytes:
    values = (np.random.default_rng(1).integers(0, 17, _N_INPUTS) / 16).tolist()  # the grey levels of a digit
    return json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, _N_INPUTS], "data": values}]}).encode()


def _model() -> onnx.ModelProto:
    """A classifier of 64 inputs, 64 hidden units and 10 classes."""
    random = np.random.default_rng(0)
    weights = {
        "w1": random.normal(size=(_N_INPUTS, 64)).astype(np.float32),
        "w2": random.normal(size=(64, 10)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "w2"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", _N_INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    return made


if __name__ == "__main__":
    main()
