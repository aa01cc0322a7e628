"""What figures are measured on here: runtime, providers, GPUs, cores, and what disturbs them."""

from collections.abc import Iterator, Sequence

from loadplan.bench.summary import CELL_LOST_ALLOWED_RATIO, FAR_RATIO
from loadplan.doctor.finding import Finding
from loadplan.errors import EnvironmentFault, first_line
from loadplan.gpu import Gpu
from loadplan.inference import load_runtime, runtime_version
from loadplan.machine import Machine, state_caveats
from loadplan.providers import Provider

# ONNX Runtime lists it everywhere; it sends rows to a service of a cloud and runs no model.
_NO_HARDWARE = "Azure"
_ON_NVIDIA = frozenset({"CUDA", "TensorRT"})
_REINSTALL = 'pip install --force-reinstall "loadplan[cpu]"'


def runtime_finding() -> Finding:
    """Whether one ONNX Runtime is there, and whole."""
    try:
        load_runtime()
    except EnvironmentFault as fault:
        return Finding(name="runtime", state="lack", what=fault.what, fix=fault.fix)
    except ImportError as error:  # a library of the system that it is linked with
        what = f"{runtime_version()} can't be imported: {first_line(error)}"
        return Finding(name="runtime", state="lack", what=what, fix=_REINSTALL)
    return Finding(name="runtime", state="ok", what=runtime_version())


def provider_findings(providers: Sequence[Provider]) -> Iterator[Finding]:
    """One for each provider and device: whether it ran a model of one node, not whether it is listed."""
    for provider in providers:
        if provider.name == _NO_HARDWARE:
            continue
        index = "" if provider.device_index is None else f":{provider.device_index}"
        name = f"provider {provider.name}{index}"
        device = "" if provider.device_name is None else f" ({provider.device_name})"
        if provider.usable:
            yield Finding(name=name, state="ok", what=f"ran a model and answered rightly{device}")
            continue
        is_needed = provider.name == "CPU"
        yield Finding(
            name=name,
            state="lack" if is_needed else "doubt",
            what=f"is listed and can't run a model{device}: {provider.reason}",
            fix=_REINSTALL
            if is_needed
            else "install the driver and the libraries that it names, or ask for others in bench.providers",
        )


def gpu_findings(gpus: Sequence[Gpu], providers: Sequence[Provider], *, driver: str | None) -> Iterator[Finding]:
    """One for each GPU, with whether the runtime can use any.

    Args:
        gpus: what NVIDIA's library tells.
        providers: what runs a model here.
        driver: what the kernel's driver says of itself; None: none is loaded.
    """
    if not gpus:
        yield _no_gpu(is_driven=driver is not None)
        return
    is_used = any(provider.usable and provider.name in _ON_NVIDIA for provider in providers)
    for gpu in gpus:
        memory = "" if gpu.memory_bytes is None else f", {gpu.memory_bytes / (1 << 30):.0f} GiB"
        yield Finding(
            name=f"gpu {gpu.index}",
            state="ok" if is_used else "doubt",
            what=f"{gpu.name}{memory}, driver {gpu.driver_version or 'unknown'}"
            + ("" if is_used else "; ONNX Runtime doesn't use it"),
            fix=None if is_used else 'pip uninstall -y onnxruntime && pip install "loadplan[gpu]"',
        )


def _no_gpu(*, is_driven: bool) -> Finding:
    if not is_driven:
        return Finding(name="gpu", state="ok", what="none: plans are made for processors")
    return Finding(
        name="gpu",
        state="doubt",
        what="an NVIDIA driver is loaded, and its library tells of no GPU",
        fix="pip install nvidia-ml-py; in a container: docker run --gpus all",
    )


def cores_finding(machine: Machine) -> Finding:
    """How many cores this process may use; a server and what drives it need one each."""
    quota = "" if machine.quota_cores is None else f", a quota of {machine.quota_cores:g}"
    what = f"{machine.n_usable_cores} of {machine.n_cores} usable{quota}"
    if machine.n_usable_cores > 1:
        return Finding(name="cores", state="ok", what=what)
    return Finding(
        name="cores",
        state="doubt",
        what=f"{what}; the load generator shares it with the server, so latencies come out too high",
        fix="allow this process two cores or more: docker run --cpus 2, or taskset -c 0,1",
    )


def noise_finding(lost_ratios: Sequence[float]) -> Finding:
    """What neighbours took of a spinning core, stretch by stretch, each a share of its time."""
    mean, most = sum(lost_ratios) / len(lost_ratios), max(lost_ratios)
    what = f"neighbours took {mean:.1%} of a core's time, {most:.1%} in the worst of {len(lost_ratios)} stretches"
    if mean <= CELL_LOST_ALLOWED_RATIO:
        return Finding(name="noise", state="ok", what=what)
    return Finding(
        name="noise",
        state="doubt",
        what=f"{what}; above {CELL_LOST_ALLOWED_RATIO:.0%} benchmarks are called noisy and live runs may be invalid",
        fix="stop what else runs here, or measure on a machine whose cores are nobody else's",
    )


def distance_finding(turns: Sequence[float | None]) -> Finding:
    """How far apart the cores are, by several games of ball (`bench.between_cores`); the outermost two don't count."""
    told = sorted(each for each in turns if each is not None)[1:-1]
    if not told:
        return Finding(
            name="distance", state="ok", what="unknown: there is one core, or they did not answer each other"
        )
    what = f"a word to the farthest core and back takes {told[0]:.1f} to {told[-1]:.1f} turns of a loop"
    if told[-1] <= FAR_RATIO * told[0]:
        return Finding(name="distance", state="ok", what=what)
    return Finding(
        name="distance",
        state="doubt",
        what=f"{what}: the host moves the cores about, and sessions of several threads with them",
        fix="measure on a machine whose cores stay where they are, or with one thread a session",
    )


def state_findings(machine: Machine) -> Iterator[Finding]:
    """Whether an emulator, a desk's virtual machine or the choice of the clock spoils figures."""
    doubts = {caveat.code: caveat for caveat in state_caveats(machine)}
    virtual = "none, as far as it shows" if machine.hypervisor is None else f"by {machine.hypervisor}"
    fine = {
        "machine.emulated": ("emulation", "none, as far as it shows"),
        "machine.desk_vm": ("virtual machine", virtual),
        "machine.governor": ("clock", machine.governor or "the system doesn't tell how it is chosen"),
    }
    for code, (name, what) in fine.items():
        doubt = doubts.get(code)
        if doubt is None:
            yield Finding(name=name, state="ok", what=what)
        else:
            yield Finding(name=name, state="doubt", what=doubt.what, fix=doubt.fix)
