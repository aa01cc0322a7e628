"""What the driver sees of a server while it is driven, and the reasons for what it can't see."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import psutil
import pytest

from loadplan.load.records import ServerWatch
from loadplan.load.target.metrics_page import read_metrics_page
from loadplan.load.target.processes import target_processes, usage
from loadplan.load.target.watch import SERIES, watching

_LISTENER = """
import socket, sys
held = bytearray(64 << 20)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""
# As gunicorn and `uvicorn --workers` do: a master opens the socket, and its workers accept on it.
_MASTER = """
import os, socket, sys, time
listener = socket.create_server(("127.0.0.1", 0))
workers = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    workers.append(pid)
print(listener.getsockname()[1], *workers, flush=True)
sys.stdin.read()
for pid in workers:
    os.kill(pid, 9)
"""
_TRITON = """
# TYPE nv_inference_count counter
nv_inference_count{{model="a"}} {rows}
nv_inference_count{{model="b"}} 0
# TYPE nv_inference_exec_count counter
nv_inference_exec_count{{model="a"}} {batches}
nv_inference_exec_count{{model="b"}} 0
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{{model="a"}} 3
nv_inference_pending_request_count{{model="b"}} 4
"""

ServePages = Callable[[Callable[[], tuple[int, str]]], tuple[str, int]]


@pytest.fixture
def listener() -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Port and process of a server that listens and holds 64 MiB."""
    command = [sys.executable, "-c", _LISTENER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process
        process.kill()


@pytest.fixture
def serve_pages() -> Iterator[ServePages]:
    """`serve_pages(page)` answers each GET with the status and text that `page()` gives."""
    servers = []

    def serve(page: Callable[[], tuple[int, str]]) -> tuple[str, int]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, text = page()
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:9/")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return "127.0.0.1", server.server_port

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def series(watch: ServerWatch | None, name: str) -> tuple[list[float] | None, str | None]:
    assert watch is not None
    (one,) = (each for each in watch.series if each.name == name)
    return None if one.values is None else one.values.tolist(), one.absent_reason


def test_the_process_behind_a_port_is_found_and_its_use_is_its_own(
    listener: tuple[int, subprocess.Popen[str]],
) -> None:
    port, process = listener
    found = target_processes(("127.0.0.1", port))
    assert found.absent_reason is None
    assert [each.pid for each in found.processes] == [process.pid]
    assert str(process.pid) in (found.names or "")
    used = usage(found)
    assert used is not None
    assert used.rss_bytes > 64 << 20
    assert used.cpu_s == pytest.approx(sum(psutil.Process(process.pid).cpu_times()[:2]), abs=0.05)
    process.kill()
    process.wait()
    assert usage(found) is None


def test_a_master_and_all_of_its_workers_count_whichever_the_system_names() -> None:
    command = [sys.executable, "-c", _MASTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as master:
        assert master.stdout is not None
        assert master.stdin is not None
        port, *workers = map(int, master.stdout.readline().split())
        found = target_processes(("127.0.0.1", port))
        master.stdin.close()
    assert [each.pid for each in found.processes] == [master.pid, *workers]


def test_a_socket_that_the_driver_itself_holds_does_not_make_it_the_server() -> None:
    """It opens one for a server that it starts: the server's processes count, and not those that drive it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()]) as server:
            assert server.stdin is not None
            found = target_processes(("127.0.0.1", listener.getsockname()[1]))
            server.stdin.close()
    assert [each.pid for each in found.processes] == [server.pid]


