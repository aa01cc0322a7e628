"""What a service is taken to be made of.

    a request → waits for one of so many slots → waits without CPU → works on the CPU → is answered, and frees its slot

The slots are the threads of a pool, the connections of a data base, the limit of a semaphore. The wait without CPU is a
feature store, a data base, a remote model. On the CPU requests are worked off in the order in which they became ready
(an event loop), or all at once, each with an equal share (threads, processes), or in turns of a scheduler's slice. How
many processes there are can't be seen from outside, nor does it matter for the latency: so nothing is said of it.

Seconds; requests per second.
"""

import math
from dataclasses import dataclass
from typing import Literal

Sharing = Literal["first_come", "turns", "shared"]

# Of `turns`: about a slice of the Linux scheduler.
TURN_S = 3e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStructure:
    """What can't be told by a number that varies smoothly."""

    sharing: Sharing  # of the CPU among the requests that are ready for it
    n_slots: int | None  # requests inside at once; None: no limit, or none that was met
    n_cores: int = 1  # that work on requests at once, each on one at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLaw:
    """A service, complete."""

    structure: ServiceStructure
    request_s: float  # CPU time of a request whatever its rows; mean
    row_s: float  # and of each of its rows; 0 where nobody told the rows, or they were all alike
    cpu_cv: float  # standard deviation of the CPU time over its mean, of requests with equal rows: a lognormal law
    delays_s: tuple[float, ...]  # waits without CPU, ascending, each as likely as any other


def cpu_s(law: ServiceLaw, mean_rows: float) -> float:
    """Mean CPU time of a request."""
    return law.request_s + law.row_s * mean_rows


def delay_s(law: ServiceLaw) -> float:
    """Mean wait without CPU."""
    return math.fsum(law.delays_s) / len(law.delays_s)


def saturated_rps(law: ServiceLaw, mean_rows: float) -> float:
    """No higher rate can be carried: cores / CPU, and slots / (delay + CPU) where those are few (Little's law).

    Where both are near each other the service carries somewhat less, for a slot waits for the CPU as well.
    """
    by_cores, n_slots = capacity_of_cores_rps(law, mean_rows), law.structure.n_slots
    return by_cores if n_slots is None else min(by_cores, n_slots / (delay_s(law) + cpu_s(law, mean_rows)))


def capacity_of_cores_rps(law: ServiceLaw, mean_rows: float) -> float:
    """The rate at which its cores never rest, whatever its slots allow."""
    return law.structure.n_cores / cpu_s(law, mean_rows)


def described(structure: ServiceStructure) -> str:
    """In a few words: `CPU shared by all that are ready, 5 slots`."""
    cpu = {
        "first_come": "CPU first come, first served",
        "turns": "CPU in turns of some ms",
        "shared": "CPU shared by all that are ready",
    }[structure.sharing]
    cores = "" if structure.n_cores == 1 else f", {structure.n_cores} cores"
    return f"{cpu}{cores}" + ("" if structure.n_slots is None else f", {structure.n_slots} slots")
