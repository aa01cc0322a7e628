"""A tiny model whose answers tell who asked, and a real server process around it.

Input `x` has four columns: an identity, how long the inference takes, whether it fails, and nothing. Output `y` is `x`
again, `twice` the first two columns doubled.
"""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).parents[3]


@dataclass
class Server:
    process: subprocess.Popen[str]
    said: dict[str, Any]  # the line with which it was ready
    port: int = field(init=False)
    connection: http.client.HTTPConnection = field(init=False)
    clients: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = int(self.said["url"].rsplit(":", 1)[1])
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        return self.request("GET", path)

    def infer(self, document: object) -> tuple[int, dict[str, Any]]:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.request("POST", "/v2/models/echo/infer", body)

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        self.connection.request(method, path, body)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read() or "{}")

    def connect(self) -> socket.socket:
        """A connection that the server has accepted and read from; closed with the server at the latest."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.clients.append(client)
        client.sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: here\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        return client

    def send_at_once(self, *requests: list[list[float]]) -> list[socket.socket]:
        """Send each of the requests on a connection of its own; the answers are for the test to read."""
        clients = [self.connect() for _ in requests]
        for client, rows in zip(clients, requests, strict=True):
            client.sendall(self.message(rows))
        return clients

    def send_while_busy(self, *requests: list[list[float]]) -> list[socket.socket]:
        """Send these while a long inference of one row runs; the first of the connections is that one's."""
        clients = [self.connect() for _ in requests]
        busy = self.send_at_once([self.row(trips=20_000)])
        time.sleep(0.1)  # it has been read and is being computed, for some tenths of a second
        for client, rows in zip(clients, requests, strict=True):
            client.sendall(self.message(rows))
        return [*busy, *clients]

    @staticmethod
    def message(rows: list[list[float]], **more: object) -> bytes:
        """A request as it goes over the wire."""
        body = json.dumps(Server.document(rows, **more)).encode()
        head = f"POST /v2/models/echo/infer HTTP/1.1\r\nhost: here\r\ncontent-length: {len(body)}\r\n\r\n"
        return head.encode() + body

    @staticmethod
    def document(rows: list[list[float]], **more: object) -> dict[str, Any]:
        data = [value for one in rows for value in one]
        return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [len(rows), 4], "data": data}], **more}

    @staticmethod
    def row(identity: float = 0.0, *, trips: int = 0, fails: bool = False) -> list[float]:
        """One input row; a trip is a small matrix product, some 10 to 100 microseconds."""
        return [identity, float(trips), float(fails), 0.0]

    def metrics(self) -> dict[str, float]:
        self.connection.request("GET", "/metrics")
        lines = self.connection.getresponse().read().decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    def batches(self) -> dict[str, float]:
        """Batches by the bucket that their number of rows falls into."""
        metrics = self.metrics()
        buckets = {name.split('"')[1]: value for name, value in metrics.items() if "batch_rows_bucket" in name}
        smaller = [0.0, *buckets.values()]
        return {
            size: value - less for (size, value), less in zip(buckets.items(), smaller, strict=False) if value > less
        }

    def wait_for(self, metric: str, value: float) -> None:
        """Wait until the server has counted so much."""
        end_s = time.monotonic() + 20.0
        while self.metrics()[metric] != value:
            assert time.monotonic() < end_s, f"{metric} is {self.metrics()[metric]}"
            time.sleep(0.01)

    def stop(self) -> int:
        self.connection.close()
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return code


StartServer = Callable[..., Server]
Launch = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "echo.onnx"
    onnx.save(_echo_model(), path)
    return path


@pytest.fixture
def start_server(model: Path) -> Iterator[StartServer]:
    servers: list[Server] = []

    def start(*options: str, path: Path = model) -> Server:
        process = _launch("--model", str(path), "--name", "echo", "--exit-with-parent", *options)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        server = Server(process, json.loads(line))
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def launch() -> Launch:
    """Start the server process with these options, and look after it yourself."""
    return _launch


def _launch(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "loadplan.serve", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _echo_model() -> onnx.ModelProto:
    constants: dict[str, np.ndarray[Any, Any]] = {
        "identity": np.eye(4, dtype=np.float32),
        "one": np.array([1], dtype=np.int64),
        "two": np.array([2], dtype=np.int64),
        "start": np.eye(128, dtype=np.float32),
        "true": np.array(True),
        "table": np.zeros(1, dtype=np.float32),
        "nothing": np.array(0.0, dtype=np.float32),
        "double": np.array([[2, 0], [0, 2], [0, 0], [0, 0]], dtype=np.float32),
    }
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", "start"], ["state_out"]),
            helper.make_node("Identity", ["go"], ["go_out"]),
        ],
        "work",
        [
            helper.make_tensor_value_info("trip", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [128, 128]),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", TensorProto.FLOAT, [128, 128]),
        ],
    )
    nodes = [
        helper.make_node("Gather", ["x", "one"], ["trip_column"], axis=1),
        helper.make_node("ReduceMax", ["trip_column"], ["most_trips"], keepdims=0),
        helper.make_node("Cast", ["most_trips"], ["n_trips"], to=TensorProto.INT64),
        helper.make_node("Loop", ["n_trips", "true", "start"], ["worked"], body=body),
        helper.make_node("ReduceMax", ["worked"], ["trace"], keepdims=0),
        helper.make_node("Mul", ["trace", "nothing"], ["zero"]),
        helper.make_node("Gather", ["x", "two"], ["fail_column"], axis=1),
        helper.make_node("Cast", ["fail_column"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["looked_up"]),  # fails for any index but 0
        helper.make_node("MatMul", ["x", "identity"], ["same"]),
        helper.make_node("Add", ["same", "zero"], ["worked_same"]),
        helper.make_node("Add", ["worked_same", "looked_up"], ["y"]),
        helper.make_node("MatMul", ["x", "double"], ["twice"]),
    ]
    graph = helper.make_graph(
        nodes,
        "echo",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4]),
            helper.make_tensor_value_info("twice", TensorProto.FLOAT, ["n", 2]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    return made
