"""One connection of the open loop: a socket that never blocks, what it speaks, and what could not be written yet."""

import errno
import os
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass

from loadplan.load.connections.wire import Wire

# Errors of the generator's own machine, not of the target: no local port or file descriptor left.
_OWN_ERRORS = frozenset({errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class OwnFault(Exception):
    """This machine has no more sockets or ports to give; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The two things the loop takes from the system; under gevent they must be the unpatched ones."""

    open_socket: Callable[[int, int], socket.socket]
    open_epoll: "Callable[[], select.epoll]"  # in quotes, for under gevent `select` has none


def begin_connecting(network: Network, family: int, address: tuple[str, int]) -> socket.socket:
    """A socket on its way to this address. Whether it arrives shows later. Raises OwnFault."""
    try:
        sock = network.open_socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise OwnFault(f"no socket could be opened: {error.strerror}") from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    code = sock.connect_ex(address)
    if code in _OWN_ERRORS:
        sock.close()
        raise OwnFault(f"no connection could be opened: {os.strerror(code)}")
    return sock


class Connection:
    """Writes what it can at once and the rest when the socket takes more; every error of the socket is the caller's."""

    __slots__ = (
        *("_epoll", "descriptor", "sock", "wire", "unsent"),
        *("idle_since", "was_idle_s", "is_reserve", "is_pooled", "is_open", "is_waiting"),
    )

    def __init__(self, sock: socket.socket, wire: Wire, epoll: "select.epoll", *, now: float, is_reserve: bool) -> None:
        self._epoll = epoll
        self.sock = sock
        self.descriptor = sock.fileno()
        self.wire = wire
        self.unsent = bytearray()
        self.idle_since = now  # when its last request ended
        self.was_idle_s = 0.0  # how long nothing had been under way before what is now
        self.is_reserve = is_reserve  # asked only while all others are busy
        self.is_pooled = False  # stands among those that wait for a request
        self.is_open = True
        self.is_waiting = False  # to be told that the socket takes more
        epoll.register(self.descriptor, select.EPOLLIN)
        greeting = wire.greet()
        if greeting:
            self.write(greeting)

    def write(self, data: bytes) -> None:
        """Send this behind whatever is still to be sent. Raises OSError where the connection is broken."""
        if self.unsent:
            self.unsent += data
            return
        try:
            n_sent = self.sock.send(data)
        except BlockingIOError:  # still connecting, or a full buffer
            n_sent = 0
        if n_sent < len(data):
            self.unsent += memoryview(data)[n_sent:]
            self.await_writable()

    def await_writable(self) -> None:
        """Have epoll tell when the socket takes more."""
        self.is_waiting = True
        self._epoll.modify(self.descriptor, select.EPOLLIN | select.EPOLLOUT)

    def flush(self) -> None:
        """Write on where the last write stopped. Raises OSError where the connection is broken."""
        try:
            n_sent = self.sock.send(self.unsent)
        except BlockingIOError:
            return
        del self.unsent[:n_sent]
        if not self.unsent:
            self.is_waiting = False
            self._epoll.modify(self.descriptor, select.EPOLLIN)

    def close(self) -> None:
        """Close the socket, which takes it out of epoll too."""
        self.is_open = False
        self.sock.close()
