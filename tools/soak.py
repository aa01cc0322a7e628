"""Whether every answer reaches its caller, for long: `make soak`, or `python tools/soak.py --requests N --seconds S`.

Each caller sends requests of one to four rows whose values nobody else sends, half of them as JSON and half as raw
bytes, and compares what comes back; one request in twenty is given up by closing its connection. The server batches up
to eight rows, so a row stands at every place of a batch. The decisions a reader would question:

- It goes on until both the requests and the seconds are reached, and stops at the first wrong answer.
- The server has the first core and the callers the last; on one core they share it.
- Throughput must not decay: the median of the last fifth of the windows, each a fiftieth of the time, is at least 90 %
  of that of the first fifth, in answers a second or in answers a second of the server's own processor time. Both are
  printed: a neighbour who comes in the middle takes the first, a server that tires loses both.
- Memory must not grow: the server's resident set at the end is less than 32 MiB above that after the first fifth.
- Every place of a batch was taken: batches of five to eight rows must be a tenth of all, or it has proved nothing.
"""

import argparse
import json
import os
import random
import select
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import psutil
from onnx import TensorProto, helper, numpy_helper

_ROOT = Path(__file__).parents[1]
_MAX_BATCH_SIZE = 8
_N_COLUMNS = 4
_GIVEN_UP = 0.05
_N_WINDOWS = 50
_DECAY_LEAST = 0.9
_GROWTH_MOST = 32 << 20
_IDENTITIES = 1 << 24  # whole numbers that 32 bits hold exactly


class SoakFailed(Exception):
    """What the soak is there to find."""


@dataclass
class _Caller:
    """One connection at a time with one request under way."""

    port: int
    random: random.Random
    connection: socket.socket = field(init=False)
    expected: np.ndarray = field(init=False)
    identity: str = ""
    is_raw: bool = False
    received: bytes = b""

    def connect(self) -> int:
        """Open a new connection; its descriptor."""
        self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.connection.fileno()

    def send(self, number: int) -> None:
        """Ask for rows that only this request holds."""
        n_rows = self.random.randint(1, 4)
        self.expected = np.zeros((n_rows, _N_COLUMNS), dtype=np.float32)
        self.expected[:, 0] = (4 * number + np.arange(n_rows)) % _IDENTITIES
        self.expected[:, 1:] = self.random.randrange(_IDENTITIES)
        self.identity = f"r{number}"
        self.is_raw = number % 2 == 0
        self.received = b""
        self.connection.sendall(_message(self.expected, self.identity, is_raw=self.is_raw))

    def receive(self) -> bool:
        """Read what is there; whether the answer is whole, and right. Raises SoakFailed when it is not right."""
        piece = self.connection.recv(65536)
        if not piece:
            raise SoakFailed(f"the connection of request {self.identity} was closed without an answer")
        self.received += piece
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end or len(body) < (n_bytes := int(head.lower().split(b"content-length: ", 2)[1].split(b"\r\n")[0])):
            return False
        if len(body) > n_bytes or not head.startswith(b"HTTP/1.1 200"):
            raise SoakFailed(f"request {self.identity} was answered by {self.received[:500]!r}")
        rows, identity = _rows(body, len(self.expected)) if self.is_raw else _json_rows(body)
        if identity != self.identity or not np.array_equal(rows, self.expected):
            raise SoakFailed(
                f"request {self.identity} asked for {self.expected.tolist()} and got {rows.tolist()} of {identity}"
            )
        return True


@dataclass
class _Tally:
    n_answered: int = 0
    n_given_up: int = 0
    by_window: list[int] = field(default_factory=lambda: [0])  # answers
    cpu_s: list[float] = field(default_factory=list)  # of the server, up to the start of each window
    rss_after_warm_up: int = 0


def main() -> int:
    """Soak, print what was found, and return 1 when anything was wrong."""
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    with _server(options.server, cores[0]) as (port, pid):
        try:
            tally, rss = _soak(
                port, pid, n_requests=options.requests, seconds=options.seconds, n_callers=options.callers
            )
            findings = _judge(tally, rss, _batches(port), is_timed=options.seconds > 0)
        except SoakFailed as failure:
            sys.stdout.write(f"WRONG: {failure}\n")
            return 1
    sys.stdout.write("".join(f"{line}\n" for line in findings))
    return 1 if any(line.startswith("WRONG") for line in findings) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000, metavar="N", help="answers to wait for at least")
    parser.add_argument("--seconds", type=float, default=600.0, metavar="S", help="time to go on for at least")
    parser.add_argument("--callers", type=int, default=32, metavar="N", help="connections at a time")
    parser.add_argument("--server", default="-m loadplan.serve", help="what Python is started with as the server")
    return parser.parse_args()


def _soak(port: int, pid: int, *, n_requests: int, seconds: float, n_callers: int) -> tuple[_Tally, int]:
    """Drive it, and read its memory at the end, before the callers leave."""
    tally = _Tally()
    server = psutil.Process(pid)
    window_s = max(seconds, 1.0) / _N_WINDOWS
    with select.epoll() as poll:
        callers: dict[int, _Caller] = {}
        numbers = iter(range(sys.maxsize))

        def begin(caller: _Caller) -> None:
            descriptor = caller.connect()
            callers[descriptor] = caller
            poll.register(descriptor, select.EPOLLIN)
            caller.send(next(numbers))

        for index in range(n_callers):
            begin(_Caller(port, random.Random(index)))  # noqa: S311 -- a test's dice
        start_s = time.monotonic()
        while (now_s := time.monotonic()) < start_s + seconds or tally.n_answered < n_requests:
            _count_windows(tally, int((now_s - start_s) / window_s), server)
            if not tally.rss_after_warm_up and now_s > start_s + seconds / 5:
                tally.rss_after_warm_up = server.memory_info().rss
            ready = poll.poll(30.0)
            if not ready:
                raise SoakFailed("no answer came for 30 s")
            for descriptor, _ in ready:
                caller = callers[descriptor]
                if not caller.receive():
                    continue
                tally.n_answered += 1
                tally.by_window[-1] += 1
                caller.send(next(numbers))
                if caller.random.random() < _GIVEN_UP:
                    tally.n_given_up += 1
                    poll.unregister(descriptor)
                    callers.pop(descriptor).connection.close()
                    begin(caller)
        rss = server.memory_info().rss
        for caller in callers.values():
            caller.connection.close()
    return tally, rss


