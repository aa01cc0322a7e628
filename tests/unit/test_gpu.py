"""GPUs as the management library tells them: a fake one with the names of the real one, and the real one alone."""

import sys
from types import SimpleNamespace

import pytest

from loadplan.gpu import Gpu, GpuState, GpuUse, bus_index, gpu_meter, read_gpus, watched_gpus


class NVMLError(Exception):
    """What the fake raises where the real one would."""


class FakeDevice:
    def __init__(
        self,
        name: str,
        n_bytes: int,
        *,
        slices: "dict[int, FakeDevice] | None" = None,
        running: dict[int, int | None] | None = None,
        busy_percent: int | None = None,
    ) -> None:
        self.name, self.n_bytes, self.slices = name, n_bytes, slices
        self.running, self.busy_percent = running or {}, busy_percent  # bytes by process; None: not told


class FakeNvml(SimpleNamespace):
    """The functions that loadplan calls, over GPUs that the test names; None stands for one that fell off the bus."""

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM = 1, 2
    NVML_DEVICE_MIG_ENABLE = 1

    def __init__(self, *devices: FakeDevice | None, has_driver: bool = True, tells_power: bool = True) -> None:
        super().__init__()
        self._devices, self._has_driver, self._tells_power = devices, has_driver, tells_power
        self.n_open = 0

    def nvmlInit(self) -> None:
        if not self._has_driver:
            raise NVMLError("NVML Shared Library Not Found")
        self.n_open += 1

    def nvmlShutdown(self) -> None:
        self.n_open -= 1

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.95.05"

    def nvmlDeviceGetCount(self) -> int:
        return len(self._devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeDevice:
        device = self._devices[index]
        if device is None:
            raise NVMLError("GPU is lost")
        return device

    def nvmlDeviceGetName(self, device: FakeDevice) -> str:
        return device.name

    def nvmlDeviceGetMemoryInfo(self, device: FakeDevice) -> SimpleNamespace:
        return SimpleNamespace(total=device.n_bytes, free=1, used=2)

    def nvmlDeviceGetPowerUsage(self, device: FakeDevice) -> int:
        return 350_500

    def nvmlDeviceGetTotalEnergyConsumption(self, device: FakeDevice) -> int:
        if not self._tells_power:
            raise NVMLError("Not Supported")
        return 1_234_500

    def nvmlDeviceGetMaxClockInfo(self, device: FakeDevice, kind: int) -> int:
        return {self.NVML_CLOCK_SM: 1980, self.NVML_CLOCK_MEM: 2619}[kind]

    def nvmlDeviceGetEnforcedPowerLimit(self, device: FakeDevice) -> int:
        if not self._tells_power:
            raise NVMLError("Not Supported")
        return 700_000

    def nvmlDeviceGetMigMode(self, device: FakeDevice) -> list[int]:
        if device.slices is None:
            raise NVMLError("Not Supported")
        return [int(bool(device.slices)), 0]

    def nvmlDeviceGetComputeRunningProcesses(self, device: FakeDevice) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=n_bytes) for pid, n_bytes in device.running.items()]

    def nvmlDeviceGetUtilizationRates(self, device: FakeDevice) -> SimpleNamespace:
        if device.busy_percent is None:  # as a slice of a GPU does
            raise NVMLError("Not Supported")
        return SimpleNamespace(gpu=device.busy_percent, memory=0)

    def nvmlDeviceGetMaxMigDeviceCount(self, device: FakeDevice) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: FakeDevice, slot: int) -> FakeDevice:
        if device.slices is None or slot not in device.slices:
            raise NVMLError("Not Found")
        return device.slices[slot]


def read_with(monkeypatch: pytest.MonkeyPatch, nvml: FakeNvml) -> tuple[Gpu, ...]:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return read_gpus()


def test_a_gpu_is_told_in_units_without_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml(FakeDevice("NVIDIA H100 80GB HBM3", 80 << 30, slices={}))
    assert read_with(monkeypatch, nvml) == (
        Gpu(
            index=0,
            name="NVIDIA H100 80GB HBM3",
            driver_version="580.95.05",
            memory_bytes=80 << 30,
            max_sm_clock_hz=1.98e9,
            max_memory_clock_hz=2.619e9,
            power_limit_w=700.0,
            is_mig_enabled=False,
        ),
    )
    assert nvml.n_open == 0


def test_every_gpu_counts_and_a_lost_one_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_with(monkeypatch, FakeNvml(FakeDevice("a", 1 << 30), None, FakeDevice("b", 2 << 30)))
    assert [(gpu.index, gpu.name) for gpu in found] == [(0, "a"), (2, "b")]


