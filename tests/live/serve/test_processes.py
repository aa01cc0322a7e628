"""Several processes behind one port: one server to whoever calls it, and to whoever stops it."""

import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from tests.live.serve.conftest import Launch, Server, StartServer


@pytest.fixture
def server(start_server: "StartServer") -> "Server":
    return start_server("--max-batch-size", "8", "--processes", "2", "--grpc-port", "0")


def _members(server: "Server") -> list[psutil.Process]:
    return list(psutil.Process(server.process.pid).children())


def test_both_serve_and_any_of_them_tells_what_all_have_counted(server: "Server") -> None:
    assert server.said["pid"] == server.process.pid
    ports = [{entry.laddr.port for entry in member.net_connections("inet")} for member in _members(server)]
    assert len(ports) == 2
    assert all({server.port, int(server.said["grpc"].rsplit(":", 1)[1])} <= own for own in ports)
    clients = server.send_at_once(*([server.row(index)] for index in range(40)))
    for index, client in enumerate(clients):
        assert json.loads(client.recv(65536).split(b"\r\n\r\n")[1])["outputs"][0]["data"][0] == index
    held = [len([entry for entry in member.net_connections("inet") if entry.raddr]) for member in _members(server)]
    assert min(held) > 0  # the kernel would have to deal forty connections to one of the two
    server.wait_for('loadplan_requests_total{outcome="ok"}', 40.0)
    assert server.metrics()["loadplan_processes"] == 2
    assert server.get("/v2/health/ready")[0] == 200
    server.process.send_signal(signal.SIGTERM)
    rest, errors = server.process.communicate(timeout=20)
    assert (server.process.returncode, rest, errors) == (0, "", "")


def test_when_one_dies_the_whole_ends_and_says_so(server: "Server") -> None:
    members = _members(server)
    members[1].kill()
    errors = server.process.communicate(timeout=20)[1]
    assert server.process.returncode == 4
    assert "process 1 of the server's 2 ended by SIGKILL" in errors
    assert "Traceback" not in errors
    assert not any(member.is_running() for member in members)
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", server.port))


@pytest.mark.nightly
def test_the_processes_end_with_their_supervisor_however_that_ends(server: "Server") -> None:
    members = _members(server)
    server.process.kill()
    server.process.wait()
    _, alive = psutil.wait_procs(members, timeout=10)
    assert [member for member in alive if member.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.nightly
def test_what_is_wrong_with_the_model_is_said_once(launch: "Launch") -> None:
    process = launch("--model", "nowhere.onnx", "--processes", "3")
    said, errors = process.communicate(timeout=60)
    assert (process.returncode, said) == (2, "")
    assert errors.count("no such model file") == 1


@pytest.mark.nightly
def test_ports_are_not_shared_with_servers_that_share_theirs(server: "Server", model: Path, launch: "Launch") -> None:
    for options in (["--processes", "2"], []):
        process = launch("--model", str(model), "--port", str(server.port), *options)
        errors = process.communicate(timeout=60)[1]
        assert process.returncode == 4
        assert f"port {server.port} on 127.0.0.1 is taken" in errors
    grpc_port = server.said["grpc"].rsplit(":", 1)[1]
    process = launch("--model", str(model), "--grpc-port", grpc_port)
    assert f"port {grpc_port} on 127.0.0.1 is taken" in process.communicate(timeout=60)[1]


def test_cores_are_dealt_out(start_server: "StartServer") -> None:
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        pytest.skip("this machine has one core")
    server = start_server("--processes", "2", "--cores", ",".join(map(str, cores)))
    assert [os.sched_getaffinity(member.pid) for member in _members(server)] == [{cores[0]}, {cores[1]}]


def test_fewer_cores_than_processes_are_refused(model: Path, launch: "Launch") -> None:
    process = launch("--model", str(model), "--processes", "2", "--cores", "0")
    assert "2 processes can't be served on 1 cores" in process.communicate(timeout=30)[1]
    assert process.returncode == 2


@pytest.mark.nightly
def test_a_stop_while_they_start_is_a_stop(model: Path, launch: "Launch") -> None:
    process = launch("--model", str(model), "--processes", "2")
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=40)
    assert process.returncode in (0, -signal.SIGTERM)  # before Python could look, the signal does what it always does
