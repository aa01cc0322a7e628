"""What is known beside machines and their prices: accelerators, power, the grid, and services paid by the request.

Watts, kilograms of CO2-equivalent per kilowatt-hour, USD. The decision a reader would question: figures of energy keep
whether they were published or derived, since half of the power figures of GPUs are a ratio times the nominal power.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """A kind of accelerator as its data sheet tells it; None: the sheet doesn't tell."""

    name: str  # as the instance types name it, such as `L4`
    memory_gb: float  # nominal
    bandwidth_gb_per_s: float | None
    fp32_tflops: float | None
    fp16_dense_tflops: float | None
    int8_dense_tops: float | None
    tdp_w: float | None  # nominal power
    source: str
    seen: date


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerRange:
    """What a device draws idle and fully used; between them power is taken to grow with utilisation in a line."""

    device: str  # such as `NVIDIA L4`, `Cascade Lake`
    unit: Literal["gpu", "vcpu"]  # one of what draws it
    min_w: float
    max_w: float
    basis: Literal["published", "derived"]
    source: str
    seen: date


@dataclass(frozen=True, slots=True, kw_only=True)
class GridIntensity:
    """What a kilowatt-hour emits where a region stands."""

    provider: str
    region: str
    grid: str
    kg_co2e_per_kwh: float
    method: str
    source: str
    seen: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Facility:
    """A provider's data centres: power drawn from the grid over power that reaches the machines."""

    provider: str
    pue: float  # at least 1
    source: str
    seen: date


@dataclass(frozen=True, slots=True, kw_only=True)
class PayPerRequest:
    """A service that is paid by the request and by memory over time, without a machine of one's own."""

    provider: str
    service: str
    architecture: str
    usd_per_million_requests: Decimal
    usd_per_gb_second: Decimal
    memory_mb_per_vcpu: float  # memory that one whole vCPU comes with
    billing_step_s: float  # durations are rounded up to it
    source: str
    seen: date


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """All of them, as one snapshot holds them."""

    accelerators: tuple[Accelerator, ...] = ()
    power: tuple[PowerRange, ...] = ()
    grids: tuple[GridIntensity, ...] = ()
    facilities: tuple[Facility, ...] = ()
    services: tuple[PayPerRequest, ...] = ()


NO_REFERENCES = References()
