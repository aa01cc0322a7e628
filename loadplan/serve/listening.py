"""Ports: taken for this server alone, shared among its processes, and what to say when they can't be had."""

import errno
import socket
from ipaddress import ip_address

import psutil

from loadplan.caveat import Caveat
from loadplan.errors import EnvironmentFault, InputError

BACKLOG = 2048


def bind(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """A socket bound to this address, not yet listening; `is_shared` when sockets of the same server have it too.

    Raises:
        InputError: when there is no such address.
        EnvironmentFault: when the port is taken, or the address is not this machine's.
    """
    if not 0 <= port <= 65535:  # the resolver would silently take it modulo 65536
        raise InputError(what=f"{port} is not a port", where="the port asked for", fix="choose one up to 65535")
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise InputError(
            what=f"{host!r} is not an address to listen on: {error}",
            where="the host asked for",
            fix="give an address of this machine, such as 127.0.0.1",
        ) from error
    listener = socket.socket(family, kind, number)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _port_fault(error, host, port) from error
    return listener


def reserve(host: str, port: int) -> socket.socket:
    """A socket that holds a port, which processes of this server can then share. It never listens, so it gets no calls.

    Sharing is allowed only after the port has been taken by itself: a port that another server shares among its own
    processes would be had for the asking.

    Raises:
        InputError: as `bind`.
        EnvironmentFault: as `bind`.
    """
    holder = bind(host, port)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return holder


def listen(listener: socket.socket, host: str, port: int) -> None:
    """Let clients in.

    Raises:
        EnvironmentFault: when somebody else bound the same port meanwhile and listened first.
    """
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        raise _port_fault(error, host, port) from error


def address_of(host: str, port: int) -> str:
    """The two as a client writes them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def exposure(listener: socket.socket) -> tuple[Caveat, ...]:
    """A warning where other machines can reach it."""
    address, port = listener.getsockname()[:2]
    if ip_address(address).is_loopback:
        return ()
    return (
        Caveat(
            code="serve.exposed",
            what=f"the server listens on {address}:{port}, where other machines can reach it without a password",
            fix="leave the host out to listen on 127.0.0.1 only, or see to it that a firewall stands before it",
        ),
    )


def _port_fault(error: OSError, host: str, port: int) -> EnvironmentFault:
    if error.errno != errno.EADDRINUSE:
        return EnvironmentFault(
            what=f"the server can't listen on {host}:{port}: {error.strerror}",
            where="the network",
            fix="choose an address of this machine and a port above 1023",
        )
    return EnvironmentFault(
        what=f"port {port} on {host} is taken{_holder(port)}",
        where="the network",
        fix="stop that program, or choose another port (0 takes a free one)",
    )


def _holder(port: int) -> str:
    try:
        listening = (entry for entry in psutil.net_connections("tcp") if entry.status == psutil.CONN_LISTEN)
        pid = next((entry.pid for entry in listening if entry.laddr.port == port), None)
        return f" by process {pid} ({psutil.Process(pid).name()})" if pid else ""
    except psutil.Error:
        return ""  # not allowed to know
