"""What these numbers were measured on. Numbers of different machines never merge silently: fingerprints must match."""

import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

# CPU flags that decide how fast an inference runs; the rest of the list says nothing about it.
_FLAGS_THAT_MATTER = (
    "avx2",
    "fma",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "sve",
    "i8mm",
    "bf16",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine a measurement was made on. Everything here is stable over a reboot; noise is kept elsewhere."""

    cpu_model: str
    architecture: str  # such as x86_64 or aarch64
    flags: tuple[str, ...]  # CPU flags that decide int8 and vector speed
    n_cores: int  # logical cores of the machine
    n_usable_cores: int  # of those, what affinity and cgroup quota leave
    quota_cores: float | None  # cgroup CPU quota in cores; None: no quota
    memory_bytes: int
    kernel: str
    hypervisor: str | None  # None: bare metal, as far as the machine says
    instance_type: str | None  # `provider/type` where the firmware tells it

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits over everything that changes how fast a model runs (not the kernel's version)."""
        parts = (
            self.cpu_model,
            self.architecture,
            self.flags,
            self.n_cores,
            self.n_usable_cores,
            self.quota_cores,
            self.memory_bytes >> 28,  # a quarter of a GiB: firmware reserves a little more or less at each boot
            self.instance_type,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def usable_cores(root: Path = Path("/")) -> tuple[int, ...]:
    """The cores this process may run on, least of affinity and cgroup quota (read below `root`), in order.

    `os.cpu_count()` sees neither, and under a quota a pool sized by it collapses.
    """
    allowed = sorted(os.sched_getaffinity(0))
    quota = read_quota_cores(root / "sys" / "fs" / "cgroup")
    n = len(allowed) if quota is None else max(1, min(len(allowed), int(quota)))
    return tuple(allowed[:n])


def read_quota_cores(cgroup: Path) -> float | None:
    """Cores that the cgroup's CPU quota allows, or None where there is no quota. Reads version 2, then version 1."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota_us = int((cgroup / "cpu" / "cpu.cfs_quota_us").read_text())
        period_us = int((cgroup / "cpu" / "cpu.cfs_period_us").read_text())
        return None if quota_us <= 0 else quota_us / period_us
    except (OSError, ValueError):
        return None


def read_machine(root: Path = Path("/")) -> Machine:
    """Describe this machine from `/proc` and `/sys` below `root`."""
    cpuinfo = _first_cpu(root / "proc" / "cpuinfo")
    present = set((cpuinfo.get("flags") or cpuinfo.get("Features") or "").split())
    return Machine(
        cpu_model=_cpu_model(cpuinfo),
        architecture=platform.machine(),
        flags=tuple(flag for flag in _FLAGS_THAT_MATTER if flag in present),
        n_cores=os.cpu_count() or 1,
        n_usable_cores=len(usable_cores(root)),
        quota_cores=read_quota_cores(root / "sys" / "fs" / "cgroup"),
        memory_bytes=psutil.virtual_memory().total,
        kernel=platform.release(),
        hypervisor=_hypervisor(root, present),
        instance_type=_instance_type(root),
    )


def _first_cpu(path: Path) -> dict[str, str]:
    try:
        block = path.read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _cpu_model(cpuinfo: dict[str, str]) -> str:
    name = cpuinfo.get("model name") or platform.processor() or "unknown"
    # Virtual machines often blank the name ("AMD EPYC"); family and model tell the generation.
    numbers = [cpuinfo[key] for key in ("cpu family", "model") if key in cpuinfo]
    return f"{name} (family {numbers[0]}, model {numbers[1]})" if len(numbers) == 2 else name


def _hypervisor(root: Path, flags: set[str]) -> str | None:
    vendor = _dmi(root, "sys_vendor")
    return (vendor or "unnamed") if "hypervisor" in flags else None


def _instance_type(root: Path) -> str | None:
    # On EC2 Nitro the product name is the instance type; elsewhere it names a chassis.
    if _dmi(root, "sys_vendor") == "Amazon EC2":
        product = _dmi(root, "product_name")
        return f"aws/{product}" if product else None
    return None


def _dmi(root: Path, name: str) -> str | None:
    try:
        return (root / "sys" / "class" / "dmi" / "id" / name).read_text().strip() or None
    except OSError:
        return None
