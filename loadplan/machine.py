"""What these numbers were measured on. Numbers of different machines never merge silently: fingerprints must match."""

import hashlib
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from loadplan import sysfs
from loadplan.caveat import Caveat
from loadplan.gpu import Gpu, read_gpus
from loadplan.system import require_linux

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
# A quarter of a GiB: firmware reserves a little more or less at each boot.
_MEMORY_SHIFT = 28
# With these the clock is low until work has lasted a while, so short inferences are timed at it.
_SLOW_GOVERNORS = ("powersave", "conservative")
# What gives away a virtual machine on somebody's desk: the kernel that its maker builds, or the firmware's vendor.
# QEMU, VMware and Hyper-V are on servers as well, and can't be told.
_DESK_KERNELS = (("microsoft-standard-WSL", "WSL 2"), ("linuxkit", "Docker Desktop"), ("orbstack", "OrbStack"))
_DESK_VENDORS = (("innotek", "VirtualBox"), ("Parallels", "Parallels"), ("Apple", "Apple's virtualisation"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine a measurement was made on: what it is, and in what state it was. Noise is kept elsewhere."""

    cpu_model: str
    architecture: str  # such as x86_64 or aarch64
    flags: tuple[str, ...]  # CPU flags that decide int8 and vector speed
    n_cores: int  # logical cores of the machine
    n_usable_cores: int  # of those, what affinity and cgroup quota leave
    n_threads_per_core: int | None  # 2: two logical cores share one; here and below None: the machine doesn't tell
    n_sockets: int | None
    n_numa_nodes: int | None
    l1d_cache_bytes: int | None  # of one instance, so what core 0 can have of it; likewise the next two
    l2_cache_bytes: int | None
    l3_cache_bytes: int | None
    n_cores_sharing_l3: int | None
    quota_cores: float | None  # cgroup CPU quota in cores; None: no quota
    memory_bytes: int
    memory_limit_bytes: int | None  # cgroup memory limit; None: no limit
    kernel: str
    governor: str | None  # how the clock is chosen, such as `performance`
    max_frequency_hz: float | None
    hypervisor: str | None  # None: bare metal, as far as the machine says
    emulator: str | None  # what translates every instruction, such as `Rosetta`; None: nothing, as far as it shows
    cloud: str | None  # the provider, where the firmware tells it
    instance_type: str | None  # `provider/type` where the firmware tells it
    gpus: tuple[Gpu, ...]

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits over the hardware and the share of it that this process may use.

        The state that one command or an update changes stays out, although it changes the speed: governor, highest
        frequency (its driver may come and go), power limit of a GPU, drivers and kernel. Otherwise a laptop on its
        battery would be another machine, and a nightly update would throw a profile away. `state_caveats` tells what
        of it spoils figures. A provider without a type says nothing of the speed either.
        """
        parts = (
            self.cpu_model,
            self.architecture,
            self.flags,
            self.n_cores,
            self.n_usable_cores,
            self.n_threads_per_core,
            self.n_sockets,
            self.n_numa_nodes,
            (self.l1d_cache_bytes, self.l2_cache_bytes, self.l3_cache_bytes, self.n_cores_sharing_l3),
            self.quota_cores,
            self.memory_bytes >> _MEMORY_SHIFT,
            None if self.memory_limit_bytes is None else self.memory_limit_bytes >> _MEMORY_SHIFT,
            self.emulator,
            self.instance_type,
            tuple((gpu.index, gpu.name, (gpu.memory_bytes or 0) >> _MEMORY_SHIFT) for gpu in self.gpus),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def desk_vm(machine: Machine) -> str | None:
    """The program that runs this virtual machine on a laptop or a desktop, where it gives itself away; else None."""
    by_kernel = (name for mark, name in _DESK_KERNELS if mark in machine.kernel)
    by_vendor = (name for mark, name in _DESK_VENDORS if mark in (machine.hypervisor or ""))
    return next(by_kernel, None) or next(by_vendor, None)


def asleep_s() -> float:
    """How long this machine has slept since its start: CLOCK_MONOTONIC stands still meanwhile, and shows no gap."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


def usable_cores(root: Path = Path("/")) -> tuple[int, ...]:
    """The cores this process may run on, least of affinity and cgroup quota (read below `root`), in order.

    `os.cpu_count()` sees neither, and under a quota a pool sized by it collapses.

    Raises:
        EnvironmentFault: anywhere but on Linux.
    """
    require_linux()
    allowed = sorted(os.sched_getaffinity(0))
    quota = sysfs.read_quota_cores(root)
    n = len(allowed) if quota is None else max(1, min(len(allowed), int(quota)))
    return tuple(allowed[:n])


def read_machine(root: Path = Path("/")) -> Machine:
    """Describe this machine from `/proc` and `/sys` below `root`, and from what the NVIDIA driver says.

    Raises:
        EnvironmentFault: on a system without these.
    """
    require_linux()
    cpuinfo = sysfs.read_cpuinfo(root)
    present = set((cpuinfo.get("flags") or cpuinfo.get("Features") or "").split())
    topology, cloud = sysfs.read_topology(root), sysfs.read_cloud(root)
    architecture = platform.machine()
    return Machine(
        cpu_model=sysfs.cpu_model(cpuinfo) or platform.processor() or "unknown",
        architecture=architecture,
        flags=tuple(flag for flag in _FLAGS_THAT_MATTER if flag in present),
        n_cores=os.cpu_count() or 1,
        n_usable_cores=len(usable_cores(root)),
        n_threads_per_core=topology.n_threads_per_core,
        n_sockets=topology.n_sockets,
        n_numa_nodes=topology.n_numa_nodes,
        l1d_cache_bytes=topology.l1d_cache_bytes,
        l2_cache_bytes=topology.l2_cache_bytes,
        l3_cache_bytes=topology.l3_cache_bytes,
        n_cores_sharing_l3=topology.n_cores_sharing_l3,
        quota_cores=sysfs.read_quota_cores(root),
        memory_bytes=psutil.virtual_memory().total,
        memory_limit_bytes=sysfs.read_memory_limit_bytes(root),
        kernel=platform.release(),
        governor=sysfs.read_governor(root),
        max_frequency_hz=sysfs.read_max_frequency_hz(root),
        hypervisor=sysfs.hypervisor(root, cpuinfo),
        emulator=sysfs.emulator(root, cpuinfo, architecture),
        cloud=None if cloud is None else cloud.provider,
        instance_type=None if cloud is None else cloud.instance_type,
        gpus=read_gpus(),
    )


def state_caveats(machine: Machine) -> tuple[Caveat, ...]:
    """What is wrong with the state of a machine, so that its figures stand for no other time or place."""
    caveats = []
    if machine.emulator is not None:
        caveats.append(
            Caveat(
                code="machine.emulated",
                what=f"this machine is emulated by {machine.emulator}: its speed is that of a translator, not of "
                f"any {machine.architecture} processor",
                fix="measure on a machine of this architecture, or in a container of the host's own",
            )
        )
    desk = desk_vm(machine)
    if desk is not None:
        caveats.append(
            Caveat(
                code="machine.desk_vm",
                what=f"this is a virtual machine on somebody's desk ({desk}): it shares cores, clock and battery with "
                "whatever else runs there, so its figures are no server's",
                fix="measure where the model will be served: loadplan profile SCENARIO --on TYPE says how",
            )
        )
    if machine.governor in _SLOW_GOVERNORS:
        caveats.append(
            Caveat(
                code="machine.governor",
                what=f"the clock is chosen by the governor {machine.governor}, so short inferences are timed at a low "
                "clock",
                fix="plug the machine in, or run: cpupower frequency-set -g performance",
            )
        )
    return tuple(caveats)
