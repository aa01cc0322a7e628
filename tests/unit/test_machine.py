"""Machines described from fake `/proc` and `/sys` trees."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from loadplan.machine import read_machine, read_quota_cores, usable_cores

ALLOWED = sorted(os.sched_getaffinity(0))
CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
flags\t\t: fpu sse avx2 fma avx512f avx512_vnni hypervisor

processor\t: 1
model name\t: another
"""


def fake_root(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


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
    assert read_quota_cores(fake_root(tmp_path, files)) == cores


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


@pytest.mark.parametrize(
    ("vendor", "product", "instance_type"),
    [
        ("Amazon EC2", "c7g.large", "aws/c7g.large"),
        ("QEMU", "Standard PC", None),
        (None, None, None),
    ],
    ids=["EC2", "another hypervisor", "no DMI"],
)
def test_the_instance_type_is_told_only_where_the_firmware_does(
    tmp_path: Path, vendor: str | None, product: str | None, instance_type: str | None
) -> None:
    dmi = {"sys_vendor": vendor, "product_name": product}
    files = {f"sys/class/dmi/id/{name}": f"{text}\n" for name, text in dmi.items() if text is not None}
    machine = read_machine(fake_root(tmp_path, {"proc/cpuinfo": CPUINFO, **files}))
    assert machine.instance_type == instance_type
    assert machine.hypervisor == (vendor or "unnamed")


def test_bare_metal_has_no_hypervisor(tmp_path: Path) -> None:
    root = fake_root(tmp_path, {"proc/cpuinfo": CPUINFO.replace(" hypervisor", "")})
    assert read_machine(root).hypervisor is None


def test_a_machine_that_tells_nothing_is_still_described(tmp_path: Path) -> None:
    machine = read_machine(tmp_path)
    assert machine.cpu_model
    assert machine.flags == ()
    assert machine.memory_bytes > 0


def test_the_fingerprint_outlives_a_reboot_and_a_new_kernel() -> None:
    machine = read_machine()
    assert replace(machine, kernel="9.9", hypervisor="other").fingerprint == machine.fingerprint
    assert read_machine().fingerprint == machine.fingerprint


@pytest.mark.parametrize(
    "change",
    [{"cpu_model": "x"}, {"n_usable_cores": 99}, {"quota_cores": 0.5}, {"memory_bytes": 1}, {"flags": ("amx_int8",)}],
    ids=lambda change: next(iter(change)),
)
def test_whatever_changes_the_speed_changes_the_fingerprint(change: dict[str, object]) -> None:
    machine = read_machine()
    assert replace(machine, **change).fingerprint != machine.fingerprint  # type: ignore[arg-type] # one field each
