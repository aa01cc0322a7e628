"""What Linux tells of the hardware in small files below `/proc` and `/sys`; None wherever a file is silent.

Every reader takes the root of the tree, so that tests describe machines that nobody here has.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Memory of a cgroup without a limit: version 1 writes the largest whole number of pages instead of `max`.
_NO_LIMIT_BYTES = 1 << 60
_BYTES_PER = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
# The names of `Main ID Register` parts, for processors that a cloud offers: Linux arch/arm64/include/asm/cputype.h.
_ARM_PARTS = {
    ("0x41", "0xd0c"): "Neoverse N1",
    ("0x41", "0xd40"): "Neoverse V1",
    ("0x41", "0xd49"): "Neoverse N2",
    ("0x41", "0xd4f"): "Neoverse V2",
    ("0x41", "0xd84"): "Neoverse V3",
    ("0x41", "0xd8e"): "Neoverse N3",
    ("0xc0", "0xac3"): "Ampere-1",
}
# ARM reserves this implementer for software.
_ARM_SOFTWARE = "0x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """How the cores hang together, as core 0 sees it. Hypervisors tell what they please: it is what the system sees."""

    n_threads_per_core: int | None
    n_sockets: int | None
    n_numa_nodes: int | None
    l1d_cache_bytes: int | None
    l2_cache_bytes: int | None
    l3_cache_bytes: int | None
    n_cores_sharing_l3: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Which provider's machine this is, as the firmware says."""

    provider: str  # as the catalogue spells it
    instance_type: str | None  # `provider/type`; only EC2 tells it


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyCounter:
    """What one processor package has used so far, by the processor's own count (RAPL)."""

    package: str
    microjoules: int
    wraps_at_microjoules: int  # where the counter begins at 0 again


def read_topology(root: Path) -> Topology:
    """Caches, sockets, hardware threads and memory nodes."""
    cpus = root / "sys" / "devices" / "system" / "cpu"
    first = cpus / "cpu0" / "topology"
    caches = {(level, kind): index for level, kind, index in _caches(cpus / "cpu0" / "cache")}
    last = caches.get(("3", "Unified"))
    siblings = text_of(first / "core_cpus_list") or text_of(first / "thread_siblings_list")
    packages = {text_of(path) for path in cpus.glob("cpu[0-9]*/topology/physical_package_id")}
    nodes = sum(1 for _ in (root / "sys" / "devices" / "system" / "node").glob("node[0-9]*"))
    return Topology(
        n_threads_per_core=_n_cores_in(siblings),
        n_sockets=len(packages) if packages and packages.isdisjoint({"-1", None}) else None,
        n_numa_nodes=nodes or None,
        l1d_cache_bytes=_size_of(caches.get(("1", "Data"))),
        l2_cache_bytes=_size_of(caches.get(("2", "Unified"))),
        l3_cache_bytes=_size_of(last),
        n_cores_sharing_l3=None if last is None else _n_cores_in(text_of(last / "shared_cpu_list")),
    )


def read_governor(root: Path) -> str | None:
    """How the system chooses the clock, such as `performance` or `powersave`."""
    return text_of(root / "sys" / "devices" / "system" / "cpu" / "cpu0" / "cpufreq" / "scaling_governor")


def read_max_frequency_hz(root: Path) -> float | None:
    """The highest clock of core 0 in hertz; virtual machines rarely tell."""
    khz = text_of(root / "sys" / "devices" / "system" / "cpu" / "cpu0" / "cpufreq" / "cpuinfo_max_freq")
    return float(khz) * 1e3 if khz is not None and khz.isdecimal() else None


def read_frequency_hz(root: Path, cores: Iterable[int]) -> float | None:
    """The mean clock of these cores at the moment, in hertz; None where the system doesn't tell."""
    folder = root / "sys" / "devices" / "system" / "cpu"
    texts = [text_of(folder / f"cpu{core}" / "cpufreq" / "scaling_cur_freq") for core in cores]
    khz = [float(text) for text in texts if text is not None and text.isdecimal()]
    return 1e3 * sum(khz) / len(khz) if khz else None


def read_throttled_s(root: Path) -> float | None:
    """Seconds for which a CPU quota has stopped the cgroups over this process so far; None where none is counted.

    Several may be stopped at once, so it is that of the one that was stopped for longest. Version 2 counts
    microseconds, version 1 nanoseconds.
    """
    scales = {"throttled_usec": 1e-6, "throttled_time": 1e-9}
    lines = (line.split() for folder in _cgroups(root, "cpu") for line in _lines(folder / "cpu.stat"))
    return max(
        (float(pair[1]) * scales[pair[0]] for pair in lines if len(pair) == 2 and pair[0] in scales), default=None
    )


