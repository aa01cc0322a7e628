"""The embedded server under what is too much: `python -m tests.performance.overload [SECONDS]`.

A model whose batch takes some milliseconds is served on the first core, inline and in a thread; loadplan's own
generator has the last one. First a run at 0.6 times the capacity (the normal), then one at 3 times for SECONDS (15,
while the goal is of 60), then the normal again, as soon as a new generator is up, which takes one to two seconds; then
once more beside 500 connections that send a byte a second. The capacity is what a closed loop of 64 callers gets.

Printed, nothing is asserted; a run that neighbours spoiled says so, for its figures are the machine's. The goals:
goodput of at least 85 % of the capacity, refusals within 10 ms (p99), normal again within 2 s, ready throughout, and no
more than twice the p99 beside slow clients.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import psutil
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from loadplan.load.driver import run_load
from loadplan.load.messages.requests import PreparedRequests, v2_requests
from loadplan.load.records import LoadRun, LoadSpec, Outcome
from loadplan.machine import read_machine
from loadplan.scenario.arrivals import Callers, PoissonArrivals
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always

_N_INPUTS = 64
_NORMAL_S, _CAPACITY_S = 6.0, 4.0
_NORMAL_RATIO, _OVERLOAD_RATIO = 0.6, 3.0
_N_SLOW = 500
_MOST_QUEUED_ROWS = 256


def main() -> None:
    """Three lines for each place of the inference."""
    overload_s = float(sys.argv[1]) if len(sys.argv) > 1 else 15.0
    cores = sorted(os.sched_getaffinity(0))
    x = np.random.default_rng(1).normal(size=(200, _N_INPUTS)).astype(np.float32)
    payloads = PayloadSet(inputs={"x": x}, expected={}, segments=("",) * len(x), labels=None)
    requests = replace(v2_requests(payloads, model="m", rows_per_request=always(1)), expected=None)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        onnx.save(_model(), model)
        for place in ("inline", "thread"):
            with _serving(model, place, cores[0]) as port:
                _show(place, port, requests, overload_s=overload_s, core=cores[-1])


@contextmanager
def _serving(model: Path, place: str, core: int) -> Iterator[int]:
    options = ["--name", "m", "--cores", str(core), "--max-batch-size", "16", "--inference", place]
    options += ["--max-queue-rows", str(_MOST_QUEUED_ROWS), "--exit-with-parent", str(os.getpid())]
    command = [sys.executable, "-m", "loadplan.serve", "--model", str(model), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            yield int(json.loads(server.stdout.readline())["url"].rsplit(":", 1)[1])
        finally:
            server.terminate()


def _model() -> onnx.ModelProto:
    """64 numbers through two layers of 3,000: 36 MB of weights, some milliseconds a batch."""
    sizes, name = (_N_INPUTS, 3000, 3000, 10), "x"
    rng, nodes, weights = np.random.default_rng(1), [], []
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        layer = (rng.normal(size=(n_in, n_out)) / np.sqrt(n_in)).astype(np.float32)
        weights.append(numpy_helper.from_array(layer, f"w{i}"))
        nodes += [helper.make_node("MatMul", [name, f"w{i}"], [f"h{i}"])]
        nodes += [helper.make_node("Tanh", [f"h{i}"], ["y" if i == len(sizes) - 2 else f"a{i}"])]
        name = f"a{i}"
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, k]) for n, k in (("x", sizes[0]), ("y", sizes[-1]))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def _show(place: str, port: int, requests: PreparedRequests, *, overload_s: float, core: int) -> None:
    server = _server()

    def drive(rate_rps: float, duration_s: float, n_callers: int = 0) -> LoadRun:
        arrivals = Callers(n_callers=n_callers, think_time_s=0.0) if n_callers else PoissonArrivals()
        spec = LoadSpec(
            name=place,
            purpose="ad_hoc",
            arrivals=arrivals,
            offered_rate_rps=rate_rps,
            duration_s=duration_s,
            seed=1,
            timeout_s=5.0,
            setting=None,
        )
        url = f"http://127.0.0.1:{port}"
        return run_load(spec, url=url, requests=requests, machine=read_machine(), core=core)

    capacity_rps = drive(float("nan"), _CAPACITY_S, n_callers=64).verdict.throughput_rps
    before = drive(_NORMAL_RATIO * capacity_rps, _NORMAL_S)
    rss_before = server.memory_info().rss
    with _asked_for_readiness(port) as answers:
        over = drive(_OVERLOAD_RATIO * capacity_rps, overload_s)
    rss_after = server.memory_info().rss
    after = drive(_NORMAL_RATIO * capacity_rps, _NORMAL_S)
    log, took_s = over.requests, over.requests.done_s - over.requests.due_s
    refused_s = took_s[log.outcome == np.uint8(Outcome.REFUSED)]
    sys.stdout.write(
        f"{place}: capacity {capacity_rps:,.0f} requests/s; at {_OVERLOAD_RATIO:g} times for {overload_s:g} s goodput "
        f"{over.verdict.throughput_rps / capacity_rps:.0%} of it (wanted: 85 %), {refused_s.size / log.n_requests:.0%} "
        f"refused with a p99 of {_p99_ms(refused_s)} (wanted: 10 ms), ready {np.mean(answers):.0%} of {len(answers)} "
        f"times, memory + {(rss_after - rss_before) / 2**20:.1f} MB\n"
    )
    with _slow_clients(port):
        beside = drive(_NORMAL_RATIO * capacity_rps, _NORMAL_S)
    sys.stdout.write(
        f"{place}: p99 before {_p99_ms(before.requests.response_time_s)}, after the overload "
        f"{_p99_ms(after.requests.response_time_s)}, beside {_N_SLOW} slow clients "
        f"{_p99_ms(beside.requests.response_time_s)} (wanted: at most twice that before)\n"
    )
    spoiled = [reason for run in (before, over, after, beside) for reason in run.verdict.invalid_reasons]
    sys.stdout.write(f"{place}: {'spoiled: ' + '; '.join(spoiled) if spoiled else 'all runs are valid'}\n")


@contextmanager
def _asked_for_readiness(port: int) -> Iterator[list[bool]]:
    """Whether the server said that it is ready, each half second."""
    answers: list[bool] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(0.5):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=1.0) as answer:
                    answers.append(answer.status == 200)
            except (urllib.error.URLError, TimeoutError):
                answers.append(False)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join()


@contextmanager
def _slow_clients(port: int) -> Iterator[None]:
    """Connections that begin a request and go on by a byte a second; the server may close them."""
    ended = threading.Event()
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(_N_SLOW)]

        def send() -> None:
            while True:
                for client in clients:
                    with suppress(OSError):
                        client.send(b"G")
                if ended.wait(1.0):
                    return

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _p99_ms(times_s: NDArray[np.float64]) -> str:
    return f"{1e3 * np.percentile(times_s, 99):.1f} ms" if times_s.size else "nothing"


def _server() -> psutil.Process:
    """The one server that is up."""
    return next(one for one in psutil.Process().children(recursive=True) if "loadplan.serve" in one.cmdline())


if __name__ == "__main__":
    main()
