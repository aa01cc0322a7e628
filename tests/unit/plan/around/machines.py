"""Small catalogues on given capacities: what each machine carries within the objectives, and its price."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from loadplan.catalog.capacities import GivenCapacity
from loadplan.catalog.price import Catalog, Offer, PurchaseKind
from loadplan.plan.given import searching_given
from loadplan.plan.records.fleet import Plan
from loadplan.plan.records.outlook import Outlook
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.scenario.spec import Scenario

AS_OF = date(2026, 11, 24)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A type of machine; with no capacity nothing is known of it but its price."""

    name: str
    usd_per_hour: str
    rps: int | None = None
    accelerator: str | None = None
    purchase: PurchaseKind = "on_demand"


def asking(scenario: Scenario, *, peak_rps: float = 300.0, **rules: object) -> Scenario:
    """One may be lost, nothing is kept free, a month has 730 hours; the mean of the week is 3/4 of the peak."""
    asked = {"headroom_ratio": 0.0, **rules}
    return replace(
        scenario,
        traffic=replace(scenario.traffic, peak_rps=peak_rps),
        plan=replace(scenario.plan, **asked),  # type: ignore[arg-type]  # names are checked when the test runs
    )


def planned(scenario: Scenario, offer: Offer, kinds: Sequence[Kind]) -> tuple[Plan, Outlook]:
    """The plan on these machines, and what lies around it."""
    offers = tuple(
        replace(
            offer,
            instance_type=replace(
                offer.instance_type,
                name=kind.name,
                accelerator=kind.accelerator,
                n_accelerators=0.0 if kind.accelerator is None else 1.0,
            ),
            usd_per_hour=Decimal(kind.usd_per_hour),
            purchase=kind.purchase,
        )
        for kind in kinds
    )
    rows = [
        GivenCapacity(
            provider="aws",
            region=None,
            instance_type=kind.name,
            batch_size=None,
            usable_capacity_rps=Decimal(kind.rps),
            p99_s=Decimal("0.01"),
        )
        for kind in kinds
        if kind.rps is not None
    ]
    catalog = Catalog(version="test", offers=offers, cpu_families=())
    search = searching_given(rows, catalog=catalog, as_of=AS_OF)
    plan = plan_with_outlook(search, scenario=scenario, catalog=catalog)
    assert plan.outlook is not None
    return plan, plan.outlook
