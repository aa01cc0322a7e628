"""The overhead profiles of this user, in the cache folder: each fit leaves one, the next one like it begins there.

The decision a reader would question: a profile is no input of a fit's key. It decides where the search begins, not
where it ends, and a key that changed with every finished fit would measure and plan everything anew.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from loadplan import clock
from loadplan.errors import EnvironmentFault, InputError
from loadplan.fit.overhead_profile import OverheadProfile, overhead_profile, profile_key
from loadplan.fit.records import CapacityFit
from loadplan.machine import Machine
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import RowsPerRequest
from loadplan.store.codec import read_record, write_record

_SCHEMA = "loadplan.overhead/1"
# What the embedded server is made of; another version of any may cost something else.
_SERVER = ("loadplan", "python", "uvicorn")


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/loadplan`, else `~/.cache/loadplan`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "loadplan"


def server_of(versions: Mapping[str, str]) -> dict[str, str]:
    """What of the installed packages makes the server."""
    return {name: versions[name] for name in _SERVER}


def payload_bytes(payloads: PayloadSet, rows: RowsPerRequest) -> float:
    """Bytes of the tensors of a request of the usual size, as they lie in memory; text as it is held."""
    held = sum(values.nbytes for values in payloads.inputs.values())
    return rows.mean * held / max(payloads.n_rows, 1)


def read_profile(server: Mapping[str, str], machine: Machine, n_bytes: float) -> OverheadProfile | None:
    """What an earlier fit of such a server left; None where there is none, or none that can be read."""
    path = _path(server, machine, n_bytes)
    with suppress(InputError, EnvironmentFault, OSError):
        return read_record(path, OverheadProfile, schema=_SCHEMA)
    return None


def keep_profile(fit: CapacityFit, *, server: Mapping[str, str], n_bytes: float, run: str) -> None:
    """Leave a profile for the next model behind this server; a cache that can't be written is done without."""
    profile = overhead_profile(fit, server=server, payload_bytes=n_bytes, run=run, measured_on=clock.utc_now().date())
    with suppress(EnvironmentFault, OSError):
        write_record(_path(server, fit.machine, n_bytes), profile, schema=_SCHEMA)


def _path(server: Mapping[str, str], machine: Machine, n_bytes: float) -> Path:
    return cache_folder() / "overhead" / f"{profile_key(server, machine, n_bytes)}.json"
