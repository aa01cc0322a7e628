"""The machines on which laws were fitted, and which of them an offer is planned from.

The decision a reader would question: an offer whose own type was never measured is taken from a measured machine of
its processor family where there is one, else from the machine at hand, never from a profile of some other processor:
what that would add is another guess of the same width.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from loadplan.catalog.instance_type import CpuFamily
from loadplan.catalog.price import Catalog, Offer
from loadplan.caveat import Caveat
from loadplan.fit.records import CapacityFit
from loadplan.plan.fleet import NotOffered
from loadplan.plan.microarchitecture import find_cpu_family, find_generation


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredType:
    """What was fitted on a rented machine of one instance type."""

    type_name: str  # `provider/type`
    fit: CapacityFit  # its capacities are those of the scenario that is planned for


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A machine whose laws a plan rests on, and its place in the catalogue."""

    fit: CapacityFit
    family: CpuFamily | None  # None: nothing tells which processor of the catalogue it has
    type_name: str | None  # None: it is of no known type
    is_here: bool  # whether it is the machine of the run itself


def find_grounds(fit: CapacityFit, measured: Sequence[MeasuredType], catalog: Catalog) -> tuple[Ground, ...]:
    """The machines of the profiles by name, then the machine at hand."""
    families = {offer.type_name: offer.instance_type.cpu_family for offer in catalog.offers}
    elsewhere = tuple(
        Ground(fit=one.fit, family=families.get(one.type_name), type_name=one.type_name, is_here=False)
        for one in sorted(measured, key=lambda one: one.type_name)
    )
    here = Ground(
        fit=fit, family=find_cpu_family(fit.machine, catalog), type_name=fit.machine.instance_type, is_here=True
    )
    return (*elsewhere, here)


def nearest_ground(offer: Offer, grounds: Sequence[Ground]) -> Ground:
    """The machine of the offer's own type, else one of a known type of its processor family, else the one at hand."""
    own = next((ground for ground in grounds if ground.type_name == offer.type_name), None)
    if own is not None:
        return own
    family = offer.instance_type.cpu_family
    known = (ground for ground in grounds if ground.type_name is not None and ground.family is not None)
    return next((ground for ground in known if ground.family == family), grounds[-1])


def unused_types(measured: Iterable[MeasuredType], offers: Iterable[Offer]) -> tuple[NotOffered, ...]:
    """The measured types that the scenario allows no offer of."""
    allowed = {offer.type_name for offer in offers}
    names = sorted(one.type_name for one in measured if one.type_name not in allowed)
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
            replace(caveat, what=f"on {ground.type_name}: {caveat.what}")
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
