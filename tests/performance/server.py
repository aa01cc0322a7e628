"""The embedded server's speed at saturation, beside others': `python -m tests.performance.server`.

Each server has the first core and a model of some 10 microseconds; the client has the last core. It keeps 64
connections busy from one epoll loop, each with one request of 64 numbers under way, and counts whole answers, which it
does not parse. The servers are measured in turn, round after round, so that a ratio is taken within each round and a
neighbour's minute hits all of them; figures are medians over the rounds. Where `wrk` is installed its figure stands
beside. The decisions a reader would question:

- MLServer runs in one process (`parallel_workers: 0`): with its worker process, which is its default, it shares the
  core with itself. It is installed into an environment of its own, `.venv-mlserver`, when that is missing.
- The bare handler checks nothing of what it is sent, and answers each request of a poll before it polls again; the
  embedded server polls after each inference. Both others run one request an inference; ours stands beside them twice.
- Batching is shown on a second model, whose weights of 36 MB are read once for a batch; the ratio of its inferences is
  measured in this process and printed beside.
"""

import contextlib
import json
import os
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

_N_CONNECTIONS = 64
_N_INPUTS = 64
_N_ROUNDS = 7
_WARM_UP_S = 0.2
_MEASURED_S = 1.0
_START_LIMIT_S = 60.0
_DEFAULT, _ALONE = "batches of up to 32, as `loadplan serve` starts it", "one request an inference"
_ROOT = Path(__file__).parents[2]
_FAKES = _ROOT / "tests" / "fakes"
_MLSERVER = _ROOT / ".venv-mlserver"


class NotAvailable(Exception):
    """A server that this machine can't show, and why."""


def main() -> None:
    """Measure all, and print one line for each."""
    cores = sorted(os.sched_getaffinity(0))
    server_core, client_core = cores[0], cores[-1]
    os.sched_setaffinity(0, {client_core})
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        small, large = Path(folder) / "small.onnx", Path(folder) / "large.onnx"
        onnx.save(_model([_N_INPUTS, 64, 10]), small)
        onnx.save(_model([_N_INPUTS, 3000, 3000, 10]), large)
        ports = {
            _ALONE: stack.enter_context(_embedded(small, 1, server_core)),
            _DEFAULT: stack.enter_context(_embedded(small, 32, server_core)),
            "bare Starlette": stack.enter_context(_bare(small, server_core)),
            "large model, batch 1": stack.enter_context(_embedded(large, 1, server_core)),
            "large model, batch 16": stack.enter_context(_embedded(large, 16, server_core)),
        }
        try:
            ports["MLServer"] = stack.enter_context(_mlserver(small, Path(folder), server_core))
        except NotAvailable as reason:
            sys.stdout.write(f"MLServer: not available: {reason}\n")
        rates: dict[str, list[float]] = {name: [] for name in ports}
        for _ in range(_N_ROUNDS):
            for name, port in ports.items():
                rates[name].append(_saturate(port))
        for name in (_ALONE, _DEFAULT):
            sys.stdout.write(f"{name}: {_inside(ports[name], rates[name])}{_wrk(ports[name])}\n")
        _print_ratios(rates, _batch_cost(large))


def _print_ratios(rates: dict[str, list[float]], batch_cost: float) -> None:
    sys.stdout.write(f"batching the small model by 32: {_ratio(rates, _DEFAULT, _ALONE)} times the rate\n")
    sys.stdout.write(
        f"batching the large model by 16: {_ratio(rates, 'large model, batch 16', 'large model, batch 1')} times the "
        f"rate, where an inference of 16 rows takes {batch_cost:.1f} times one of 1 (wanted: 2 times, if below 4)\n"
    )
    for other, wanted in (("bare Starlette", 0.95), ("MLServer", 4)):
        if other in rates:
            for name in (_DEFAULT, _ALONE):
                sys.stdout.write(f"{name}, beside {other}: {_ratio(rates, name, other)} times (wanted: {wanted:g})\n")