def _count_windows(tally: _Tally, window: int, server: psutil.Process) -> None:
    while len(tally.cpu_s) <= window:
        times = server.cpu_times()
        tally.cpu_s.append(times.user + times.system)
        if len(tally.cpu_s) > 1:
            tally.by_window.append(0)


def _judge(tally: _Tally, rss: int, batches: dict[float, float], *, is_timed: bool) -> list[str]:
    n_batches = sum(batches.values())
    full = batches[float(_MAX_BATCH_SIZE)] / n_batches
    lines = [f"{tally.n_answered:,} answers right, {tally.n_given_up:,} requests given up, {n_batches:,.0f} batches"]
    lines.append(f"{'' if full >= 0.1 else 'WRONG: only '}{full:.0%} of the batches more than half full")
    if is_timed:
        by_time = _kept(tally.by_window[:-1])
        spent_s = [max(after - before, 1e-3) for before, after in pairwise(tally.cpu_s)]
        by_work = _kept([count / own_s for count, own_s in zip(tally.by_window, spent_s, strict=False)])
        verdict = "" if max(by_time, by_work) >= _DECAY_LEAST else "WRONG: "
        lines.append(
            f"{verdict}answers a second at the end {by_time:.1%} of those at the start, by its work {by_work:.1%}"
        )
        grown = rss - tally.rss_after_warm_up
        lines.append(f"{'' if grown < _GROWTH_MOST else 'WRONG: '}memory grew by {grown / (1 << 20):.1f} MiB")
    return lines


def _kept(rates: Sequence[float]) -> float:
    """The rate of the last fifth over that of the first."""
    fifth = max(1, len(rates) // 5)
    return statistics.median(rates[-fifth:]) / statistics.median(rates[:fifth])


@contextmanager
def _server(command: str, core: int) -> Iterator[tuple[int, int]]:
    """The port and the process of a server of a model that gives back what it is given."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "echo.onnx"
        onnx.save(_echo_model(), model)
        arguments = ["--model", str(model), "--max-batch-size", str(_MAX_BATCH_SIZE), "--cores", str(core)]
        with subprocess.Popen(
            [sys.executable, *shlex.split(command), *arguments, "--exit-with-parent", str(os.getpid())],
            stdout=subprocess.PIPE,
            cwd=_ROOT,
        ) as process:
            assert process.stdout is not None  # noqa: S101 -- it was asked for
            try:
                yield int(json.loads(process.stdout.readline())["url"].rsplit(":", 1)[1]), process.pid
            finally:
                process.terminate()


def _batches(port: int) -> dict[float, float]:
    """Batches by the bucket of rows that they fall into."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nconnection: close\r\nhost: here\r\n\r\n")
        text = client.makefile().read()
    counts, below = {}, 0.0
    for line in text.splitlines():
        if line.startswith("loadplan_batch_rows_bucket"):
            count = float(line.rsplit(" ", 1)[1])
            counts[float(line.split('"')[1])] = count - below
            below = count
    return counts


def _message(rows: np.ndarray, identity: str, *, is_raw: bool) -> bytes:
    tensor: dict[str, object] = {"name": "x", "datatype": "FP32", "shape": list(rows.shape)}
    if is_raw:
        tail = rows.tobytes()
        tensor["parameters"] = {"binary_data_size": len(tail)}
        document = {"id": identity, "inputs": [tensor], "parameters": {"binary_data_output": True}}
    else:
        tail = b""
        document = {"id": identity, "inputs": [tensor | {"data": rows.ravel().tolist()}]}
    start = json.dumps(document).encode()
    length = f"inference-header-content-length: {len(start)}\r\n" if is_raw else ""
    head = f"POST /v2/models/echo/infer HTTP/1.1\r\nhost: h\r\n{length}content-length: {len(start) + len(tail)}\r\n\r\n"
    return head.encode() + start + tail


def _rows(body: bytes, n_rows: int) -> tuple[np.ndarray, str]:
    n_bytes = 4 * n_rows * _N_COLUMNS
    document = json.loads(body[:-n_bytes])
    shape = document["outputs"][0]["shape"]
    return np.frombuffer(body[-n_bytes:], dtype="<f4").reshape(shape), document["id"]


def _json_rows(body: bytes) -> tuple[np.ndarray, str]:
    document = json.loads(body)
    (output,) = document["outputs"]
    return np.array(output["data"], dtype=np.float32).reshape(output["shape"]), document["id"]


def _echo_model() -> onnx.ModelProto:
    unit = numpy_helper.from_array(np.eye(_N_COLUMNS, dtype=np.float32), "unit")
    shape: list[int | str | None] = ["n", _N_COLUMNS]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "unit"], ["y"])],
        "echo",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [unit],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    sys.exit(main())
