"""What this machine can do, and the command that mends what it lacks: one finding for each question."""

import platform
import sys
from collections.abc import Iterator
from datetime import date

from loadplan.doctor.finding import Finding
from loadplan.doctor.installation import extras_finding, loadplan_finding, python_finding, system_finding
from loadplan.doctor.installed import installed_parts
from loadplan.system import system_fault


def examine(*, today: date) -> Iterator[Finding]:
    """Every finding, each as soon as it is known; takes about ten seconds, three of which listen for neighbours.

    Where packages are missing that loadplan always needs, those are told alone: all else would import them. And on
    another system than Linux nothing else can be asked.

    Args:
        today: the day that prices are as old as they are on.
    """
    parts = installed_parts()
    yield python_finding(sys.version_info[:3])
    own = loadplan_finding(parts)
    yield own
    if own.state == "lack":
        return
    system = system_finding(system_fault(), name=f"{platform.system()} {platform.release()}, {platform.machine()}")
    yield system
    if system.state != "lack":
        from loadplan.doctor.here import findings_here

        yield from findings_here(today=today)
    yield extras_finding(parts)
