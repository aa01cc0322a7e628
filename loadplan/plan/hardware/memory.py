"""How many server processes the memory of a machine holds.

The decision a reader would question: nominal memory is not usable memory. Firmware and hypervisor keep a part, for
which Karpenter, which buys such machines by the thousand, reckons 7.5 % (its `vmMemoryOverheadPercent`), and the system
and its agents take half a gibibyte. Both are assumed where the catalogue doesn't tell what is left of a type.
"""

from loadplan.catalog.instance_type import InstanceType

KEPT_RATIO = 0.075  # of the nominal memory, by firmware and hypervisor
SYSTEM_GIB = 0.5  # by the system itself
_GIB = 2**30


def usable_gib(instance_type: InstanceType) -> float:
    """What is left of the nominal memory for servers, as the catalogue tells it or else as it is assumed."""
    if instance_type.usable_memory_gib is not None:
        return instance_type.usable_memory_gib
    return max(instance_type.memory_gib * (1.0 - KEPT_RATIO) - SYSTEM_GIB, 0.0)


def n_held(instance_type: InstanceType, server_bytes: int | None) -> int | None:
    """Server processes that fit into it; None where nobody looked how much one takes."""
    return None if not server_bytes else int(usable_gib(instance_type) * _GIB / server_bytes)


def why_not_held(instance_type: InstanceType, server_bytes: int) -> str:
    """Such as `one server takes 5.1 GiB; of its 4 GiB of memory 3.2 are usable`."""
    return (
        f"one server takes {server_bytes / _GIB:.2g} GiB; of its {instance_type.memory_gib:g} GiB of memory "
        f"{usable_gib(instance_type):.2g} are usable"
    )