def test_each_slice_of_a_gpu_in_mig_mode_is_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    slices = {0: FakeDevice("H100 MIG 1g.10gb", 10 << 30), 3: FakeDevice("H100 MIG 2g.20gb", 20 << 30)}
    found = read_with(monkeypatch, FakeNvml(FakeDevice("H100", 80 << 30, slices=slices), FakeDevice("A10", 1 << 30)))
    assert [(gpu.index, gpu.name, gpu.memory_bytes) for gpu in found] == [
        (0, "H100 MIG 1g.10gb", 10 << 30),
        (0, "H100 MIG 2g.20gb", 20 << 30),
        (1, "A10", 1 << 30),
    ]
    assert [gpu.is_mig_enabled for gpu in found] == [True, True, None]


def test_what_a_gpu_does_not_tell_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    (gpu,) = read_with(monkeypatch, FakeNvml(FakeDevice("GeForce", 1 << 30), tells_power=False))
    assert (gpu.power_limit_w, gpu.max_sm_clock_hz) == (None, 1.98e9)


@pytest.mark.parametrize(
    ("devices", "use"),
    [
        (
            [
                FakeDevice("a", 1 << 30, running={7: 100, 9: 5000}, busy_percent=75),
                FakeDevice("b", 1 << 30, running={8: 20}, busy_percent=25),
                FakeDevice("c", 1 << 30, running={9: 1}, busy_percent=100),
            ],
            GpuUse(busy_ratio=0.5, memory_bytes=120),
        ),
        ([FakeDevice("a", 1 << 30, running={7: 100})], GpuUse(busy_ratio=None, memory_bytes=100)),
        ([FakeDevice("a", 1 << 30, running={7: None}, busy_percent=5)], GpuUse(busy_ratio=0.05, memory_bytes=None)),
        ([FakeDevice("a", 1 << 30, running={9: 100}, busy_percent=50), None], None),
    ],
    ids=["only GPUs and memory of its own", "busy not told", "memory not told", "it runs on none"],
)
def test_what_processes_make_of_their_gpus(
    devices: list[FakeDevice | None], use: GpuUse | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml = FakeNvml(*devices)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    with watched_gpus({7, 8}) as ask:
        assert ask() == use
        assert nvml.n_open == 1
    assert nvml.n_open == 0


def test_without_a_driver_nothing_is_said_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(has_driver=False))
    with watched_gpus({7}) as ask:
        assert ask() is None


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_with(monkeypatch, FakeNvml(has_driver=False)) == ()


def test_without_the_library_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert read_gpus() == ()


def test_a_meter_tells_the_state_of_one_gpu_in_units_without_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml(FakeDevice("a", 1 << 30), FakeDevice("b", 1 << 30, busy_percent=75))
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    with gpu_meter(1) as read:
        assert read() == GpuState(used_memory_bytes=2, busy_ratio=0.75, power_w=350.5, energy_j=1234.5)
        assert nvml.n_open == 1
    assert nvml.n_open == 0


@pytest.mark.parametrize(
    "nvml",
    [None, FakeNvml(has_driver=False), FakeNvml(None)],
    ids=["no library", "no driver", "the GPU fell off the bus"],
)
def test_a_meter_of_no_gpu_knows_nothing(monkeypatch: pytest.MonkeyPatch, nvml: FakeNvml | None) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    with gpu_meter(0) as read:
        assert read() == GpuState(used_memory_bytes=None, busy_ratio=None, power_w=None, energy_j=None)


def test_what_a_gpu_does_not_count_is_none_beside_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(FakeDevice("T4", 1 << 30), tells_power=False))
    with gpu_meter(0) as read:
        assert (read().energy_j, read().power_w) == (None, 350.5)


def test_which_gpu_a_device_of_cuda_is_is_known_where_nothing_renumbers_them(monkeypatch: pytest.MonkeyPatch) -> None:
    one = read_with(monkeypatch, FakeNvml(FakeDevice("a", 1)))
    two = read_with(monkeypatch, FakeNvml(FakeDevice("a", 1), FakeDevice("a", 1)))
    cut = read_with(monkeypatch, FakeNvml(FakeDevice("a", 8, slices={0: FakeDevice("a MIG", 1)})))
    in_order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert bus_index(None, one, {}) == 0
    assert bus_index(1, two, in_order) == 1
    assert bus_index(None, two, in_order) == 0
    assert bus_index(1, two, {}) is None
    assert bus_index(1, two, {**in_order, "CUDA_VISIBLE_DEVICES": "1,0"}) is None
    assert bus_index(2, two, in_order) is None
    assert bus_index(0, cut, in_order) is None  # figures of the whole are not those of a slice
    assert bus_index(0, (), in_order) is None


def test_the_fake_has_the_names_of_the_real_library() -> None:
    real = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    names = [name for name in dir(FakeNvml) if name.startswith(("nvml", "NVML"))]
    assert [name for name in names if not hasattr(real, name)] == []
    assert real.NVML_DEVICE_MIG_ENABLE == FakeNvml.NVML_DEVICE_MIG_ENABLE
    assert (real.NVML_CLOCK_SM, real.NVML_CLOCK_MEM) == (FakeNvml.NVML_CLOCK_SM, FakeNvml.NVML_CLOCK_MEM)
    assert isinstance(read_gpus(), tuple)  # on a machine without a driver too