def read_package_energy(root: Path) -> tuple[EnergyCounter, ...]:
    """The counters of all processor packages; () where the system has none, or none that this user may read.

    Only packages: cores and graphics are parts of theirs, and `psys` is the whole board. Since Linux 5.10 only root may
    read them, because of what they tell of other users' work.
    """
    counters = []
    for domain in sorted((root / "sys" / "class" / "powercap").glob("intel-rapl:*")):
        name, used = text_of(domain / "name"), text_of(domain / "energy_uj")
        wraps_at = text_of(domain / "max_energy_range_uj")
        if name is not None and name.startswith("package") and used is not None and wraps_at is not None:
            counter = EnergyCounter(package=name, microjoules=int(used), wraps_at_microjoules=int(wraps_at))
            counters.append(counter)
    return tuple(counters)


def joules_between(before: Iterable[EnergyCounter], after: Iterable[EnergyCounter]) -> float | None:
    """What all packages used between two readings; None where there are none, or not the same ones."""
    earlier, later = tuple(before), tuple(after)
    if not earlier or [a.package for a in earlier] != [b.package for b in later]:
        return None
    pairs = zip(earlier, later, strict=True)
    return 1e-6 * sum((b.microjoules - a.microjoules) % b.wraps_at_microjoules for a, b in pairs)


def read_resident_bytes(root: Path, figure: str) -> int | None:
    """Resident memory of this process: `VmRSS` as it is now, `VmHWM` as it was at most."""
    lines = (line.split() for line in _lines(root / "proc" / "self" / "status"))
    return next((int(words[1]) * 1024 for words in lines if len(words) == 3 and words[0] == f"{figure}:"), None)