def _ratio(rates: dict[str, list[float]], above: str, below: str) -> str:
    """Median and range of the ratios within the rounds, and the median rates."""
    ratios = [ours / theirs for ours, theirs in zip(rates[above], rates[below], strict=True)]
    medians = [statistics.median(rates[name]) for name in (above, below)]
    return (
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}; "
        f"{medians[0]:,.0f} and {medians[1]:,.0f} requests/s)"
    )


@contextmanager
def _embedded(model: Path, max_batch_size: int, core: int) -> Iterator[int]:
    options = ["--name", "small", "--cores", str(core), "--max-batch-size", str(max_batch_size), "--exit-with-parent"]
    with _started([sys.executable, "-m", "loadplan.serve", "--model", str(model), *options]) as port:
        yield port


@contextmanager
def _bare(model: Path, core: int) -> Iterator[int]:
    with _started([sys.executable, str(_FAKES / "bare_starlette.py"), str(model), str(core)]) as port:
        yield port


@contextmanager
def _started(command: Sequence[str]) -> Iterator[int]:
    """The port of a server that says its URL when it is ready."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_ROOT) as server:
        assert server.stdout is not None
        try:
            yield int(json.loads(server.stdout.readline())["url"].rsplit(":", 1)[1])
        finally:
            server.terminate()


@contextmanager
def _mlserver(model: Path, folder: Path, core: int) -> Iterator[int]:
    """The port of MLServer with this model. Raises NotAvailable."""
    _install_mlserver()
    ports = _free_ports(3)
    settings = {"parallel_workers": 0, "debug": False, "host": "127.0.0.1", "use_structured_logging": False}
    settings |= dict(zip(("http_port", "grpc_port", "metrics_port"), ports, strict=True))
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(
        json.dumps({"name": "small", "implementation": "mlserver_model.OnnxModel"})
    )
    environment = os.environ | {"LOADPLAN_MODEL": str(model), "PYTHONPATH": str(_FAKES)}
    command = ["taskset", "-c", str(core), str(_MLSERVER / "bin" / "mlserver"), "start", str(folder)]
    with (folder / "mlserver.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        _wait_for(ports[0], server, folder / "mlserver.log")
        yield ports[0]
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10.0)
        server.kill()
        server.wait()


def _install_mlserver() -> None:
    if (_MLSERVER / "bin" / "mlserver").exists():
        return
    wanted = ["mlserver>=1.7,<2", f"onnxruntime=={onnxruntime.__version__}"]
    pip = [str(_MLSERVER / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in ([sys.executable, "-m", "venv", str(_MLSERVER)], [*pip, *wanted]):
        end = subprocess.run(command, capture_output=True, text=True, check=False)
        if end.returncode != 0:
            shutil.rmtree(_MLSERVER, ignore_errors=True)
            raise NotAvailable((end.stderr.strip().splitlines() or ["it can't be installed"])[-1])


def _wait_for(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end_s = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < end_s and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5.0) as client:
            client.sendall(b"GET /v2/models/small/ready HTTP/1.1\r\nconnection: close\r\nhost: here\r\n\r\n")
            if client.recv(65536).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.2)
    raise NotAvailable((log.read_text().strip().splitlines() or ["it did not start"])[-1][:200])


def _free_ports(n_ports: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(n_ports)]
        return [one.getsockname()[1] for one in sockets]


def _saturate(port: int) -> float:
    """Whole answers per second over the measured time."""
    message = _message()
    with ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        clients, missing = {}, {}
        for _ in range(_N_CONNECTIONS):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(message)
            clients[client.fileno()] = client
        for descriptor, client in clients.items():
            n_answer_bytes = _read_one(client)
            missing[descriptor] = n_answer_bytes
            client.setblocking(False)
            poll.register(descriptor, select.EPOLLIN)
            client.send(message)
        start_s = time.perf_counter() + _WARM_UP_S
        end_s = start_s + _MEASURED_S
        n_answers = 0
        while (now_s := time.perf_counter()) < end_s:
            for descriptor, _ in poll.poll():
                client = clients[descriptor]
                missing[descriptor] -= len(client.recv(65536))
                if missing[descriptor] > 0:  # head and body came apart
                    continue
                if missing[descriptor] < 0:
                    raise RuntimeError("an answer has another length than the first")
                missing[descriptor] = n_answer_bytes
                client.send(message)
                n_answers += now_s >= start_s
        return n_answers / _MEASURED_S


def _read_one(client: socket.socket) -> int:
    """The bytes of one whole answer, all of which have the same length."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the server answered {received[:300]!r}")
    n_body_bytes = int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n")[0])
    while len(body) < n_body_bytes:
        body += client.recv(65536)
    return len(head) + 4 + n_body_bytes


