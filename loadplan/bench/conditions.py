"""What the system did to the process while it measured: cores taken away, a quota used up, the clock."""

import resource
from dataclasses import dataclass
from pathlib import Path

from loadplan.machine import usable_cores
from loadplan.sysfs import read_frequency_hz, read_throttled_s

_CORES_AT_MOST = 16  # whose clocks are read: each is a file


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Counters at one moment, or what they grew by between two."""

    n_preempted: int  # involuntary context switches of all threads
    throttled_s: float | None  # by a CPU quota; None: none is counted
    frequency_hz: float | None  # at the end; None: the system doesn't tell


def conditions_now(root: Path = Path("/")) -> Conditions:
    """The counters of this process, and the clock of the cores that it may use."""
    return Conditions(
        n_preempted=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
        throttled_s=read_throttled_s(root),
        frequency_hz=read_frequency_hz(root, usable_cores(root)[:_CORES_AT_MOST]),
    )


def conditions_since(before: Conditions, root: Path = Path("/")) -> Conditions:
    """What happened since then."""
    now = conditions_now(root)
    throttled_s = None
    if now.throttled_s is not None and before.throttled_s is not None:
        throttled_s = max(now.throttled_s - before.throttled_s, 0.0)
    return Conditions(
        n_preempted=now.n_preempted - before.n_preempted, throttled_s=throttled_s, frequency_hz=now.frequency_hz
    )
