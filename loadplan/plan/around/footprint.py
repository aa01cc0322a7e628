"""Energy and emissions of a fleet, by the coefficients of the catalogue.

watts of a machine = sum over its vCPUs and GPUs of min + utilisation (max - min), the mean utilisation over the week;
kWh a month = watts x replicas x hours x PUE / 1000; kg CO2e = kWh x intensity of the grid. The form and most of the
coefficients are those of Cloud Carbon Footprint (https://www.cloudcarbonfootprint.org/docs/methodology). The decision
a reader would question: memory, disk, network and the making of the machine are left out, since no coefficient of them
is in the catalogue; and a processor that isn't listed is taken for an average one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loadplan.catalog.price import Offer
from loadplan.catalog.reference import Facility, GridIntensity, PowerRange, References
from loadplan.plan.records.fleet import Fleet, FleetItem
from loadplan.plan.records.outlook import Footprint

_AVERAGE = "average CPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draw:
    watts: float  # of one machine
    ranges: tuple[PowerRange, ...]  # it rests on


def footprint_of(
    fleet: Fleet, *, mean_rps: float, hours_per_month: int, references: References
) -> tuple[Footprint | None, str]:
    """What a fleet draws and emits, or None with the reason."""
    carried_rps = sum(item.n_replicas * _capacity_rps(fleet, item) for item in fleet.items)
    used = min(mean_rps / carried_rps, 1.0)
    kwh, kg = 0.0, 0.0
    unknown: list[str] = []
    sources: dict[str, None] = {}
    draws: list[_Draw] = []
    for item in fleet.items:
        offer = item.offer
        draw = _draw(offer, used, references.power)
        facility = next((one for one in references.facilities if one.provider == offer.instance_type.provider), None)
        if draw is None or facility is None:
            what = "the power of its devices" if draw is None else f"the data centres of {offer.instance_type.provider}"
            return None, f"{offer.type_name}: nothing is known of {what}"
        item_kwh = draw.watts * item.n_replicas * hours_per_month * facility.pue / 1000.0
        kwh += item_kwh
        draws.append(draw)
        grid = _grid(offer, references.grids)
        if grid is None:
            unknown.append(f"{offer.instance_type.provider}/{offer.region}")
        else:
            kg += item_kwh * grid.kg_co2e_per_kwh
        sources |= dict.fromkeys(_sources(draw, facility, grid))
    footprint = Footprint(
        kwh_per_month=kwh,
        w_per_replica=draws[0].watts,
        mean_utilisation_ratio=used,
        kg_co2e_per_month=None if unknown else kg,
        kg_co2e_reason=f"nothing is known of the grid at {', '.join(unknown)}" if unknown else "",
        sources=tuple(sources),
    )
    return footprint, ""


def _capacity_rps(fleet: Fleet, item: FleetItem) -> float:
    return (item.capacity or fleet.capacity).usable_capacity_rps


def _draw(offer: Offer, used: float, ranges: Sequence[PowerRange]) -> _Draw | None:
    own = offer.instance_type
    found = [(float(own.n_vcpus), _processor(offer, ranges))]
    if own.accelerator is not None:
        found.append((own.n_accelerators, _accelerator(own.accelerator, ranges)))
    known = [(n, power) for n, power in found if power is not None]
    if len(known) < len(found):
        return None
    watts = sum(n * (power.min_w + used * (power.max_w - power.min_w)) for n, power in known)
    return _Draw(watts=watts, ranges=tuple(power for _, power in known))


def _processor(offer: Offer, ranges: Sequence[PowerRange]) -> PowerRange | None:
    """The one whose name is in that of the type's processor, else an average one."""
    family = offer.instance_type.cpu_family
    of_cpus = [one for one in ranges if one.unit == "vcpu"]
    named = (one for one in of_cpus if family is not None and one.device.lower() in family.cpu_model.lower())
    average = (one for one in of_cpus if one.device.startswith(_AVERAGE))
    return next(named, None) or next(average, None)


def _accelerator(name: str, ranges: Sequence[PowerRange]) -> PowerRange | None:
    """By its name without the maker's; of several forms of it the one that draws most."""
    named = [one for one in ranges if one.unit == "gpu" and f"{one.device} ".split(" ", 1)[1].startswith(f"{name} ")]
    return max(named, key=lambda one: one.max_w, default=None)


def _grid(offer: Offer, grids: Sequence[GridIntensity]) -> GridIntensity | None:
    place = (offer.instance_type.provider, offer.region)
    return next((one for one in grids if (one.provider, one.region) == place), None)


def _sources(draw: _Draw, facility: Facility, grid: GridIntensity | None) -> list[str]:
    said = [f"power of {one.device} ({one.basis}): {one.source}, seen {one.seen}" for one in draw.ranges]
    said.append(f"PUE {facility.pue:g} of {facility.provider}: {facility.source}, seen {facility.seen}")
    if grid is not None:
        what = f"{grid.kg_co2e_per_kwh:.3g} kg CO2e per kWh in {grid.region} ({grid.grid}, {grid.method})"
        said.append(f"{what}: {grid.source}, seen {grid.seen}")
    return said
