"""The machine that measured, as JSON."""

from loadplan.cli.figures import Document, record
from loadplan.machine import Machine

# Why a figure of it or of one of its GPUs is None; where a name is null, there is none.
_ABSENT = {
    "quota_cores": "there is no quota",
    "memory_limit_bytes": "there is no limit",
    **dict.fromkeys(
        (
            "n_threads_per_core",
            "n_sockets",
            "n_numa_nodes",
            "l1d_cache_bytes",
            "l2_cache_bytes",
            "l3_cache_bytes",
            "n_cores_sharing_l3",
            "max_frequency_hz",
            "memory_bytes",
            "max_sm_clock_hz",
            "max_memory_clock_hz",
            "power_limit_w",
        ),
        "this machine doesn't tell",
    ),
}


def machine_document(machine: Machine) -> Document:
    """The machine and its fingerprint."""
    return {**record(machine, _ABSENT), "fingerprint": machine.fingerprint}