def _inside(port: int, rates: Sequence[float]) -> str:
    """What the embedded server counted since it started, beside its median rate."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nconnection: close\r\nhost: here\r\n\r\n")
        text = client.makefile().read()
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("loadplan_"))
    values = {name: float(value) for name, value in lines}
    names = ("loadplan_inference_seconds_sum", "loadplan_inference_seconds_count", "loadplan_batch_rows_sum")
    inference_s, n_inferences, n_rows = (values[name] for name in names)
    rate = statistics.median(rates)
    return (
        f"{rate:,.0f} requests/s, {n_rows / n_inferences:.1f} rows an inference, "
        f"{inference_s / n_inferences * 1e6:.1f} µs each, {1e6 / rate - inference_s / n_rows * 1e6:.1f} µs a request "
        f"beside inference"
    )


def _wrk(port: int) -> str:
    """What wrk measures, as text; empty where it is not installed."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return ""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f"wrk.method = 'POST'\nwrk.body = '{_body().decode()}'\n")
        script.flush()
        url = f"http://127.0.0.1:{port}/v2/models/small/infer"
        command = [wrk, "-t1", f"-c{_N_CONNECTIONS}", "-d3", "-s", script.name, url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = float(said.split("Requests/sec:")[1].split()[0])
    return f"; wrk: {rate:,.0f} requests/s"


def _batch_cost(model: Path) -> float:
    """How many times as long an inference of 16 rows takes as one of 1, at the fastest of many."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    fastest = []
    for n_rows in (1, 16):
        x = np.zeros((n_rows, _N_INPUTS), dtype=np.float32)
        times = []
        for _ in range(300):
            start_s = time.perf_counter()
            session.run(None, {"x": x})
            times.append(time.perf_counter() - start_s)
        fastest.append(min(times))
    return fastest[1] / fastest[0]


def _message() -> bytes:
    head = (
        "POST /v2/models/small/infer HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"content-type: application/json\r\ncontent-length: {len(_body())}\r\n\r\n"
    )
    return head.encode() + _body()


def _body() -> bytes:
    values = (np.random.default_rng(1).integers(0, 17, _N_INPUTS) / 16).tolist()  # the grey levels of a digit
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, _N_INPUTS], "data": values}
    return json.dumps({"id": "same", "inputs": [tensor]}).encode()


def _model(widths: Sequence[int]) -> onnx.ModelProto:
    """A classifier with layers of these widths."""
    random = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for index, (before, after) in enumerate(pairwise(widths)):
        is_last = index == len(widths) - 2
        matrix = (random.normal(size=(before, after)) / np.sqrt(before)).astype(np.float32)
        weights.append(numpy_helper.from_array(matrix, f"w{index}"))
        nodes.append(helper.make_node("MatMul", [last, f"w{index}"], ["y" if is_last else f"sum{index}"]))
        if not is_last:
            last = f"hidden{index}"
            nodes.append(helper.make_node("Relu", [f"sum{index}"], [last]))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", widths[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", widths[-1]])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    main()
