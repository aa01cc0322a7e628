"""Start, readiness, stop, and what the process says when it can't start."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from tests.live.serve.conftest import Launch, Server, StartServer


def test_the_ready_line_is_one_json_object_and_the_server_answers_behind_it(model: Path, launch: "Launch") -> None:
    process = launch("--model", str(model))
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    assert said["model"] == "echo"
    assert said["pid"] == process.pid
    with socket.create_connection(("127.0.0.1", int(said["url"].rsplit(":", 1)[1]))):
        pass
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest, errors) == (0, "", "")


class _Caller(threading.Thread):
    """Asks one request after the other until the server stops it, and counts the requests that got no answer."""

    def __init__(self, server: "Server") -> None:
        super().__init__()
        self.server = server
        self.n_answered = 0
        self.n_lost = 0
        self.is_refused = False

    def run(self) -> None:
        while not self.is_refused:
            try:
                client = socket.create_connection(("127.0.0.1", self.server.port), timeout=30)
            except ConnectionError:
                self.is_refused = True
                return
            with client:
                self._ask_until_closed(client)

    def _ask_until_closed(self, client: socket.socket) -> None:
        while True:
            try:
                client.sendall(self.server.message([self.server.row(trips=20)]))
                answer = client.recv(65536)
            except ConnectionError:
                answer = b""
            if not answer.startswith(b"HTTP/1.1 200"):
                self.n_lost += 1
                return
            self.n_answered += 1
            if b"connection: close" in answer:
                return


def test_sigterm_under_load_loses_no_answer(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "4")
    callers = [_Caller(server) for _ in range(8)]
    for caller in callers:
        caller.start()
    time.sleep(0.5)
    server.process.send_signal(signal.SIGTERM)
    for caller in callers:
        caller.join(timeout=30)
    assert server.process.wait(timeout=20) == 0
    assert [caller.n_lost for caller in callers] == [0] * 8
    assert all(caller.n_answered > 5 and caller.is_refused for caller in callers)


def test_a_stop_waits_for_the_request_that_is_being_computed(start_server: "StartServer") -> None:
    server = start_server("--batch-window-ms", "600", "--max-batch-size", "2")
    (client,) = server.send_at_once([server.row(4)])
    server.wait_for("loadplan_queue_rows", 1.0)
    server.process.send_signal(signal.SIGTERM)
    assert client.recv(65536).startswith(b"HTTP/1.1 200")
    assert server.process.wait(timeout=20) == 0


def test_a_port_that_is_taken_is_said_with_its_holder(model: Path, launch: "Launch") -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = launch("--model", str(model), "--port", str(port))
        said, errors = process.communicate(timeout=30)
    assert (process.returncode, said) == (4, "")
    assert f"port {port} on 127.0.0.1 is taken by process {os.getpid()}" in errors
    assert "Traceback" not in errors


def test_a_port_taken_by_another_server_is_said(start_server: "StartServer", model: Path, launch: "Launch") -> None:
    server = start_server()
    process = launch("--model", str(model), "--port", str(server.port))
    assert f"taken by process {server.process.pid}" in process.communicate(timeout=30)[1]
    assert process.returncode == 4


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--model", "nowhere.onnx"], 2, "no such model file"),
        (["--model", "pyproject.toml"], 2, "ONNX Runtime can't load the model"),
        (["--model", "MODEL", "--max-batch-size", "0"], 2, "a batch of 0 rows"),
        (["--model", "MODEL", "--cores", "4095"], 2, "can't run on the cores 4095"),
        (["--model", "MODEL", "--cores", "first"], 2, "invalid"),
        (["--model", "MODEL", "--provider", "CUDA"], 4, "the provider CUDA can't run this model here"),
        (["--model", "MODEL", "--host", "host.invalid"], 2, "not an address to listen on"),
        (["--model", "MODEL", "--host", "192.0.2.1"], 4, "can't listen on 192.0.2.1"),
        (["--model", "MODEL", "--port", "70000"], 2, "70000 is not a port"),
        ([], 2, "--model"),
    ],
)
def test_a_server_that_cannot_start_says_why(
    model: Path, launch: "Launch", options: list[str], code: int, message: str
) -> None:
    process = launch(*(str(model) if option == "MODEL" else option for option in options))
    said, errors = process.communicate(timeout=30)
    assert (process.returncode, said) == (code, "")
    assert message in errors
    assert "Traceback" not in errors


def test_without_grpcio_a_server_asked_for_grpc_says_what_to_install(model: Path) -> None:
    code = (
        "import sys; sys.modules['grpc'] = None; from loadplan.serve.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "--model", str(model), "--grpc-port", "0"]
    end = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (end.returncode, end.stdout) == (4, "")
    assert 'pip install "loadplan[grpc]"' in end.stderr
    assert "Traceback" not in end.stderr


def test_it_listens_on_loopback_only_unless_asked(start_server: "StartServer") -> None:
    server = start_server()
    assert _addresses(server) == ["127.0.0.1"]


def test_listening_to_other_machines_is_warned_about(start_server: "StartServer") -> None:
    server = start_server("--host", "0.0.0.0")
    assert _addresses(server) == ["0.0.0.0"]
    server.process.send_signal(signal.SIGTERM)
    assert "other machines can reach it" in server.process.communicate(timeout=20)[1]


def _addresses(server: "Server") -> list[str]:
    connections = psutil.Process(server.process.pid).net_connections("inet")
    return [entry.laddr.ip for entry in connections if entry.status == psutil.CONN_LISTEN]


def test_the_process_stays_on_the_cores_it_was_given(start_server: "StartServer") -> None:
    core = max(os.sched_getaffinity(0))
    server = start_server("--cores", str(core))
    assert os.sched_getaffinity(server.process.pid) == {core}


@pytest.mark.parametrize("given", [[], ["PID"]], ids=["found by itself", "named"])
def test_the_server_ends_when_its_parent_is_killed(model: Path, given: list[str]) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(model), *given], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert parent.stdout is not None
    server = psutil.Process(json.loads(parent.stdout.readline())["pid"])
    parent.kill()
    parent.communicate()
    psutil.wait_procs([server], timeout=10)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


_PARENT = """
import os, subprocess, sys, time
pid = [str(os.getpid())] if sys.argv[2:] else []
subprocess.Popen([sys.executable, "-m", "loadplan.serve", "--model", sys.argv[1], "--exit-with-parent", *pid])
time.sleep(60)
"""


def test_a_server_whose_parent_died_before_it_looked_does_not_start(model: Path, launch: "Launch") -> None:
    process = launch("--model", str(model), "--exit-with-parent", "1" if os.getpid() != 1 else "2")
    errors = process.communicate(timeout=30)[1]
    assert process.returncode == 4
    assert "has already ended" in errors


def test_while_an_inference_hangs_nobody_is_told_that_the_server_is_ready(start_server: "StartServer") -> None:
    server = start_server()
    assert server.get("/v2/health/ready")[0] == 200
    probe = server.connect()
    probe.settimeout(1.5)
    server.send_at_once([server.row(trips=1_000_000_000)])
    time.sleep(0.2)  # by now it is being computed
    probe.sendall(b"GET /v2/health/ready HTTP/1.1\r\nhost: here\r\n\r\n")
    with pytest.raises(TimeoutError):
        probe.recv(65536)
    server.process.kill()
