"""What else the road needs of a machine: ports, open files, prices, and a place for compiled code."""

import resource
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

from loadplan.catalog.price import Catalog
from loadplan.catalog.staleness import age_days, stale_offers
from loadplan.doctor.finding import Finding
from loadplan.errors import InputError

_N_PORTS = 16
# A connection that was closed keeps its port for a minute, and a run may open some thousand.
_PORTS_LEAST = 4_000
# Of open files: with fewer not even a server of 32 connections starts; with fewer than that a backlog has no room.
_FILES_NEEDED, _FILES_LEAST = 256, 4_096


def ports_finding(open_port: Callable[[], None], port_range: str | None) -> Finding:
    """Whether servers find ports on loopback, and how many are left for connections.

    Args:
        open_port: listens on a free port of 127.0.0.1 for a moment.
        port_range: the first and the last port that the system gives to connections; None: it doesn't tell.
    """
    try:
        for _ in range(_N_PORTS):
            open_port()
    except OSError as error:
        return Finding(
            name="ports",
            state="lack",
            what=f"no server can listen on 127.0.0.1: {error.strerror}",
            fix="ip link set lo up",
        )
    ends = [int(word) for word in (port_range or "").split() if word.isdecimal()]
    if len(ends) != 2:
        return Finding(name="ports", state="ok", what="servers can listen on 127.0.0.1")
    n_ports = ends[1] - ends[0] + 1
    what = f"servers can listen on 127.0.0.1, and {n_ports:,} ports are there for connections"
    if n_ports >= _PORTS_LEAST:
        return Finding(name="ports", state="ok", what=what)
    return Finding(
        name="ports",
        state="doubt",
        what=f"{what}: a load test may run out of them",
        fix='sysctl -w net.ipv4.ip_local_port_range="32768 60999"',
    )


def files_finding(n_most: int) -> Finding:
    """Whether enough files, so connections, may be open: the hard limit, which loadplan's processes raise theirs to."""
    if n_most == resource.RLIM_INFINITY or n_most >= _FILES_LEAST:
        shown = "any number" if n_most == resource.RLIM_INFINITY else f"{n_most:,}"
        return Finding(name="files", state="ok", what=f"{shown} may be open at once")
    return Finding(
        name="files",
        state="lack" if n_most < _FILES_NEEDED else "doubt",
        what=f"{n_most:,} may be open at once, and each request that waits needs one",
        fix=f"ulimit -Hn {_FILES_LEAST * 16} as root, or docker run --ulimit nofile={_FILES_LEAST * 16}",
    )


def catalog_finding(load: Callable[[], Catalog], *, today: date) -> Finding:
    """Whether the catalogue can be read, and how old its prices are; spot prices are for days and don't count."""
    try:
        catalog = load()
    except InputError as error:
        return Finding(
            name="catalogue",
            state="lack",
            what=f"it can't be read: {error.what}",
            fix=f"{error.fix}; `loadplan catalog list` says in which file",
        )
    lasting = [offer for offer in catalog.offers if offer.purchase != "spot"]
    stale = stale_offers(lasting, today)
    what = f"{catalog.version}, {len(lasting):,} prices on demand or committed"
    if not stale:
        return Finding(name="catalogue", state="ok", what=f"{what}, none older than its kind should be")
    return Finding(
        name="catalogue",
        state="doubt",
        what=f"{what}; {len(stale):,} older than their kind should be, the oldest seen "
        f"{age_days(stale[0], today)} days ago",
        fix="loadplan catalog update",
    )


def cache_finding(locate: Callable[[], Path]) -> Finding:
    """Whether compiled simulators can be kept; `locate` says where, and raises RuntimeError where there is no place."""
    fix = "export NUMBA_CACHE_DIR=$HOME/.cache/numba, or another folder that you may write"
    try:
        with tempfile.TemporaryFile(dir=locate()):
            pass
    except RuntimeError:
        what = "no folder can be written that compiled simulators could be kept in, so fits can't start"
        return Finding(name="compiled", state="lack", what=what, fix=fix)
    except OSError as error:
        what = f"simulators are compiled anew by each process, some ten seconds: {error.strerror}"
        return Finding(name="compiled", state="doubt", what=what, fix=fix)
    return Finding(name="compiled", state="ok", what="simulators are compiled once and kept")
