"""The facts of this machine, and the findings that they make."""

import resource
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

from loadplan.bench.between_cores import BetweenCores
from loadplan.catalog.imported import imported_files
from loadplan.catalog.reader import load_catalog
from loadplan.doctor.finding import Finding
from loadplan.doctor.hardware import (
    cores_finding,
    distance_finding,
    gpu_findings,
    noise_finding,
    provider_findings,
    runtime_finding,
    state_findings,
)
from loadplan.doctor.system import cache_finding, catalog_finding, files_finding, ports_finding
from loadplan.fit.compiling import compiled_folder
from loadplan.machine import read_machine, usable_cores
from loadplan.probe import attained_rates
from loadplan.providers import discover_providers
from loadplan.sysfs import text_of

_N_GAMES = 5
# Listening longer finds rarer neighbours.
_LISTENING_S = 3.0


def findings_here(*, today: date, root: Path = Path("/")) -> Iterator[Finding]:
    """Every finding about this machine, each as soon as it is known.

    Args:
        today: the day that prices are as old as they are on.
        root: the tree that `/proc` and `/sys` are read below.
    """
    machine = read_machine(root)
    runtime = runtime_finding()
    yield runtime
    providers = discover_providers() if runtime.state == "ok" else ()
    yield from provider_findings(providers)
    yield from gpu_findings(machine.gpus, providers, driver=text_of(root / "proc/driver/nvidia/version"))
    yield cores_finding(machine)
    yield noise_finding(attained_rates({}, budget_s=_LISTENING_S)["lost"].tolist())
    yield distance_finding(_games(usable_cores(root)))
    yield from state_findings(machine)
    yield ports_finding(_open_port, text_of(root / "proc/sys/net/ipv4/ip_local_port_range"))
    yield files_finding(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    yield catalog_finding(lambda: load_catalog(as_of=today, imported=imported_files()), today=today)
    yield cache_finding(compiled_folder)


def _games(cores: Sequence[int]) -> list[float | None]:
    with BetweenCores(cores) as between_cores:
        return [between_cores.apart_ratio() for _ in range(_N_GAMES)]


def _open_port() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))):
        pass
