"""The processes of the target, where they run on this machine: who listens on its port, and what they use.

A server of several processes listens in one of them or in all; those that listen and their descendants count
together, as they were when the run began. Forked workers share the socket of their master, and the system's list
names one of those that hold it, whichever: so the highest ancestor that holds it too counts with all of its own.
Memory is the sum of the resident sets, so pages that processes share count once each.
"""

import ipaddress
import os
from dataclasses import dataclass

import psutil

# It may hold the socket of a service that it starts at the first request, and all services are its descendants.
_SERVICE_MANAGERS = ("systemd", "launchd")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetProcesses:
    """The processes behind one port, or why they can't be watched."""

    processes: tuple[psutil.Process, ...]
    absent_reason: str | None  # None: there are some

    @property
    def names(self) -> str | None:
        """Such as `python (pid 12, 13)`; None where there are none."""
        if not self.processes:
            return None
        pids = ", ".join(str(process.pid) for process in self.processes)
        return f"{_name(self.processes[0])} (pid {pids})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What they used so far, and use now."""

    cpu_s: float  # user and system time since they began
    rss_bytes: int


def target_processes(address: tuple[str, int]) -> TargetProcesses:
    """Who listens on this numeric address and port of this machine."""
    host, port = address
    if not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        return TargetProcesses(processes=(), absent_reason="the server is not on this machine")
    try:
        pids = {
            each.pid
            for each in psutil.net_connections(kind="tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid is not None
        }
    except (psutil.Error, OSError) as error:
        return TargetProcesses(processes=(), absent_reason=f"this system doesn't tell who listens: {error}")
    found = {process.pid: process for pid in sorted(pids) for process in _family(pid, port)}
    if not found:
        reason = f"the process that listens on port {port} belongs to another user or runs in a container"
        return TargetProcesses(processes=(), absent_reason=reason)
    return TargetProcesses(processes=tuple(found.values()), absent_reason=None)


def usage(target: TargetProcesses) -> Usage | None:
    """What the processes that are left used; None where none is."""
    cpu_s, rss_bytes, n_alive = 0.0, 0, 0
    for process in target.processes:
        try:
            with process.oneshot():
                times, memory = process.cpu_times(), process.memory_info()
        except psutil.Error:  # it has ended, or is somebody else's by now
            continue
        n_alive += 1
        cpu_s += times.user + times.system
        rss_bytes += memory.rss
    return Usage(cpu_s=cpu_s, rss_bytes=rss_bytes) if n_alive else None


def _family(pid: int, port: int) -> list[psutil.Process]:
    """The highest ancestor that listens on the port too, and all of its descendants.

    A driver that opened the socket for a server that it started is none of them, but where it serves itself.
    """
    try:
        process = psutil.Process(pid)
        if pid == os.getpid():
            served = [child for child in process.children(recursive=True) if _listens(child, port)]
            return [one for child in served for one in _with_descendants(child)] or _with_descendants(process)
        for parent in process.parents():
            if parent.pid == os.getpid() or parent.name() in _SERVICE_MANAGERS or not _listens(parent, port):
                break
            process = parent
        return _with_descendants(process)
    except psutil.Error:
        return []


def _with_descendants(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        listed = process.net_connections(kind="tcp")
    except psutil.Error:  # somebody else's
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in listed)


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.Error:
        return "a process"
