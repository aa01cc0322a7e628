"""Machines of one's own as offers beside those of the catalogue: what one costs a month, and how many there are.

A machine costs (purchase - residual) / months + watts / 1000 x PUE x USD per kWh x hours + operations + rack, which is
paid whether it serves or not. The decision a reader would question: money has no interest here, and a machine that is
paid for (`sunk`) could still be sold, which is left out with its purchase.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from difflib import get_close_matches

from loadplan.catalog.instance_type import InstanceType
from loadplan.catalog.price import Catalog, Offer
from loadplan.errors import InputError
from loadplan.plan.records.fleet import Assumption
from loadplan.scenario.purchase_rules import OwnedMachine
from loadplan.scenario.spec import PlanRules

OWN_PROVIDER = "own"
_SOURCE = "scenario: plan.owned"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedCost:
    """What one machine of one's own costs a month, in USD."""

    purchase_usd: Decimal  # less what it sells for in the end; 0 where it is paid for already
    power_usd: Decimal
    operations_usd: Decimal
    rack_usd: Decimal

    @property
    def total_usd(self) -> Decimal:
        """All of it."""
        return self.purchase_usd + self.power_usd + self.operations_usd + self.rack_usd


def owned_cost(machine: OwnedMachine, *, hours_per_month: int) -> OwnedCost:
    """The monthly cost of one machine that is always on."""
    kwh = machine.power_watts / 1000 * machine.pue_ratio * hours_per_month
    bought = (machine.purchase_usd - machine.residual_usd) / machine.n_months
    return OwnedCost(
        purchase_usd=Decimal(0) if machine.is_sunk else bought,
        power_usd=kwh * machine.usd_per_kwh,
        operations_usd=machine.operations_usd_per_month,
        rack_usd=machine.rack_usd_per_month,
    )


def owned_offers(catalog: Catalog, rules: PlanRules, *, as_of: date) -> tuple[Offer, ...]:
    """The machines of one's own, named `own/region/name/owned`; none where the scenario doesn't allow them.

    Raises:
        InputError: where one is like a type that the catalogue doesn't know.
    """
    if "owned" not in rules.purchases:
        return ()
    types = {offer.type_name: offer.instance_type for offer in catalog.offers}
    return tuple(_offer(machine, _type(machine, types), rules, as_of) for machine in rules.owned)


def owned_assumptions(rules: PlanRules) -> Iterable[Assumption]:
    """The parts of what each kind of machine costs."""
    if "owned" not in rules.purchases:
        return
    for machine in rules.owned:
        cost = owned_cost(machine, hours_per_month=rules.hours_per_month)
        spread = "paid for already" if machine.is_sunk else f"less residual, over {machine.n_months} months"
        kwh = f"{machine.power_watts:f} W x PUE {machine.pue_ratio:f} at {machine.usd_per_kwh:f} USD per kWh"
        parts = (
            (f"purchase, {spread}", cost.purchase_usd),
            (f"power, {kwh}", cost.power_usd),
            ("operations", cost.operations_usd),
            ("rack", cost.rack_usd),
        )
        for part, usd in parts:
            yield Assumption(
                name=f"{machine.name}: {part}", value=float(round(usd, 2)), unit="USD per month", source=_SOURCE
            )


def _offer(machine: OwnedMachine, instance_type: InstanceType, rules: PlanRules, as_of: date) -> Offer:
    usd_per_month = owned_cost(machine, hours_per_month=rules.hours_per_month).total_usd
    return Offer(
        instance_type=instance_type,
        region=machine.region,
        purchase="owned",
        usd_per_hour=usd_per_month / rules.hours_per_month,
        price_date=as_of,
        source=_SOURCE,
        quality="ok",
        layer="scenario",
        usd_per_month=usd_per_month,
        n_available=machine.n_available,
    )


def _type(machine: OwnedMachine, types: Mapping[str, InstanceType]) -> InstanceType:
    if machine.like is None:
        return InstanceType(
            provider=OWN_PROVIDER,
            name=machine.name,
            architecture="unknown",
            n_vcpus=machine.n_vcpus or 1,
            memory_gib=machine.memory_gib or 0.0,
            accelerator=None,
            n_accelerators=0.0,
            cpu_family=None,
            baseline_ratio=None,
            source=_SOURCE,
        )
    if machine.like not in types:
        near = get_close_matches(machine.like, types, n=1)
        raise InputError(
            what=f"{machine.name} is like {machine.like!r}, which the catalogue doesn't know",
            where="plan.owned",
            fix=f"did you mean {near[0]}?" if near else "name a type of the catalogue, such as aws/c7i.4xlarge",
        )
    like = types[machine.like]
    return replace(
        like,
        provider=OWN_PROVIDER,
        name=machine.name,
        n_vcpus=machine.n_vcpus or like.n_vcpus,
        memory_gib=machine.memory_gib or like.memory_gib,
        baseline_ratio=None,  # nobody throttles what is one's own
        usable_vcpus=None,
        usable_memory_gib=None,
        source=f"{_SOURCE}, like {machine.like}",
        seen=None,
    )