@pytest.mark.parametrize(
    ("host", "reason"),
    [("192.0.2.1", "not on this machine"), ("127.0.0.1", "another user or runs in a container")],
)
def test_a_server_that_cannot_be_watched_has_a_reason(host: str, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = target_processes((host, port))
    assert (found.processes, found.names) == ((), None)
    assert reason in (found.absent_reason or "")


def test_a_page_is_summed_over_models_and_read_by_the_names_of_its_server(serve_pages: ServePages) -> None:
    host, port = serve_pages(lambda: (200, _TRITON.format(rows=120, batches=40)))
    page = read_metrics_page(f"http://{host}:{port}/metrics")
    assert (page.waiting, page.n_batched_rows, page.n_batches, page.absent_reason) == (7.0, 120.0, 40.0, None)


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [(404, "", "answered 404"), (302, "", "answered 302"), (200, "<html>hello</html>", "no page of Prometheus")],
)
def test_a_page_that_is_none_has_a_reason(status: int, text: str, reason: str, serve_pages: ServePages) -> None:
    host, port = serve_pages(lambda: (status, text))
    assert reason in (read_metrics_page(f"http://{host}:{port}/metrics").absent_reason or "")


def test_the_watch_tells_the_server_of_each_second(serve_pages: ServePages) -> None:
    n_read = [0]

    def page() -> tuple[int, str]:
        n_read[0] += 1
        return 200, _TRITON.format(rows=6 * n_read[0] ** 2, batches=2 * n_read[0] ** 2)

    host, port = serve_pages(page)
    with watching((host, port), metrics_url=f"http://{host}:{port}/metrics", duration_s=0.5) as watcher:
        began_s = time.process_time()
        watcher.begin()
        while time.process_time() - began_s < 0.3:  # this very process is the server that is watched
            pass
        time.sleep(0.5)
        worked_s = time.process_time() - began_s
    watch = watcher.result()
    assert watch is not None
    assert watch.processes is not None
    assert str(os.getpid()) in watch.processes
    assert [each.name for each in watch.series] == list(SERIES)
    assert watch.at_s.tolist() == pytest.approx([0.5], abs=0.4)
    busy, _ = series(watch, "cores_busy")
    assert busy is not None
    assert 0.1 < busy[0] * watch.at_s[0] < worked_s + 0.05  # what it had worked before doesn't count
    assert series(watch, "rows_per_batch") == ([3.0], None)
    assert series(watch, "waiting") == ([7.0], None)
    assert "GPU" in (series(watch, "gpu_busy_ratio")[1] or "")


def test_a_server_without_metrics_is_asked_once(serve_pages: ServePages) -> None:
    n_read = [0]

    def page() -> tuple[int, str]:
        n_read[0] += 1
        return 404, ""

    host, port = serve_pages(page)
    with watching((host, port), metrics_url=f"http://{host}:{port}/metrics", duration_s=0.1) as watcher:
        watcher.begin()
        time.sleep(0.2)
    assert n_read == [1]
    assert series(watcher.result(), "waiting") == (None, "GET /metrics answered 404")


def test_the_watch_stays_off_the_generators_core(serve_pages: ServePages, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []
    monkeypatch.setattr(
        "loadplan.load.target.watch.usage",
        lambda _target: seen.append(os.sched_getaffinity(0)),
    )
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("this machine has one core")
    host, port = serve_pages(lambda: (404, ""))
    with watching(
        (host, port), metrics_url=f"http://{host}:{port}/metrics", duration_s=0.1, away_from=(min(cores),)
    ) as watcher:
        watcher.begin()
        time.sleep(0.2)
    assert seen
    assert all(each == cores - {min(cores)} for each in seen)
    assert os.sched_getaffinity(0) == cores


def test_a_run_that_never_began_was_not_watched(serve_pages: ServePages) -> None:
    host, port = serve_pages(lambda: (404, ""))
    with watching((host, port), metrics_url=f"http://{host}:{port}/metrics", duration_s=0.1) as watcher:
        pass
    assert watcher.result() is None


def test_a_process_that_ended_leaves_gaps_not_zeros(listener: tuple[int, subprocess.Popen[str]]) -> None:
    port, process = listener
    with watching(("127.0.0.1", port), metrics_url=f"http://127.0.0.1:{port}/metrics", duration_s=1.4) as watcher:
        watcher.begin()
        time.sleep(1.1)
        process.kill()
        process.wait()
        time.sleep(0.5)
    memory, _ = series(watcher.result(), "rss_bytes")
    assert memory is not None
    assert memory[0] > 64 << 20
    assert np.isnan(memory[-1])
