"""Workers of two machines: a second network, and a clock that is 1,000 s off, by Linux namespaces."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from loadplan.load.crew.together import Launch, RemoteCrew
from loadplan.load.driver import run_load
from loadplan.load.messages.requests import plain_requests
from loadplan.load.records import LoadSpec
from loadplan.machine import Machine

pytestmark = pytest.mark.nightly
NEAR, FAR = "10.213.77.1", "10.213.77.2"
_ROOT = Path(__file__).parents[3]
_WORKER = [sys.executable, "-m", "loadplan", "load", "--worker", "--master-host", NEAR, "--master-port"]


@pytest.fixture
def far_away() -> Iterator[list[str]]:
    """What goes before a command so that it runs on the other machine."""
    space = f"loadplan-{os.getpid()}"
    outer, inner = f"lpo{os.getpid() % 10**8}", f"lpi{os.getpid() % 10**8}"
    there = ["ip", "netns", "exec", space]
    elsewhere = [*there, "unshare", "--time", "--monotonic", "1000", "--fork", "--kill-child"]
    steps = [
        ["ip", "netns", "add", space],
        ["ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", space],
        ["ip", "address", "add", f"{NEAR}/30", "dev", outer],
        ["ip", "link", "set", outer, "up"],
        [*there, "ip", "address", "add", f"{FAR}/30", "dev", inner],
        [*there, "ip", "link", "set", inner, "up"],
        [*elsewhere, "true"],
    ]
    with ExitStack() as stack:
        stack.callback(subprocess.run, ["ip", "netns", "delete", space], capture_output=True, check=False)
        try:
            for step in steps:
                subprocess.run(step, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"namespaces of networks and clocks can't be made here: {error}")
        yield elsewhere


@pytest.fixture
def arrivals() -> Iterator[tuple[int, list[float]]]:
    """Port of a server that the other machine reaches, once it is asked for, and when each request came."""
    came: list[float] = []

    class Stamper(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/predict":
                came.append(time.monotonic())
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("0.0.0.0", 0), Stamper) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, came
        server.shutdown()


def test_workers_with_other_clocks_begin_together(
    far_away: list[str],
    arrivals: tuple[int, list[float]],
    make_spec: Callable[..., LoadSpec],
    machine: Machine,
    free_port: int,
) -> None:
    port, came = arrivals
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    with ExitStack() as stack:
        workers = [
            stack.enter_context(subprocess.Popen([*before, *_WORKER, str(free_port)], env=environment))
            for before in ([], far_away)
        ]
        for worker in workers:
            stack.callback(worker.kill)
        run = run_load(
            make_spec(rate_rps=50.0, duration_s=2.0),
            url=f"http://{NEAR}:{port}",
            requests=plain_requests("/predict"),
            machine=machine,
            core=None,
            allow_remote=(NEAR,),
            launch=Launch(crew=RemoteCrew(n_workers=2, join_limit_s=60.0, host=NEAR, port=free_port)),
        )
        assert [worker.wait(30) for worker in workers] == [0, 0]
    log = run.requests
    assert len(came) == log.n_requests > 0
    (caveat,) = (caveat for caveat in run.caveats if caveat.code == "load.start_uncertainty")
    assert caveat.number is not None
    assert 0.0 < caveat.number < 0.2
    assert not [reason for reason in run.verdict.invalid_reasons if "lost" in reason]
    # As the server saw them: both workers' requests came when they were due, counted from one start.
    late_s = np.array(sorted(came)) - log.due_s
    assert np.quantile(late_s, 0.9) - np.quantile(late_s, 0.1) < 0.2
    assert (log.done_s > log.due_s).all()
