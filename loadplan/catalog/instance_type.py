"""The machine shapes that can be bought, and what is known of their processors."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuFamily:
    """What is known of the processor behind a family of instance types; the ground of every extrapolation."""

    name: str  # such as `c7i`
    provider: str
    cpu_model: str
    architecture: str  # x86_64 or arm64
    vcpu_is: Literal["core", "thread"]
    clock_ghz: float
    peak_fp32_gflops_per_vcpu: float  # derived: clock x operations a cycle x share of the core
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """A machine shape."""

    provider: str
    name: str
    architecture: str
    n_vcpus: int
    memory_gib: float
    accelerator: str | None
    n_accelerators: float  # may be a fraction
    cpu_family: CpuFamily | None  # None: nothing is known of its processor
    baseline_ratio: float | None  # burstable types: share of a vCPU that is always there; None: not burstable
    source: str
    accelerator_memory_gb: float | None = None  # nominal, of each; None: it has none
