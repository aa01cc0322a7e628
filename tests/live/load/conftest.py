"""Fake servers with a known law, and short ways to drive them."""

import json
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from numpy.typing import NDArray

from loadplan.load.connections.connection import Network
from loadplan.load.generator.loop_order import LoopOrder, LoopResult
from loadplan.load.generator.open_loop import OpenLoop
from loadplan.load.messages.answers import AnswerBook
from loadplan.load.messages.judges import judge_of
from loadplan.load.messages.requests import PreparedRequests, plain_requests, v2_requests, wire_head, wire_messages
from loadplan.load.records import LoadSpec
from loadplan.machine import Machine, read_machine
from loadplan.scenario.arrivals import PoissonArrivals
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always

_FAKE = Path(__file__).parents[2] / "fakes" / "fake_server.py"


@dataclass(frozen=True)
class Fake:
    """A running fake server."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stamps(self) -> tuple[list[float], list[float]]:
        """Arrival and departure of every request, in order of arrival."""
        with urlopen(f"{self.url}/stamps", timeout=10) as answer:
            said = json.load(answer)
        return said["arrivals"], said["departures"]

    def connections(self) -> list[int]:
        """Which connection, by when it was accepted, each request came over, in order of arrival."""
        with urlopen(f"{self.url}/stamps", timeout=10) as answer:
            return list(json.load(answer)["connections"])


StartFake = Callable[..., Fake]
StartProcess = Callable[..., tuple["subprocess.Popen[str]", int]]


@pytest.fixture
def start_process() -> Iterator[StartProcess]:
    """`start_process(script, **law)` starts a server that prints its port first; it ends with the test."""
    with ExitStack() as stack:

        def start(script: Path, **law: object) -> tuple["subprocess.Popen[str]", int]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, str(script), json.dumps(law)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            return process, int(process.stdout.readline())

        yield start


@pytest.fixture
def start_fake(start_process: StartProcess) -> StartFake:
    """`start_fake(service_s=0.002)` starts a fake server with that law; it ends with the test."""
    return lambda **law: Fake(*start_process(_FAKE, **law))


@pytest.fixture(scope="session")
def machine() -> Machine:
    return read_machine()


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture(scope="session")
def doubling() -> PreparedRequests:
    """Forty requests of one row, to which the fake server answers y = 2 x."""
    x = np.linspace(1.0, 40.0, 40, dtype=np.float32)[:, None]
    payloads = PayloadSet(inputs={"x": x}, expected={"y": 2.0 * x[:, 0]}, segments=("",) * 40, labels=None)
    return v2_requests(payloads, model="m", rows_per_request=always(1))


@pytest.fixture(scope="session")
def plain() -> PreparedRequests:
    """A request whose answer counts by its status alone."""
    return plain_requests("/", body=b"hello")


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., LoadSpec]:
    """`make_spec(rate_rps=100, duration_s=1)` is a run of Poisson arrivals."""

    def make(*, rate_rps: float, duration_s: float, timeout_s: float = 1.0, seed: int = 7) -> LoadSpec:
        return LoadSpec(
            name="test",
            purpose="ad_hoc",
            arrivals=PoissonArrivals(),
            offered_rate_rps=rate_rps,
            duration_s=duration_s,
            seed=seed,
            timeout_s=timeout_s,
            setting=None,
        )

    return make


@pytest.fixture(scope="session")
def drive() -> Callable[..., LoopResult]:
    """`drive(fake or port, requests, due_s)` runs the open loop in this process, without Locust: quicker to start."""

    def run(
        fake: Fake | int,
        requests: PreparedRequests,
        due_s: NDArray[np.float64],
        *,
        timeout_s: float = 5.0,
        n_reserve_connections: int = 0,
        yield_to_others: Callable[[], object] = lambda: None,
    ) -> LoopResult:
        order = LoopOrder(
            family=socket.AF_INET,
            address=("127.0.0.1", fake if isinstance(fake, int) else fake.port),
            due_s=due_s,
            payload=np.arange(due_s.size, dtype=np.int32) % len(requests.bodies),
            messages=wire_messages(requests, host="fake"),
            timeout_s=timeout_s,
            n_warm_connections=2,
            n_reserve_connections=n_reserve_connections,
            wire=requests.wire,
            head=wire_head(requests, host="fake"),
        )
        answers = None if requests.expected is None else AnswerBook(judge_of(requests.expected))
        network = Network(open_socket=socket.socket, open_epoll=select.epoll)
        return OpenLoop(order, network, answers=answers, yield_to_others=yield_to_others).run()

    return run
