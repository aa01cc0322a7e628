"""Where the load goes: the host is looked up once, and nothing but loopback is ever driven unless it was named."""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from loadplan.errors import EnvironmentFault, InputError

_CONNECT_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server that takes connections."""

    family: int  # address family
    address: tuple[str, int]  # numeric address and port
    host: str  # what the Host header says


def find_target(url: str, *, allow_remote: tuple[str, ...] = ()) -> Target:
    """Resolve the host of `url` once and take the first of its addresses that accepts a connection.

    `localhost` often means ::1 first; trying each address here keeps that out of every latency.

    Raises:
        InputError: when the URL can't be used, or its host is neither loopback nor in `allow_remote`.
        EnvironmentFault: when the host is unknown or takes no connection.
    """
    host, port = _host_and_port(url)
    found = _look_up(host, port)
    if host not in allow_remote and not all(_is_loopback(address) for _, address in found):
        raise InputError(
            what=f"{host} is not this machine, and load goes only to loopback unless the host is named",
            where=url,
            fix=f"allow it with --allow-remote {host}, or target.allow_remote: [{host}] in the scenario",
        )
    reasons = []
    for family, address in found:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.settimeout(_CONNECT_LIMIT_S / len(found))
                probe.connect(address)
        except OSError as error:
            reasons.append(f"{address[0]}: {error.strerror or error}")
        else:
            bracketed = f"[{host}]" if ":" in host else host
            return Target(family=family, address=address, host=f"{bracketed}:{port}")
    raise EnvironmentFault(
        what=f"no answer at all from {url} ({'; '.join(reasons)})",
        where="the target of the load",
        fix="start the server, or check the host and the port",
    )


def is_loopback(url: str) -> bool:
    """Whether every address of the host of `url` is this machine's own. Raises as `find_target` does."""
    return all(_is_loopback(address) for _, address in _look_up(*_host_and_port(url)))


def _host_and_port(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme != "http" or not host or parts.username is not None:
        # The URL is not repeated: it may hold a password.
        raise InputError(
            what="the address of the target is not of the form http://host:port without user or password",
            where="the URL to drive",
            fix="write it like http://127.0.0.1:8080; credentials go into a header",
        )
    return host, port or 80


def _look_up(host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise EnvironmentFault(
            what=f"the host {host!r} can't be resolved: {error.strerror or error}",
            where="the target of the load",
            fix="check the spelling of the host, or give its numeric address",
        ) from error
    return [(family, (str(address[0]), int(address[1]))) for family, _, _, _, address in entries]


def _is_loopback(address: tuple[str, int]) -> bool:
    return ipaddress.ip_address(address[0].partition("%")[0]).is_loopback
