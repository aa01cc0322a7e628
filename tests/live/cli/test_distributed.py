"""`loadplan load` from several processes, on the command line."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from loadplan.load.table import load_from_columns
from loadplan.store.codec import read_columns

pytestmark = pytest.mark.nightly
LOADPLAN = [sys.executable, "-m", "loadplan", "load"]


class Counter(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    n_asked = 0

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self.send_error(404)
            return
        type(self).n_asked += 1
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Counter.n_asked = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Counter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def start(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*LOADPLAN, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_master_and_its_worker_send_the_schedule(url: str, tmp_path: Path, unused_port: int) -> None:
    port = ("--master-port", str(unused_port))
    with start(url, "--rate", "50", "--duration", "1s", "--master", *port, "--json", "-o", str(tmp_path)) as master:
        with start("--worker", *port) as worker:
            worker_said = worker.communicate(timeout=90)
        said = json.loads(master.communicate(timeout=90)[0])
    assert (worker.returncode, worker_said[0]) == (0, "")
    assert master.returncode in (0, 3)  # 3: neighbours disturbed the generator
    assert said["n_requests"] == Counter.n_asked > 0
    assert said["failures"] == {}


def test_what_the_others_measured_is_kept_where_a_worker_is_killed(url: str, tmp_path: Path) -> None:
    options = ("--rate", "50", "--duration", "3s", "--processes", "2", "--json", "-o", str(tmp_path))
    with start(url, *options) as command:
        while not Counter.n_asked:
            assert command.poll() is None
            time.sleep(0.1)
        children = psutil.Process(command.pid).children(recursive=True)
        next(child for child in children if "--worker" in child.cmdline()).kill()
        out, err = command.communicate(timeout=90)
    said = json.loads(out)
    assert command.returncode == 3
    assert "was lost (it ended by SIGKILL)" in err
    assert said["response_time_s"] is None
    assert Path(said["kept"]).parent == tmp_path / "partial"
    kept = load_from_columns(*read_columns(Path(said["kept"])))
    assert kept.requests.n_requests == said["n_requests"] > 0
    assert not kept.verdict.valid


def test_a_worker_without_a_master_gives_up_when_stopped(unused_port: int) -> None:
    with start("--worker", "--master-port", str(unused_port)) as worker:
        time.sleep(3.0)
        worker.terminate()
        worker.communicate(timeout=30)
    assert worker.returncode == 130
