"""Which processor of the catalogue the machine at hand has, so that other hardware can be set against it.

The decision a reader would question: virtual machines hide the processor's name but not its family and model number,
so the generation is told by these; of several families of one generation the fastest stands for this machine, which
makes everything else look slower, never faster, than it is.
"""

import re

from loadplan.catalog.instance_type import CpuFamily
from loadplan.catalog.price import Catalog
from loadplan.machine import Machine

_FAMILY_AND_MODEL = re.compile(r"\(family (\d+), model (\d+)\)")

# CPUID family, first and last model, generation. AMD (23 to 26): Linux arch/x86/kernel/cpu/amd.c, bsp_init_amd;
# Intel (6): Linux arch/x86/include/asm/intel-family.h. Model 85 is Skylake or Cascade Lake, told by the stepping alone.
_GENERATIONS = (
    (23, 0x30, 0x4F, "Zen 2"),
    (25, 0x00, 0x0F, "Zen 3"),
    (25, 0x10, 0x1F, "Zen 4"),
    (25, 0x20, 0x5F, "Zen 3"),
    (25, 0x60, 0xAF, "Zen 4"),
    (26, 0x00, 0x2F, "Zen 5"),
    (26, 0x40, 0x4F, "Zen 5"),
    (26, 0x60, 0x7F, "Zen 5"),
    (6, 106, 106, "Ice Lake"),
    (6, 143, 143, "Sapphire Rapids"),
    (6, 173, 173, "Granite Rapids"),
    (6, 207, 207, "Emerald Rapids"),
)


def find_cpu_family(machine: Machine, catalog: Catalog) -> CpuFamily | None:
    """The family of the catalogue that this machine belongs to, or None where nothing tells.

    The instance type decides where the firmware names it, then the generation of the processor.
    """
    own_type = next((offer.instance_type for offer in catalog.offers if offer.type_name == machine.instance_type), None)
    if own_type is not None and own_type.cpu_family is not None:
        return own_type.cpu_family
    generation = find_generation(machine.cpu_model)
    if generation is None:
        return None
    families = (family for family in catalog.cpu_families if generation in family.cpu_model)
    return max(families, key=lambda family: (core_peak_gflops(family), family.clock_ghz, family.name), default=None)


def find_generation(cpu_model: str) -> str | None:
    """The generation, such as `Zen 5`, by the family and model number in a machine's CPU model."""
    match = _FAMILY_AND_MODEL.search(cpu_model)
    if match is None:
        return None
    family, model = int(match[1]), int(match[2])
    return next((name for known, low, high, name in _GENERATIONS if family == known and low <= model <= high), None)


def core_peak_gflops(family: CpuFamily) -> float:
    """Peak of a whole core."""
    return of_core(family.peak_fp32_gflops_per_vcpu, family)


def of_core(per_vcpu: float, family: CpuFamily) -> float:
    """A whole core's share of what each vCPU has: a vCPU that is a thread has half of its core."""
    return per_vcpu * (2.0 if family.vcpu_is == "thread" else 1.0)
