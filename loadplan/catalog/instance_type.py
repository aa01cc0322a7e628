"""The machine shapes that can be bought, and what is known of their processors."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
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
    # The same of eight-bit integers, and the instructions that reach it (AMX, AVX512-VNNI, i8mm, dotprod). None: the
    # processor has none of them, or nothing is known of it.
    peak_int8_gops_per_vcpu: float | None = None
    int8_path: str | None = None
    memory_gb_per_s_per_vcpu: float | None = None  # nominal, its share of the socket's; None: not known
    seen: date | None = None  # the day these figures were; None: nobody wrote it down


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """A machine shape."""

    provider: str
    name: str
    architecture: str  # x86_64, arm64, or `unknown` where a price list doesn't tell
    n_vcpus: int
    memory_gib: float
    accelerator: str | None
    n_accelerators: float  # may be a fraction
    cpu_family: CpuFamily | None  # None: nothing is known of its processor
    baseline_ratio: float | None  # burstable types: share of a vCPU that is always there; None: not burstable
    source: str
    accelerator_memory_gb: float | None = None  # nominal, of each; None: it has none, or the source doesn't tell
    vcpu_is: Literal["core", "thread"] | None = None  # None: not known
    # What is left for pods where the provider's Kubernetes runs on it; None: nobody looked.
    usable_vcpus: float | None = None
    usable_memory_gib: float | None = None
    # Burstable types: what a vCPU-hour above the baseline costs beside the price; None: not burstable, or not known.
    surplus_usd_per_vcpu_hour: Decimal | None = None
    seen: date | None = None  # the day these figures were; None: they are the scenario's
