"""What a request costs the server by the connections it may come over: `python -m tests.performance.connections [N]`.

24 requests are always under way; each goes out on the connection that has rested longest, of 24 to 500. Printed is the
server's own CPU time per request, which neighbours stretch far less than they do the clock: the mean of N blocks (12)
of 1500 requests each, in random order. It asserts nothing. Calibration bursts and saturated runs are to stay near 64
connections (`fit.calibration`), which is what steady runs have.
"""

import os
import select
import socket
import sys
import tempfile
from collections import deque
from itertools import cycle
from pathlib import Path

import numpy as np
import onnx
import psutil
from onnx import TensorProto, helper, numpy_helper

from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.load.messages.requests import v2_requests, wire_messages
from loadplan.load.target.server_process import start_server
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always

_N_INPUTS = 64
_N_CONNECTIONS = (24, 64, 128, 256, 500)
_N_UNDER_WAY, _N_REQUESTS = 24, 1500


def main() -> None:
    """A line for each number of connections."""
    n_blocks = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    cores = sorted(os.sched_getaffinity(0))
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, _N_INPUTS)).astype(np.float32)
    payloads = PayloadSet(inputs={"x": x}, expected={}, segments=("",) * len(x), labels=None)
    messages = wire_messages(v2_requests(payloads, model="m", rows_per_request=always(1)), host="localhost")
    setting = Setting(execution=ExecutionConfig(variant="fp32"), serving=ServingConfig(max_batch_size=8))
    costs_s: dict[int, list[float]] = {n: [] for n in _N_CONNECTIONS}
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        onnx.save(_model(), model)
        with start_server(model, setting=setting, model_name="m", cores=cores[:1]) as server:
            os.sched_setaffinity(0, cores[-1:])
            host, port = server.url.removeprefix("http://").split(":")
            sockets = [_connected(host, int(port)) for _ in range(max(_N_CONNECTIONS))]
            process = psutil.Process(server.pid)
            for _ in range(n_blocks):
                for n in rng.permutation(_N_CONNECTIONS):
                    before_s = sum(process.cpu_times()[:2])
                    _drive(sockets[:n], cycle(messages))
                    costs_s[int(n)].append((sum(process.cpu_times()[:2]) - before_s) / _N_REQUESTS)
    least_s = float(np.mean(costs_s[_N_CONNECTIONS[0]]))
    for n, values_s in costs_s.items():
        # Clock ticks of 10 ms are fine: a block takes a tenth of a second, and the mean of blocks has no bias.
        mean_s = float(np.mean(values_s))
        sys.stdout.write(f"{n:4d} connections: {1e6 * mean_s:6.1f} µs a request, {mean_s / least_s:.2f} times\n")


def _drive(sockets: list[socket.socket], messages: "cycle[bytes]") -> None:
    resting, by_descriptor = deque(sockets), {each.fileno(): each for each in sockets}
    with select.epoll() as epoll:
        for descriptor in by_descriptor:
            epoll.register(descriptor, select.EPOLLIN)
        n_sent = n_done = 0
        while n_done < _N_REQUESTS:
            while n_sent < _N_REQUESTS and n_sent - n_done < _N_UNDER_WAY:
                resting.popleft().send(next(messages))
                n_sent += 1
            for descriptor, _ in epoll.poll(0, 8):
                by_descriptor[descriptor].recv(65_536)
                resting.append(by_descriptor[descriptor])
                n_done += 1


def _connected(host: str, port: int) -> socket.socket:
    connection = socket.create_connection((host, port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _model() -> onnx.ModelProto:
    weights = np.eye(_N_INPUTS, dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "m",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", _N_INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", _N_INPUTS])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    main()
