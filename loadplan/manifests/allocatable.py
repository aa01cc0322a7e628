"""What a pod may ask of a machine: what Kubernetes leaves, less what the pods of the system on each node take.

Processor in thousandths of a core, memory in MiB. The decision a reader would question: where the catalogue doesn't
say what is left, the larger of what three providers are known to keep is taken away, so that a pod that asks for this
much can be placed everywhere. The requests of a node's own pods (network, proxy, logs) are assumed.
"""

from dataclasses import dataclass

from loadplan.catalog.instance_type import InstanceType
from loadplan.errors import InputError
from loadplan.plan.hardware.memory import KEPT_RATIO

DAEMONS_MILLICORES, DAEMONS_MIB = 250, 256
EVICTION_MIB = 100  # kept free by the kubelet
# Thousandths of each core up to so many that Azure's Kubernetes keeps, more than Amazon's and Google's do.
_KEPT_OF_CORES = ((1, 60), (2, 40), (4, 20), (8, 10))
_KEPT_OF_FURTHER_CORES = 10
# Share of each part of the memory that Google's Kubernetes keeps, more than Amazon's does: GiB up to which, and share.
_KEPT_OF_MEMORY = ((4.0, 0.25), (8.0, 0.20), (16.0, 0.10), (128.0, 0.06))
_KEPT_OF_FURTHER_MEMORY = 0.02
_MIB_PER_GIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What one machine has for the pods of a server."""

    millicores: int
    memory_mib: int
    source: str


def room_on(instance_type: InstanceType) -> Room:
    """What the servers' pods may ask of a machine of this type, all together.

    Raises:
        InputError: when nothing is left, or its memory is not known.
    """
    if instance_type.memory_gib <= 0.0:
        raise InputError(
            what=f"nobody said how much memory {instance_type.name} has, so no pod can ask for its share",
            where="the recommended fleet",
            fix="say it with memory_gib at the machine in plan.owned, and plan again",
        )
    left = allocatable(instance_type)
    millicores, memory_mib = left.millicores - DAEMONS_MILLICORES, left.memory_mib - DAEMONS_MIB
    if millicores <= 0 or memory_mib <= 0:
        raise InputError(
            what=f"{instance_type.name} is too small for Kubernetes: {instance_type.n_vcpus} vCPUs and "
            f"{instance_type.memory_gib:g} GiB leave nothing for a pod",
            where="the recommended fleet",
            fix="use compose.yaml on machines of their own, or plan without this type",
        )
    return Room(millicores=millicores, memory_mib=memory_mib, source=left.source)


def allocatable(instance_type: InstanceType) -> Room:
    """What Kubernetes leaves for pods, those of the system included."""
    if instance_type.usable_vcpus is not None and instance_type.usable_memory_gib is not None:
        return Room(
            millicores=int(1000 * instance_type.usable_vcpus),
            memory_mib=int(_MIB_PER_GIB * instance_type.usable_memory_gib),
            source="the catalogue's allocatable",
        )
    usable_gib = instance_type.memory_gib * (1.0 - KEPT_RATIO)
    return Room(
        millicores=int(
            1000 * instance_type.n_vcpus - _kept(instance_type.n_vcpus, _KEPT_OF_CORES, _KEPT_OF_FURTHER_CORES)
        ),
        memory_mib=int(
            _MIB_PER_GIB * (usable_gib - _kept(usable_gib, _KEPT_OF_MEMORY, _KEPT_OF_FURTHER_MEMORY)) - EVICTION_MIB
        ),
        source="assumed: what is left at the provider that keeps most",
    )


def _kept(amount: float, steps: tuple[tuple[float, float], ...], beyond: float) -> float:
    """The sum over the parts of an amount, each part with a share of its own."""
    kept, below = 0.0, 0.0
    for limit, share in steps:
        kept += share * max(min(amount, limit) - below, 0.0)
        below = limit
    return kept + beyond * max(amount - below, 0.0)
