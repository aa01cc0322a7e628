"""Which systems models are run and measured on. Imports next to nothing, for it is asked before all else."""

import platform
import sys

from loadplan.errors import EnvironmentFault

_NAMES = {"darwin": "macOS", "win32": "Windows"}


def system_fault() -> EnvironmentFault | None:
    """Why nothing can be measured on this system; None on Linux.

    It takes cores to stay on, epoll, children that end with their parent, and what `/proc` and `/sys` tell.
    """
    if sys.platform == "linux":
        return None
    return EnvironmentFault(
        what=f"models are looked at and measured on Linux alone, and this is {_NAMES.get(sys.platform, sys.platform)} "
        f"({platform.machine()})",
        where="this machine",
        fix="measure on a rented machine (`loadplan profile SCENARIO --on aws/c7i.large` says how) or in a container; "
        "what is finished can be planned and shown here",
    )


def require_linux() -> None:
    """Hold whatever measures to the one system that it can be measured on.

    Raises:
        EnvironmentFault: on any other.
    """
    fault = system_fault()
    if fault is not None:
        raise fault