def forget_peak_memory(root: Path) -> bool:
    """Have `VmHWM` begin anew at what is resident now; False where the kernel was built without that (proc(5))."""
    try:
        (root / "proc" / "self" / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def read_quota_cores(root: Path) -> float | None:
    """Cores that the CPU quotas over this process allow, or None where there is none."""
    return min((quota for folder in _cgroups(root, "cpu") if (quota := _quota_cores(folder)) is not None), default=None)


def read_memory_limit_bytes(root: Path) -> int | None:
    """Bytes that the cgroups over this process allow it, or None where there is no limit."""
    limits = (
        int(text)
        for folder in _cgroups(root, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        if (text := text_of(folder / name)) is not None and text.isdecimal()
    )
    return min((limit for limit in limits if limit < _NO_LIMIT_BYTES), default=None)


def read_cpuinfo(root: Path) -> dict[str, str]:
    """The first processor of `/proc/cpuinfo`."""
    block = (text_of(root / "proc" / "cpuinfo") or "").split("\n\n")[0]
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def cpu_model(cpuinfo: dict[str, str]) -> str | None:
    """The processor's name with the numbers that tell its generation: virtual machines often blank the name."""
    name = cpuinfo.get("model name")
    if "CPU part" in cpuinfo:
        implementer, part = cpuinfo.get("CPU implementer", "unknown"), cpuinfo["CPU part"]
        known = name or _ARM_PARTS.get((implementer, part), "ARM")
        return f"{known} (implementer {implementer}, part {part})"
    numbers = [cpuinfo[key] for key in ("cpu family", "model") if key in cpuinfo]
    return f"{name} (family {numbers[0]}, model {numbers[1]})" if name and len(numbers) == 2 else name


def emulator(root: Path, cpuinfo: dict[str, str], architecture: str) -> str | None:
    """The program that translates every instruction of this machine, where one gives itself away.

    Rosetta calls its processor VirtualApple. QEMU without KVM names it "QEMU TCG CPU" (`-cpu max`), on ARM it uses the
    implementer that is reserved for software; the older "QEMU Virtual CPU" can also run under KVM, which then offers
    its clock. QEMU's user mode changes what `uname` says and may leave the host's cpuinfo as it was.
    """
    name = cpuinfo.get("model name", "")
    if "VirtualApple" in f"{name} {cpuinfo.get('vendor_id', '')}":
        return "Rosetta"
    if name.startswith("QEMU TCG") or cpuinfo.get("CPU implementer") == _ARM_SOFTWARE:
        return "QEMU without KVM"
    clocks = text_of(root / "sys" / "devices" / "system" / "clocksource" / "clocksource0" / "available_clocksource")
    if name.startswith("QEMU Virtual CPU") and clocks is not None and "kvm-clock" not in clocks.split():
        return "QEMU without KVM"
    is_x86_info, is_arm_info = "vendor_id" in cpuinfo, "CPU implementer" in cpuinfo
    if (is_x86_info and architecture == "aarch64") or (is_arm_info and architecture == "x86_64"):
        return "QEMU user mode"
    return None


def hypervisor(root: Path, cpuinfo: dict[str, str]) -> str | None:
    """Who runs this virtual machine; None on bare metal, as far as the machine says.

    x86 has a flag for it. ARM has none, so the firmware's word counts: a maker of virtual machines, or a cloud that
    doesn't say `.metal`. Apple's own machines have no such firmware; what has is run by Apple's virtualisation.
    """
    vendor = dmi(root, "sys_vendor")
    if "hypervisor" in cpuinfo.get("flags", "").split():
        return vendor or "unnamed"
    if "flags" in cpuinfo:
        return None
    cloud = read_cloud(root)
    is_made_up = vendor is not None and vendor.startswith(("QEMU", "Apple", "Parallels", "innotek"))
    is_rented = cloud is not None and ".metal" not in (cloud.instance_type or "")
    return vendor if is_made_up or is_rented else None


def read_cloud(root: Path) -> Cloud | None:
    """The provider by its marks in the firmware, the ones that cloud-init's ds-identify goes by; None elsewhere.

    EC2's Nitro machines write their type into the product's name. Google writes the same name into every machine, and
    Azure is a plain Hyper-V machine with a fixed tag on its chassis: these two keep the type to themselves.
    """
    vendor, product = dmi(root, "sys_vendor"), dmi(root, "product_name")
    tag = dmi(root, "chassis_asset_tag")
    if vendor == "Amazon EC2":
        return Cloud(provider="aws", instance_type=f"aws/{product}" if product else None)
    if "amazon" in (dmi(root, "bios_version") or "").lower():  # EC2's older machines on Xen
        return Cloud(provider="aws", instance_type=None)
    marks = (
        (product == "Google Compute Engine", "gcp"),
        (tag == "7783-7084-3265-9085-8269-3286-77", "azure"),  # "MSFT AZURE VM" in ASCII codes
        (tag == "OracleCloud.com", "oracle"),
        (product == "Alibaba Cloud ECS", "alibaba"),
        (vendor in ("Hetzner", "DigitalOcean", "Scaleway", "Vultr"), (vendor or "").lower()),
    )
    return next((Cloud(provider=name, instance_type=None) for is_marked, name in marks if is_marked), None)


def dmi(root: Path, name: str) -> str | None:
    """One field of the firmware's description of the machine."""
    return text_of(root / "sys" / "class" / "dmi" / "id" / name)


def text_of(path: Path) -> str | None:
    """A small file's text; None where it is missing, empty or unreadable."""
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None


def _lines(path: Path) -> list[str]:
    return (text_of(path) or "").splitlines()


def _caches(folder: Path) -> Iterator[tuple[str | None, str | None, Path]]:
    for index in folder.glob("index[0-9]*"):
        yield text_of(index / "level"), text_of(index / "type"), index


def _size_of(cache: Path | None) -> int | None:
    match = None if cache is None else re.fullmatch(r"(\d+)([KMG]?)", text_of(cache / "size") or "")
    return None if match is None else int(match[1]) * _BYTES_PER[match[2]]


def _n_cores_in(listed: str | None) -> int | None:
    """How many cores a list such as `0-3,8,10-11` names."""
    if listed is None or not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", listed):
        return None
    ends = (part.partition("-") for part in listed.split(","))
    return sum(int(last or first) - int(first) + 1 for first, _, last in ends)


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """The folders that limit this process: its own cgroup and those above, of version 2 and of version 1.

    Inside a container the own one is usually the root of what is mounted, whatever path the process reads.
    """
    mount = root / "sys" / "fs" / "cgroup"
    yield from (mount, mount / controller)
    for line in (text_of(root / "proc" / "self" / "cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        hierarchy = mount / controller if controllers else mount
        yield from (hierarchy / above for above in _above(path.strip("/").split("/")))


def _above(parts: Iterable[str]) -> Iterator[Path]:
    path = Path()
    for part in parts:
        path /= part
        yield path


def _quota_cores(cgroup: Path) -> float | None:
    quota, _, period = (text_of(cgroup / "cpu.max") or "").partition(" ")
    if not quota:
        quota = text_of(cgroup / "cpu.cfs_quota_us") or ""
        period = text_of(cgroup / "cpu.cfs_period_us") or ""
    if not (quota.isdecimal() and period.isdecimal()):  # `max` and -1 stand for none
        return None
    return int(quota) / int(period) if int(quota) > 0 and int(period) > 0 else None
