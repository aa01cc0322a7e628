"""One generator before several servers: which of them a request goes to is the balancer's law.

`fleet_kernel` has the same laws: `round_robin` in turn, `random` by chance, `least_outstanding` the one with the fewest
requests that it has not answered, the next in turn of several. A balancer of its own would need a core, and delay what
it passes on.

`python -m tests.accuracy.spread FOLDER` drives the job in a folder, as the locustfile does; no Locust, which would have
nothing to do.
"""

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from loadplan.child_process import allow_all_files, die_with_parent
from loadplan.errors import InvalidMeasurement
from loadplan.execution import Balancing
from loadplan.load.connections.connection import Connection, Network
from loadplan.load.connections.pool import ConnectionPool
from loadplan.load.generator.handoff import read_job, read_result, write_job, write_result
from loadplan.load.generator.job import prepare_job
from loadplan.load.generator.loop_order import LoopOrder
from loadplan.load.generator.open_loop import OpenLoop
from loadplan.load.messages.answers import AnswerBook
from loadplan.load.messages.judges import judge_of
from loadplan.load.messages.requests import PreparedRequests
from loadplan.load.records import LoadRun, LoadSpec, Outcome
from loadplan.load.target.address import find_target
from loadplan.load.verdict import judge
from loadplan.machine import Machine

_ROOT = Path(__file__).parents[2]
_SERVERS = "servers.json"
_BESIDE_S = 60.0  # starting and writing, at the most


class SpreadLoop(OpenLoop):
    """The open loop with a pool of connections to each of several servers."""

    def __init__(
        self,
        order: LoopOrder,
        network: Network,
        *,
        addresses: Sequence[tuple[str, int]],
        balancing: Balancing,
        answers: AnswerBook | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(order, network, answers=answers)
        self._addresses = tuple(addresses)
        self._balancing = balancing
        n = len(self._addresses)
        self._orders = [replace(order, address=address) for address in self._addresses]
        self._pools = [ConnectionPool(n_regular=order.n_warm_connections) for _ in self._addresses]
        self._server = 0  # that connections are taken from, and opened to, at the moment
        self._server_of: dict[int, int] = {}  # of each connection, by its file descriptor
        self._next_in_turn = 0
        self._n_outstanding = [0] * n
        self._by_chance = array("i", np.random.default_rng(seed).integers(n, size=order.due_s.size).tolist())
        self.sent_to = array("i", [-1]) * order.due_s.size  # of each request; -1: not sent

    def _warm_up(self) -> None:
        self._turn_to(self._in_turn())
        super()._warm_up()

    def _send(self, i: int) -> int:
        server = self._choose(i)
        self.sent_to[i] = server
        self._n_outstanding[server] += 1
        self._turn_to(server)
        return super()._send(i)

    def _decide(self, i: int, outcome: Outcome) -> None:
        super()._decide(i, outcome)
        if self.sent_to[i] >= 0:
            self._n_outstanding[self.sent_to[i]] -= 1

    def _open(self) -> Connection | None:
        connection = super()._open()
        if connection is not None:
            self._server_of[connection.descriptor] = self._server
        return connection

    def _keep(self, connection: Connection) -> None:
        self._turn_to(self._server_of[connection.descriptor])
        super()._keep(connection)

    def _close(self, connection: Connection) -> None:
        self._turn_to(self._server_of[connection.descriptor])
        super()._close(connection)

    def _turn_to(self, server: int) -> None:
        self._server, self._pool, self._order = server, self._pools[server], self._orders[server]

    def _choose(self, i: int) -> int:
        if self._balancing == "random":
            return int(self._by_chance[i])
        if self._balancing == "round_robin":
            return self._in_turn()
        if self._balancing != "least_outstanding":
            raise ValueError(f"no generator spreads requests by {self._balancing}")
        fewest = min(self._n_outstanding)
        while self._n_outstanding[self._next_in_turn] > fewest:
            self._in_turn()
        return self._in_turn()

    def _in_turn(self) -> int:
        server = self._next_in_turn
        self._next_in_turn = (server + 1) % len(self._addresses)
        return server


def drive_spread(
    spec: LoadSpec,
    *,
    urls: Sequence[str],
    balancing: Balancing,
    requests: PreparedRequests,
    machine: Machine,
    core: int | None,
) -> LoadRun:
    """Drive several servers as `run_load` drives one; nobody watches what they use.

    Raises:
        LoadplanError: as `prepare_job`.
        InvalidMeasurement: when the generator failed.
    """
    job = prepare_job(spec, url=urls[0], requests=requests, core=core)
    servers = {"addresses": [find_target(url).address for url in urls], "balancing": balancing, "seed": spec.seed}
    with tempfile.TemporaryDirectory(prefix="loadplan-spread-") as name:
        folder = Path(name)
        write_job(folder, job)
        (folder / _SERVERS).write_text(json.dumps(servers))
        with subprocess.Popen(
            [sys.executable, "-m", "tests.accuracy.spread", name],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            allow_all_files(process)
            with suppress(subprocess.TimeoutExpired):
                process.wait(spec.duration_s + spec.timeout_s + _BESIDE_S)
            process.kill()
        result = read_result(folder)
    if result is None:
        raise InvalidMeasurement(
            what="the generator ended before its records were written",
            where=f"load run {spec.name}",
            fix="read its last lines above",
        )
    verdict = judge(
        spec, result.requests, result.lost, own_fault=result.own_fault, saturation_ratio=result.saturation_ratio
    )
    return LoadRun(
        spec=spec,
        url=urls[0] + requests.path,
        machine=machine,
        requests=result.requests,
        lost=result.lost,
        verdict=verdict,
        caveats=(),
        payload_rows=None if requests.n_rows is None else np.array(requests.n_rows, dtype=np.int32),
    )


def _drive(folder: Path) -> None:
    """In the process of the generator."""
    job, servers = read_job(folder), json.loads((folder / _SERVERS).read_text())
    if job.core is not None:
        os.sched_setaffinity(0, {job.core})
    loop = SpreadLoop(
        job.order,
        Network(open_socket=socket.socket, open_epoll=select.epoll),
        addresses=[(host, port) for host, port in servers["addresses"]],
        balancing=servers["balancing"],
        answers=None if job.expected is None else AnswerBook(judge_of(job.expected)),
        seed=servers["seed"],
    )
    write_result(folder, loop.run())


if __name__ == "__main__":
    die_with_parent()
    _drive(Path(sys.argv[1]))
