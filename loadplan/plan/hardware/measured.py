"""The machines on which laws were fitted, and which of them an offer is planned from.

The decision a reader would question: an offer whose own type was never measured is taken from a measured machine of
its processor family where there is one, else from the machine at hand, never from a profile of some other processor:
what that would add is another guess of the same width. An offer with a GPU is taken from a machine that was measured
with the same GPU, or from none: no figure of one GPU, and none of a processor, says anything of another GPU.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from loadplan.catalog.instance_type import CpuFamily
from loadplan.catalog.price import Catalog, Offer
from loadplan.caveat import Caveat
from loadplan.fit.records import CapacityFit
from loadplan.plan.hardware.accelerator import gpu_of, is_same_gpu
from loadplan.plan.hardware.microarchitecture import find_cpu_family, find_generation
from loadplan.plan.records.fleet import NotOffered


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredType:
    """What was fitted on a rented machine of one instance type."""

    type_name: str | None  # `provider/type`; None: it is not known, but the machine has a GPU that tells which it is
    fit: CapacityFit  # its capacities are those of the scenario that is planned for

    @property
    def label(self) -> str:
        """What people know it by: its type, else its GPU."""
        return self.type_name or _gpu_name(self.fit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A machine whose laws a plan rests on, and its place in the catalogue."""

    fit: CapacityFit
    family: CpuFamily | None  # None: nothing tells which processor of the catalogue it has
    type_name: str | None  # None: it is of no known type
    is_here: bool  # whether it is the machine of the run itself

    @property
    def label(self) -> str:
        """What people know it by: its type, else its GPU."""
        return self.type_name or _gpu_name(self.fit)


def find_grounds(fit: CapacityFit, measured: Sequence[MeasuredType], catalog: Catalog) -> tuple[Ground, ...]:
    """The machines of the profiles by name, then the machine at hand."""
    families = {offer.type_name: offer.instance_type.cpu_family for offer in catalog.offers}
    elsewhere = tuple(
        Ground(
            fit=one.fit,
            family=find_cpu_family(one.fit.machine, catalog) if one.type_name is None else families.get(one.type_name),
            type_name=one.type_name,
            is_here=False,
        )
        for one in sorted(measured, key=lambda one: one.label)
    )
    here = Ground(
        fit=fit, family=find_cpu_family(fit.machine, catalog), type_name=fit.machine.instance_type, is_here=True
    )
    return (*elsewhere, here)


def nearest_ground(offer: Offer, grounds: Sequence[Ground]) -> Ground | None:
    """The machine of the offer's own type, else one of a known type of its processor family, else the one at hand.

    Of an offer with a GPU: that of its own type, else one that was measured with such a GPU, else none.
    """
    own = next((ground for ground in grounds if ground.type_name == offer.type_name), None)
    if own is not None:
        return own
    if offer.instance_type.accelerator is not None:
        return next((ground for ground in grounds if _is_measured_on(offer, ground)), None)
    family = offer.instance_type.cpu_family
    known = (ground for ground in grounds if ground.type_name is not None and ground.family is not None)
    return next((ground for ground in known if ground.family == family), grounds[-1])


def has_gpu_settings(ground: Ground) -> bool:
    """Whether anything was measured on a GPU there."""
    return any(not one.setting.execution.is_on_cpu for one in ground.fit.capacities)


def unused_types(measured: Iterable[MeasuredType], offers: Iterable[Offer]) -> tuple[NotOffered, ...]:
    """The measured types that the scenario allows no offer of."""
    allowed = {offer.type_name for offer in offers}
    names = sorted(one.type_name for one in measured if one.type_name is not None and one.type_name not in allowed)
    return tuple(
        NotOffered(
            offer_name="/*/".join(name.split("/", 1)),
            reason="it was measured, but has no price in what the scenario allows; see --price",
        )
        for name in names
    )


def ground_caveats(grounds: Sequence[Ground]) -> tuple[Caveat, ...]:
    """The doubts about every fit that is planned on, of the machine at hand first; those of another one say which."""
    elsewhere = [ground for ground in grounds if not ground.is_here]
    return (
        *(caveat for ground in grounds if ground.is_here for caveat in ground.fit.caveats),
        *(
            replace(caveat, what=f"on {ground.label}: {caveat.what}")
            for ground in elsewhere
            for caveat in ground.fit.caveats
        ),
        *(caveat for ground in elsewhere for caveat in _processor_caveats(ground)),
    )


def _processor_caveats(ground: Ground) -> Iterable[Caveat]:
    """A type that was named by hand may be another one, and some clouds put several processors under one name."""
    generation = find_generation(ground.fit.machine.cpu_model)
    if generation is not None and ground.family is not None and generation not in ground.family.cpu_model:
        yield Caveat(
            code="plan.profile_processor",
            what=f"the profile of {ground.type_name} was measured on {generation}; by the catalogue that type has "
            f"{ground.family.cpu_model}",
            fix="check which type was measured; other machines of it may be faster or slower",
        )


def _is_measured_on(offer: Offer, ground: Ground) -> bool:
    """Whether the GPU of the ground is that of the offer, and something was measured on it."""
    gpu = gpu_of(ground.fit.machine)
    return has_gpu_settings(ground) and gpu is not None and is_same_gpu(gpu, offer.instance_type)


def _gpu_name(fit: CapacityFit) -> str:
    gpu = gpu_of(fit.machine)
    return fit.machine.cpu_model if gpu is None else gpu.name
