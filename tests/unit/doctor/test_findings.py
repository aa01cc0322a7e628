"""Each finding of `loadplan doctor` made fine and made to fail, from facts that are made up."""

import resource
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from loadplan.catalog.price import Catalog, Offer
from loadplan.doctor import hardware, installation, system
from loadplan.doctor.finding import Finding, State, fault_of
from loadplan.doctor.installed import Part
from loadplan.errors import EnvironmentFault, InputError
from loadplan.machine import read_machine
from loadplan.providers import Provider
from tests.unit.catalog.test_rules import SEEN, offer
from tests.unit.test_machine import GPU

WHOLE = Part(extra="", missing=(), misfits=(), to_install=())


def provider(name: str, reason: str | None = None, *, index: int | None = None) -> Provider:
    return Provider(name=name, device_index=index, device_name=None, usable=reason is None, reason=reason)


def raising(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def catalog(*offers: Offer) -> Callable[[], Catalog]:
    return lambda: Catalog(version="2026-11", offers=offers, cpu_families=())


def require(finding: Finding, state: State, *said: str) -> None:
    """The state, the words in what is told, and that whatever isn't fine says what to do."""
    assert finding.state == state, finding
    assert [word for word in said if word not in f"{finding.what} {finding.fix}"] == []
    assert state == "ok" or finding.fix


@pytest.mark.parametrize(
    ("version", "state"), [((3, 11, 0), "ok"), ((3, 13, 9), "ok"), ((3, 10, 4), "doubt"), ((3, 14, 0), "doubt")]
)
def test_python(version: tuple[int, int, int], state: State) -> None:
    require(installation.python_finding(version), state, ".".join(map(str, version)))


def test_the_system() -> None:
    fault = EnvironmentFault(what="this is macOS", where="this machine", fix="take another")
    require(installation.system_finding(None, name="Linux 6.8, x86_64"), "ok", "Linux 6.8")
    require(installation.system_finding(fault, name="Darwin 25"), "lack", "macOS", "take another")


def test_loadplan_and_what_it_always_needs() -> None:
    broken = replace(WHOLE, missing=("onnx",), misfits=("numpy 1.26",), to_install=("onnx<1.24", "numpy<3,>=2.1"))
    require(installation.loadplan_finding([WHOLE]), "ok")
    require(installation.loadplan_finding([]), "doubt", "isn't installed")
    finding = installation.loadplan_finding([broken])
    require(finding, "lack", "onnx is missing", "numpy 1.26 is of a version")
    assert finding.fix == 'pip install "onnx<1.24" "numpy<3,>=2.1"'


def test_a_runtime_that_is_missing_or_cannot_be_imported_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    require(hardware.runtime_finding(), "ok", "onnxruntime")
    fault = EnvironmentFault(what="no ONNX Runtime is installed", where="here", fix="run: pip install it")
    monkeypatch.setattr(hardware, "load_runtime", raising(fault))
    require(hardware.runtime_finding(), "lack", "no ONNX Runtime", "pip install it")
    monkeypatch.setattr(hardware, "load_runtime", raising(ImportError("libgomp.so.1: cannot open\nmore")))
    require(hardware.runtime_finding(), "lack", "libgomp.so.1: cannot open", "--force-reinstall")


def test_only_the_processor_is_needed_of_the_providers() -> None:
    found = hardware.provider_findings(
        [provider("CUDA", index=0), provider("OpenVINO", "libopenvino.so is missing"), provider("Azure", "no")]
    )
    cuda, openvino = found
    assert cuda.name == "provider CUDA:0"
    require(cuda, "ok", "ran a model")
    require(openvino, "doubt", "libopenvino.so is missing")
    (cpu,) = hardware.provider_findings([provider("CPU", "no answer within 60 s")])
    require(cpu, "lack", "no answer within 60 s")


def test_a_gpu_is_fine_where_the_runtime_uses_it() -> None:
    cpu, cuda = provider("CPU"), provider("CUDA", index=0)
    (none,) = hardware.gpu_findings((), [cpu], driver=None)
    require(none, "ok", "none")
    (hidden,) = hardware.gpu_findings((), [cpu], driver="NVRM version: 580.1")
    require(hidden, "doubt", "nvidia-ml-py")
    (unused,) = hardware.gpu_findings((GPU,), [cpu, provider("CUDA", "no device", index=0)], driver="580.1")
    require(unused, "doubt", "NVIDIA L4, 24 GiB, driver 580.1", "loadplan[gpu]")
    (used,) = hardware.gpu_findings((GPU,), [cpu, cuda], driver="580.1")
    require(used, "ok", "NVIDIA L4")


def test_one_core_is_shared_by_the_server_and_what_drives_it() -> None:
    machine = replace(read_machine(), n_cores=8, n_usable_cores=2, quota_cores=None)
    require(hardware.cores_finding(machine), "ok", "2 of 8 usable")
    require(hardware.cores_finding(replace(machine, n_usable_cores=1, quota_cores=1.5)), "doubt", "a quota of 1.5")


def test_noise_is_what_neighbours_take_on_average() -> None:
    require(hardware.noise_finding([0.0] * 9 + [0.3]), "ok", "3.0%", "30.0% in the worst of 10")
    require(hardware.noise_finding([0.2] * 10), "doubt", "20.0%")


@pytest.mark.parametrize(
    ("turns", "state", "said"),
    [
        ([2.4, 2.3, 2.4, 2.5, 9.0], "ok", "2.4 to 2.5"),  # a neighbour held the ball once
        ([4.1, 4.2, 4.1, 4.0, 4.1], "ok", "4.1"),  # far, and always so
        ([2.3, 4.1, 2.3, 4.2, 2.4], "doubt", "2.3 to 4.1"),
        ([None] * 5, "ok", "unknown"),
        ([2.3, 4.1], "ok", "unknown"),
    ],
    ids=["near", "far", "moved", "one core", "too few answers"],
)
def test_cores_that_are_moved_about_are_a_doubt(turns: list[float | None], state: State, said: str) -> None:
    require(hardware.distance_finding(turns), state, said)


def test_an_emulator_a_virtual_machine_on_a_desk_and_a_slow_clock_are_doubts() -> None:
    machine = replace(read_machine(), emulator=None, governor="performance", hypervisor="Amazon EC2", kernel="6")
    assert [(each.name, each.state) for each in hardware.state_findings(machine)] == [
        ("emulation", "ok"),
        ("virtual machine", "ok"),
        ("clock", "ok"),
    ]
    bad = replace(machine, emulator="Rosetta", hypervisor="innotek GmbH", governor="powersave")
    emulation, virtual, clock = hardware.state_findings(bad)
    require(emulation, "doubt", "Rosetta")
    require(virtual, "doubt", "VirtualBox", "--on TYPE")
    require(clock, "doubt", "powersave", "cpupower")


def test_ports() -> None:
    require(system.ports_finding(lambda: None, "32768\t60999"), "ok", "28,232 ports")
    require(system.ports_finding(lambda: None, None), "ok")
    require(system.ports_finding(lambda: None, "60000 60999"), "doubt", "1,000 ports", "sysctl")
    unreachable = OSError(99, "Cannot assign requested address")
    require(system.ports_finding(raising(unreachable), None), "lack", "Cannot assign requested address")


@pytest.mark.parametrize(
    ("n_most", "state"), [(resource.RLIM_INFINITY, "ok"), (1 << 20, "ok"), (1024, "doubt"), (100, "lack")]
)
def test_open_files(n_most: int, state: State) -> None:
    require(system.files_finding(n_most), state)


def test_the_age_of_lasting_prices_counts_and_that_of_spot_does_not() -> None:
    prices = catalog(offer("a.x", "1"), offer("a.x", "0.5", purchase="spot"))
    require(system.catalog_finding(prices, today=SEEN + timedelta(days=90)), "ok", "2026-11, 1 prices")
    late = system.catalog_finding(prices, today=SEEN + timedelta(days=91))
    require(late, "doubt", "1 older", "seen 91 days ago", "loadplan catalog update")


def test_a_catalogue_that_cannot_be_read_lacks() -> None:
    def load() -> Catalog:
        raise InputError(what="price_per_hour: 'x' is no number", where="mine.csv:3", fix="correct it")

    require(system.catalog_finding(load, today=SEEN), "lack", "'x' is no number", "correct it")


def test_compiled_simulators_must_be_kept_somewhere(tmp_path: Path) -> None:
    def nowhere() -> Path:
        raise RuntimeError("cannot cache function 'rest': no locator available")

    require(system.cache_finding(lambda: tmp_path), "ok")
    require(system.cache_finding(lambda: tmp_path / "gone"), "doubt", "No such file", "NUMBA_CACHE_DIR")
    require(system.cache_finding(nowhere), "lack", "NUMBA_CACHE_DIR")


def test_extras_that_nobody_installed_are_no_doubt_and_one_that_cannot_work_is() -> None:
    absent = replace(WHOLE, extra="torch", missing=("torch",), to_install=("torch<3",))
    part = replace(WHOLE, extra="boosting", missing=("lightgbm",), misfits=("protobuf 7.35",), to_install=("x",))
    finding = installation.extras_finding([WHOLE, replace(WHOLE, extra="grpc"), absent, part])
    require(finding, "ok", "grpc;", "adds torch, boosting")
    unfit = replace(WHOLE, extra="sklearn", misfits=("protobuf 7.35",), to_install=("protobuf<7.34",))
    require(installation.extras_finding([unfit]), "doubt", "protobuf 7.35", 'pip install "protobuf<7.34"')


def test_a_lack_is_a_fault_of_the_environment_and_a_doubt_is_none() -> None:
    fine, doubt = Finding(name="a", state="ok", what="x"), Finding(name="b", state="doubt", what="x", fix="y")
    assert fault_of([fine, doubt]) is None
    fault = fault_of([fine, doubt, Finding(name="c", state="lack", what="x", fix="mend it")])
    assert fault is not None
    assert (fault.exit_code, fault.fix) == (4, "mend it")
    assert "c" in fault.what
