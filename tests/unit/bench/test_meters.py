"""Counters of systems that nobody here has: energy of processors that wrap around, GPUs, memory that isn't told."""

import mmap
from pathlib import Path

import numpy as np
import pytest

from loadplan.bench.meters import Mark, Meters
from loadplan.gpu import GpuState
from loadplan.sysfs import joules_between, read_package_energy

MIB = 1 << 20


def system(root: Path, *, resident_kib: int = 1024, peak_kib: int = 2048, can_forget: bool = True) -> Path:
    own = root / "proc" / "self"
    own.mkdir(parents=True, exist_ok=True)
    (own / "status").write_text(f"Name:\tpython\nVmHWM:\t {peak_kib} kB\nVmRSS:\t {resident_kib} kB\nThreads:\t1\n")
    if can_forget:
        (own / "clear_refs").touch()
    return root


def domain(root: Path, number: str, name: str, microjoules: int | None, *, wraps_at: int = 1_000_000) -> None:
    folder = root / "sys" / "class" / "powercap" / f"intel-rapl:{number}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{wraps_at}\n")
    if microjoules is not None:
        (folder / "energy_uj").write_text(f"{microjoules}\n")


def mark(meters: Meters, *, wall_s: float = 0.0, cpu_s: float = 0.0) -> Mark:
    told = meters.mark()
    return Mark(wall_s=wall_s, cpu_s=cpu_s, packages=told.packages, gpu=told.gpu)


def test_energy_of_an_inference_is_that_of_all_packages_over_the_calls(tmp_path: Path) -> None:
    root = system(tmp_path)
    for number, name, used in (("0", "package-0", 100_000), ("1", "package-1", 900_000), ("0:0", "core", 7)):
        domain(root, number, name, used)
    domain(root, "2", "psys", 5)
    meters = Meters(root=root)
    before = mark(meters)
    domain(root, "0", "package-0", 400_000)  # 0.3 J more
    domain(root, "1", "package-1", 100_000)  # 0.2 J more: it began at 0 again at 1 J
    domain(root, "0:0", "core", 200_007)  # a part of package 0
    spent = meters.used(before, mark(meters, wall_s=2.0, cpu_s=3.0), n_calls=10)
    assert spent.package_energy_j == pytest.approx(0.05)
    assert spent.busy_cores == 1.5
    assert spent.gpu is None
    assert meters.stretch_s == 0.1


def test_counters_that_may_not_be_read_are_none(tmp_path: Path) -> None:
    domain(tmp_path, "0", "package-0", None)
    assert read_package_energy(tmp_path) == ()
    assert joules_between((), ()) is None
    meters = Meters(root=system(tmp_path))
    assert meters.used(mark(meters), mark(meters, wall_s=1.0), n_calls=1).package_energy_j is None
    assert meters.stretch_s == 0.02


def test_a_package_that_went_missing_in_between_gives_no_energy(tmp_path: Path) -> None:
    domain(tmp_path, "0", "package-0", 1)
    before = read_package_energy(tmp_path)
    domain(tmp_path, "1", "package-1", 1)
    assert joules_between(before, read_package_energy(tmp_path)) is None


def test_a_gpu_tells_memory_beyond_what_was_there_and_energy_over_the_calls(tmp_path: Path) -> None:
    def state(used_mib: int, energy_j: float | None) -> GpuState:
        return GpuState(used_memory_bytes=used_mib * MIB, busy_ratio=0.8, power_w=200.0, energy_j=energy_j)

    states = iter([state(500, 1000.0), state(900, 1000.0), state(1700, 1090.0), state(1700, None)])
    meters = Meters(gpu=lambda: next(states), root=system(tmp_path))
    before = mark(meters)
    after = mark(meters, wall_s=1.0)
    used = meters.used(before, after, n_calls=45).gpu
    assert used is not None
    assert (used.memory_bytes, used.busy_ratio, used.power_w, used.energy_j) == (1200 * MIB, 0.8, 200.0, 2.0)
    silent = meters.used(before, mark(meters, wall_s=1.0), n_calls=45).gpu
    assert silent is not None
    assert silent.energy_j is None
    assert meters.stretch_s == 1.0


def test_memory_is_the_peak_since_the_beginning_beyond_what_was_resident(tmp_path: Path) -> None:
    meters = Meters(root=system(tmp_path, resident_kib=10 * 1024, peak_kib=10 * 1024))
    system(tmp_path, resident_kib=12 * 1024, peak_kib=30 * 1024)
    assert meters.base_bytes == 10 * MIB
    assert meters.peak_memory_bytes() == 20 * MIB


def test_where_an_older_peak_hides_that_of_the_model_it_is_not_told(tmp_path: Path) -> None:
    root = system(tmp_path, resident_kib=1024, peak_kib=9 * 1024, can_forget=False)
    (root / "proc" / "self" / "clear_refs").mkdir()  # can't be written
    meters = Meters(root=root)
    assert meters.peak_memory_bytes() is None
    system(tmp_path, resident_kib=1024, peak_kib=10 * 1024, can_forget=False)
    assert meters.peak_memory_bytes() == 9 * MIB


def test_this_process_has_the_peak_of_what_it_held_and_gave_back() -> None:
    meters = Meters()
    # Not from the heap, whose free end may already be this large: then nothing grows.
    held = mmap.mmap(-1, 50 * MIB)
    np.frombuffer(held, dtype=np.uint8)[:] = 1
    held.close()
    peak = meters.peak_memory_bytes()
    assert peak is not None
    assert 49 * MIB < peak < 80 * MIB
