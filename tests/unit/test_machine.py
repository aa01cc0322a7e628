"""Machines described from fake `/proc` and `/sys` trees."""

import os
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from loadplan.gpu import Gpu
from loadplan.machine import Machine, desk_vm, read_machine, state_caveats, usable_cores

ALLOWED = sorted(os.sched_getaffinity(0))
CPU0 = "sys/devices/system/cpu/cpu0"
CLOCKS = "sys/devices/system/clocksource/clocksource0/available_clocksource"
CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
flags\t\t: fpu sse avx2 fma avx512f avx512_vnni hypervisor

processor\t: 1
model name\t: another
"""
ARM_CPUINFO = """processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd asimddp sve i8mm bf16
CPU implementer\t: 0x41
CPU part\t: 0xd40
"""
GPU = Gpu(
    index=0,
    name="NVIDIA L4",
    driver_version="580.1",
    memory_bytes=24 << 30,
    max_sm_clock_hz=2.04e9,
    max_memory_clock_hz=6.251e9,
    power_limit_w=72.0,
    is_mig_enabled=None,
)


def fake_root(root: Path, files: Mapping[str, str | None]) -> Path:
    """Below `root`, each file with its text; None leaves it out."""
    for name, text in files.items():
        if text is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    return root


def firmware(vendor: str | None = None, product: str | None = None, **others: str) -> dict[str, str | None]:
    """The firmware's fields as files."""
    fields = {"sys_vendor": vendor, "product_name": product, **others}
    return {f"sys/class/dmi/id/{name}": None if text is None else f"{text}\n" for name, text in fields.items()}


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "garbage"}, None),
        ({}, None),
    ],
    ids=["version 2", "version 2 without", "version 1", "version 1 without", "unreadable", "no cgroup"],
)
def test_the_quota_of_a_cgroup_is_read_in_cores(tmp_path: Path, files: dict[str, str], cores: float | None) -> None:
    root = fake_root(tmp_path, {f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    assert read_machine(root).quota_cores == cores


@pytest.mark.parametrize(
    ("files", "limit_bytes"),
    [
        ({"memory.max": "2147483648\n"}, 2 << 30),
        ({"memory.max": "max\n"}, None),
        ({"memory/memory.limit_in_bytes": "1073741824\n"}, 1 << 30),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({}, None),
    ],
    ids=["version 2", "version 2 without", "version 1", "version 1 without", "no cgroup"],
)
def test_the_memory_limit_of_a_cgroup_is_read_in_bytes(
    tmp_path: Path, files: dict[str, str], limit_bytes: int | None
) -> None:
    root = fake_root(tmp_path, {f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    assert read_machine(root).memory_limit_bytes == limit_bytes


def test_limits_of_the_own_cgroup_and_of_those_above_count_and_the_least_of_them_holds(tmp_path: Path) -> None:
    root = fake_root(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory,hugetlb:/box/own\n0::/user.slice/job.scope\n",
            "sys/fs/cgroup/user.slice/cpu.max": "50000 100000",
            "sys/fs/cgroup/user.slice/job.scope/cpu.max": "300000 100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(4 << 30),
            "sys/fs/cgroup/memory/box/own/memory.limit_in_bytes": str(3 << 30),
        },
    )
    assert read_machine(root).quota_cores == 0.5
    assert read_machine(root).memory_limit_bytes == 3 << 30


@pytest.mark.parametrize(
    ("quota", "n"),
    [("50000 100000", 1), ("150000 100000", 1), ("max 100000", len(ALLOWED)), ("99900000 100000", len(ALLOWED))],
    ids=["half a core", "one and a half", "none", "more than there are"],
)
def test_usable_cores_are_the_least_of_affinity_and_quota(tmp_path: Path, quota: str, n: int) -> None:
    root = fake_root(tmp_path, {"sys/fs/cgroup/cpu.max": quota})
    assert usable_cores(root) == tuple(ALLOWED[:n])
    assert read_machine(root).n_usable_cores == n


def test_a_blank_processor_name_is_told_apart_by_family_and_model(tmp_path: Path) -> None:
    machine = read_machine(fake_root(tmp_path, {"proc/cpuinfo": CPUINFO}))
    assert machine.cpu_model == "AMD EPYC (family 25, model 17)"
    assert machine.flags == ("avx2", "fma", "avx512f", "avx512_vnni")


def test_an_arm_processor_is_named_by_its_part(tmp_path: Path) -> None:
    machine = read_machine(fake_root(tmp_path, {"proc/cpuinfo": ARM_CPUINFO}))
    assert machine.cpu_model == "Neoverse V1 (implementer 0x41, part 0xd40)"
    assert machine.flags == ("asimddp", "sve", "i8mm", "bf16")
    unknown = read_machine(fake_root(tmp_path, {"proc/cpuinfo": ARM_CPUINFO.replace("0xd40", "0x123")}))
    assert unknown.cpu_model == "ARM (implementer 0x41, part 0x123)"


def test_caches_sockets_threads_and_memory_nodes_are_those_the_system_sees(tmp_path: Path) -> None:
    caches = {
        "index0": ("1", "Data", "32K", "0,64"),
        "index1": ("1", "Instruction", "64K", "0,64"),
        "index2": ("2", "Unified", "1024K", "0,64"),
        "index3": ("3", "Unified", "32768K", "0-7,64-71"),
    }
    files: dict[str, str | None] = {
        f"{CPU0}/cache/{index}/{name}": f"{text}\n"
        for index, texts in caches.items()
        for name, text in zip(("level", "type", "size", "shared_cpu_list"), texts, strict=True)
    }
    files |= {f"sys/devices/system/cpu/cpu{i}/topology/physical_package_id": f"{i // 64}\n" for i in (0, 1, 64, 65)}
    files |= {f"sys/devices/system/node/node{i}/cpulist": "" for i in range(4)}
    files |= {f"{CPU0}/topology/thread_siblings_list": "0,64\n"}
    files |= {f"{CPU0}/cpufreq/scaling_governor": "performance\n", f"{CPU0}/cpufreq/cpuinfo_max_freq": "3700000\n"}
    machine = read_machine(fake_root(tmp_path, files))
    assert (machine.n_threads_per_core, machine.n_sockets, machine.n_numa_nodes) == (2, 2, 4)
    assert (machine.l1d_cache_bytes, machine.l2_cache_bytes, machine.l3_cache_bytes) == (32 << 10, 1 << 20, 32 << 20)
    assert machine.n_cores_sharing_l3 == 16
    assert (machine.governor, machine.max_frequency_hz) == ("performance", 3.7e9)


def test_a_socket_without_a_number_is_no_socket(tmp_path: Path) -> None:
    """ARM machines without a processor table write -1."""
    root = fake_root(tmp_path, {f"{CPU0}/topology/physical_package_id": "-1\n"})
    assert read_machine(root).n_sockets is None


@pytest.mark.parametrize(
    ("files", "cloud", "instance_type"),
    [
        (firmware("Amazon EC2", "c7g.large"), "aws", "aws/c7g.large"),
        (firmware("Xen", "HVM domU", bios_version="4.11.amazon"), "aws", None),
        (firmware("Google", "Google Compute Engine"), "gcp", None),
        (
            firmware("Microsoft Corporation", "Virtual Machine", chassis_asset_tag="7783-7084-3265-9085-8269-3286-77"),
            "azure",
            None,
        ),
        (firmware("Microsoft Corporation", "Virtual Machine", chassis_asset_tag="None"), None, None),
        (firmware("QEMU", "Standard PC", chassis_asset_tag="OracleCloud.com"), "oracle", None),
        (firmware("Hetzner", "vServer"), "hetzner", None),
        (firmware("QEMU", "Standard PC"), None, None),
        (firmware(), None, None),
    ],
    ids=["EC2", "EC2 on Xen", "Google", "Azure", "Hyper-V", "Oracle", "Hetzner", "another hypervisor", "no DMI"],
)
def test_the_cloud_and_its_type_are_told_only_where_the_firmware_does(
    tmp_path: Path, files: dict[str, str | None], cloud: str | None, instance_type: str | None
) -> None:
    machine = read_machine(fake_root(tmp_path, {"proc/cpuinfo": CPUINFO, **files}))
    assert (machine.cloud, machine.instance_type) == (cloud, instance_type)
    assert machine.hypervisor == (_vendor(files) or "unnamed")


def _vendor(files: Mapping[str, str | None]) -> str | None:
    text = files["sys/class/dmi/id/sys_vendor"]
    return None if text is None else text.strip()


def test_bare_metal_has_no_hypervisor(tmp_path: Path) -> None:
    root = fake_root(tmp_path, {"proc/cpuinfo": CPUINFO.replace(" hypervisor", "")})
    assert read_machine(root).hypervisor is None


@pytest.mark.parametrize(
    ("files", "hypervisor"),
    [
        (firmware("Amazon EC2", "c7g.large"), "Amazon EC2"),
        (firmware("Amazon EC2", "c7g.metal"), None),
        (firmware("QEMU", "QEMU Virtual Machine"), "QEMU"),
        (firmware("Ampere", "Mt. Jade"), None),
    ],
    ids=["EC2", "EC2 bare metal", "QEMU", "a server"],
)
def test_arm_has_no_flag_for_a_hypervisor_so_the_firmware_is_asked(
    tmp_path: Path, files: dict[str, str | None], hypervisor: str | None
) -> None:
    assert read_machine(fake_root(tmp_path, {"proc/cpuinfo": ARM_CPUINFO, **files})).hypervisor == hypervisor


@pytest.mark.parametrize(
    ("architecture", "cpuinfo", "clocks", "emulator"),
    [
        ("x86_64", CPUINFO, "tsc kvm-clock", None),
        ("x86_64", CPUINFO.replace("AMD EPYC", "QEMU TCG CPU version 2.5+"), None, "QEMU without KVM"),
        ("x86_64", CPUINFO.replace("AMD EPYC", "QEMU Virtual CPU version 2.5+"), "tsc hpet", "QEMU without KVM"),
        ("x86_64", CPUINFO.replace("AMD EPYC", "QEMU Virtual CPU version 2.5+"), "kvm-clock tsc", None),
        ("x86_64", CPUINFO.replace("AMD EPYC", "VirtualApple @ 2.50GHz"), None, "Rosetta"),
        ("x86_64", ARM_CPUINFO, None, "QEMU user mode"),
        ("aarch64", CPUINFO, None, "QEMU user mode"),
        ("aarch64", ARM_CPUINFO, None, None),
        ("aarch64", ARM_CPUINFO.replace("0x41", "0x00"), None, "QEMU without KVM"),
    ],
    ids=[
        "KVM",
        "TCG",
        "TCG by its older name",
        "KVM by that name",
        "Rosetta",
        "x86 on ARM",
        "ARM on x86",
        "ARM",
        "TCG on ARM",
    ],
)
def test_an_emulator_that_gives_itself_away_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    architecture: str,
    cpuinfo: str,
    clocks: str | None,
    emulator: str | None,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: architecture)
    machine = read_machine(fake_root(tmp_path, {"proc/cpuinfo": cpuinfo, CLOCKS: clocks}))
    assert machine.emulator == emulator
    codes = [caveat.code for caveat in state_caveats(machine)]
    assert codes == (["machine.emulated"] if emulator else [])


@pytest.mark.parametrize(
    ("kernel", "vendor", "named"),
    [
        ("5.15.167.4-microsoft-standard-WSL2", None, "WSL 2"),
        ("6.10.14-linuxkit", None, "Docker Desktop"),
        ("6.15.11-orbstack-00539-g9885ebd8e3f4", None, "OrbStack"),
        ("6.8.0-51-generic", "innotek GmbH", "VirtualBox"),
        ("6.8.0-51-generic", "Parallels International GmbH.", "Parallels"),
        ("6.8.0-51-generic", "Apple Inc.", "Apple's virtualisation"),
        ("6.8.0-51-generic", "QEMU", None),  # as on any server
        ("6.8.0-1021-aws", "Amazon EC2", None),
        ("6.8.0-1020-azure", "Microsoft Corporation", None),
    ],
)
def test_a_virtual_machine_on_a_desk_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str, vendor: str | None, named: str | None
) -> None:
    monkeypatch.setattr(platform, "release", lambda: kernel)
    machine = read_machine(fake_root(tmp_path, {"proc/cpuinfo": CPUINFO, **firmware(vendor)}))

    assert desk_vm(machine) == named
    caveats = [caveat for caveat in state_caveats(machine) if caveat.code == "machine.desk_vm"]
    assert [named in caveat.what for caveat in caveats if named] == ([True] if named else [])
    assert len(caveats) == (named is not None)


def test_apples_virtualisation_is_told_by_its_firmware_where_no_flag_tells(tmp_path: Path) -> None:
    machine = read_machine(fake_root(tmp_path, {"proc/cpuinfo": ARM_CPUINFO, **firmware("Apple Inc.")}))
    assert machine.hypervisor == "Apple Inc."


@pytest.mark.parametrize(("governor", "n"), [("powersave", 1), ("performance", 0), (None, 0)])
def test_a_governor_that_keeps_the_clock_low_is_a_doubt(governor: str | None, n: int) -> None:
    machine = replace(read_machine(), governor=governor, emulator=None, hypervisor=None, kernel="6")
    assert [caveat.code for caveat in state_caveats(machine)] == ["machine.governor"] * n


def test_a_machine_that_tells_nothing_is_still_described(tmp_path: Path) -> None:
    machine = read_machine(tmp_path)
    assert machine.cpu_model
    assert machine.flags == ()
    assert machine.memory_bytes > 0
    assert (machine.n_sockets, machine.l3_cache_bytes, machine.governor, machine.cloud) == (None, None, None, None)


STATE: dict[str, object] = {
    "kernel": "9.9",
    "hypervisor": "other",
    "governor": "powersave",
    "max_frequency_hz": 1e9,
    "cloud": "elsewhere",
    "gpus": (replace(GPU, driver_version="600", power_limit_w=40.0, max_sm_clock_hz=1e9),),
}
HARDWARE: list[dict[str, object]] = [
    {"cpu_model": "x"},
    {"n_usable_cores": 99},
    {"n_threads_per_core": 8},
    {"n_numa_nodes": 8},
    {"l3_cache_bytes": 1},
    {"quota_cores": 0.5},
    {"memory_bytes": 1},
    {"memory_limit_bytes": 1 << 30},
    {"flags": ("amx_int8",)},
    {"emulator": "Rosetta"},
    {"gpus": ()},
    {"gpus": (replace(GPU, name="NVIDIA H100 80GB HBM3 MIG 1g.10gb"),)},
]


@pytest.fixture
def machine() -> Machine:
    return replace(read_machine(), gpus=(GPU,))


def test_the_fingerprint_outlives_a_reboot_an_update_and_a_change_of_state(machine: Machine) -> None:
    assert replace(machine, **STATE).fingerprint == machine.fingerprint  # type: ignore[arg-type] # fields by name
    assert replace(read_machine(), gpus=(GPU,)).fingerprint == machine.fingerprint


@pytest.mark.parametrize("change", HARDWARE, ids=lambda change: next(iter(change)))
def test_other_hardware_and_another_share_of_it_change_the_fingerprint(
    machine: Machine, change: dict[str, object]
) -> None:
    assert replace(machine, **change).fingerprint != machine.fingerprint  # type: ignore[arg-type] # one field each
