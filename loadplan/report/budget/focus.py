"""The budget as rows of the FinOps Open Cost and Usage Specification (FOCUS), so that it lies beside the real bill.

One row per month and offer, and one per month and other line. Columns are those of the version that was asked for, in
alphabetical order: all that are mandatory, and those of the others that a forecast can fill; columns of loadplan's own
begin with `x_`. Nothing here is an invoice: every row says `x_IsForecast`. The decision a reader would question: a
month has the plan's hours (`plan.hours_per_month`), not its calendar's, so that the rows add up to the plan's bill.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

from loadplan.catalog.price import Offer
from loadplan.errors import InputError
from loadplan.plan.records.fleet import MonthCost, Plan
from loadplan.report.budget.bought import Bought, bought_in
from loadplan.report.budget.cells import csv_text, safe_text
from loadplan.report.budget.lines import BudgetLine
from loadplan.report.budget.months import Month
from loadplan.report.budget.text_sheets import Origin
from loadplan.scenario.spec import Scenario

FocusVersion = Literal["1.2", "1.4"]
Cell = str | None  # None: null
_ACCOUNT = "loadplan-forecast"
_PROVIDERS = {"aws": "AWS", "azure": "Microsoft", "gcp": "Google Cloud", "own": "Owned hardware"}
_SERVICES = {
    "aws": "Amazon Elastic Compute Cloud",
    "azure": "Virtual Machines",
    "gcp": "Compute Engine",
    "own": "Owned hardware",
}
_PRICING = {"on_demand": "Standard", "spot": "Dynamic", "commit_1y": "Committed", "commit_3y": "Committed"}
_TERMS = {"commit_1y": "1 year", "commit_3y": "3 years"}
_LINE_CATEGORIES = {
    "load balancer": ("Networking", "Network Infrastructure"),
    "disk": ("Storage", "Block Storage"),
    "control plane": ("Compute", "Containers"),
    "data transfer": ("Networking", "Network Infrastructure"),
}
_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusColumn:
    """What the specification says of a column."""

    name: str
    is_mandatory: bool
    introduced: tuple[int, ...]
    removed: tuple[int, ...] | None
    allows_null: bool


def parse_version(text: str) -> FocusVersion:
    """A version that can be written. Raises InputError for any other."""
    known: tuple[FocusVersion, ...] = get_args(FocusVersion)
    for version in known:
        if text == version:
            return version
    raise InputError(what=f"FOCUS {text} can't be written", where="--focus", fix=f"ask for {' or '.join(known)}")


def focus_csv(
    plan: Plan,
    scenario: Scenario,
    *,
    origin: Origin,
    lines: Sequence[BudgetLine],
    version: FocusVersion,
    first: Month,
) -> str:
    """The forecast of every month of the horizon; a plan in which nothing is feasible has none.

    Args:
        plan: what was planned.
        scenario: the question behind it.
        origin: the run that it comes from.
        lines: what else is on the bill; those that are excluded have no rows.
        version: of the specification.
        first: the calendar month of the horizon's first.
    """
    rows = list(_rows(plan, scenario, origin=origin, lines=lines, first=first))
    filled = {name for row in rows for name, cell in row.items() if cell is not None}
    columns = [column.name for column in columns_of(version) if column.is_mandatory or column.name in filled]
    own = [name for name in dict.fromkeys(name for row in rows for name in row) if name.startswith("x_")]
    names = [*columns, *own]
    return csv_text(names, ([_written(row.get(name)) for name in names] for row in rows))


@cache
def columns_of(version: FocusVersion) -> tuple[FocusColumn, ...]:
    """The columns of a version, by name."""
    text = files("loadplan.report.budget").joinpath("focus_columns.csv").read_text(encoding="utf-8")
    columns = (
        FocusColumn(
            name=row["column"],
            is_mandatory=row["level"] == "Mandatory",
            introduced=_number(row["introduced"]),
            removed=_number(row["removed"]) if row["removed"] else None,
            allows_null=row["allows_null"] == "yes",
        )
        for row in csv.DictReader(text.splitlines())
    )
    asked = _number(version)
    return tuple(
        column
        for column in columns
        if column.introduced <= asked and (column.removed is None or asked < column.removed)
    )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.partition("-")[0].split("."))


def _rows(
    plan: Plan, scenario: Scenario, *, origin: Origin, lines: Sequence[BudgetLine], first: Month
) -> Iterator[Mapping[str, Cell]]:
    if plan.recommended is None:
        return
    for month in plan.months:
        common = _common(scenario, origin, first.later(month.i_month))
        parts = bought_in(plan, month)
        for part in parts:
            yield {**common, **_machines(plan, scenario, month, part)}
        for line in lines:
            if line.usd_per_month is not None:
                yield {**common, **_other(parts[0].offer, line.name, line.usd_per_month, line.source)}


def _common(scenario: Scenario, origin: Origin, month: Month) -> dict[str, Cell]:
    """What every row of a month says."""
    end = month.later(1).start
    return {
        "BillingAccountId": _ACCOUNT,
        "BillingAccountName": None,
        "BillingCurrency": "USD",
        "BillingPeriodStart": month.start,
        "BillingPeriodEnd": end,
        "ChargePeriodStart": month.start,
        "ChargePeriodEnd": end,
        "ChargeClass": None,
        "InvoiceId": None,
        "InvoiceDetailId": None,
        "PricingCurrency": "USD",
        "Tags": json.dumps({"loadplan:scenario": scenario.name, "loadplan:run": origin.run}),
        "x_IsForecast": "true",
        "x_Scenario": scenario.name,
        "x_LoadplanVersion": origin.version,
    }


def _machines(plan: Plan, scenario: Scenario, month: MonthCost, part: Bought) -> dict[str, Cell]:
    offer, kind, n_replicas = part.offer, part.offer.instance_type, part.n_replicas
    n_hours = n_replicas * plan.hours_per_month
    is_usage = offer.purchase != "owned"
    details = {"InstanceType": kind.name, "CoreCount": kind.n_vcpus, "MemorySize": kind.memory_gib}
    if kind.accelerator is not None:
        details["GpuCount"] = kind.n_accelerators
    n_requests = plan.mean_rps * month.peak_rps / plan.peak_rps * plan.hours_per_month * _SECONDS_PER_HOUR
    return {
        **_price(part, n_hours),
        **_provider(kind.provider),
        "ChargeCategory": "Usage" if is_usage else "Purchase",
        "ChargeDescription": f"FORECAST loadplan: {n_replicas} x {kind.name}, scenario {scenario.name}",
        "ChargeFrequency": "Usage-Based" if offer.purchase in ("on_demand", "spot") else "Recurring",
        "ConsumedQuantity": str(n_hours) if is_usage else None,
        "ConsumedUnit": "Hours" if is_usage else None,
        "PricingCategory": _PRICING.get(offer.purchase, "Other"),
        **_commitment(offer, n_hours),
        "RegionId": offer.region,
        "ResourceType": "Virtual Machine" if is_usage else "Bare Metal Server",
        "ServiceCategory": "Compute",
        "ServiceSubcategory": "Virtual Machines",
        "ServiceName": _SERVICES.get(kind.provider, kind.provider),
        "SkuMeter": "Compute Usage",
        "SkuPriceDetails": json.dumps(details),
        "x_PriceObservedAt": f"{offer.price_date.isoformat()}T00:00:00Z",
        "x_PriceSource": f"{offer.source} ({offer.layer})",
        "x_Replicas": str(n_replicas),
        "x_PeakReplicas": str(n_replicas),
        # Of a fleet of several offers nobody knows which of them answered: the sum would count each request twice.
        "x_RequestCount": None if month.n_of_each else f"{n_requests:.0f}",
        "x_CostPerMillionRequests": None if month.n_of_each else f"{part.usd / Decimal(n_requests) * 1_000_000:.6f}",
    }


def _price(part: Bought, n_hours: int) -> dict[str, Cell]:
    """By the hour, or by the month where that is how it is paid."""
    if part.offer.usd_per_month is not None:
        n_months = Decimal(part.n_replicas)
        return _costs(part.usd, unit_price=part.offer.usd_per_month, quantity=n_months, unit="Months")
    return _costs(part.usd, unit_price=part.offer.usd_per_hour, quantity=Decimal(n_hours), unit="Hours")


def _costs(usd: Decimal, *, unit_price: Decimal, quantity: Decimal, unit: str) -> dict[str, Cell]:
    """Nothing was negotiated or prepaid, so that all four costs are the same."""
    cost, price = f"{usd:f}", f"{unit_price:f}"
    costs = dict.fromkeys(
        ("BilledCost", "EffectiveCost", "ContractedCost", "ListCost", "PricingCurrencyEffectiveCost"), cost
    )
    prices = dict.fromkeys(
        ("ContractedUnitPrice", "ListUnitPrice", "PricingCurrencyContractedUnitPrice", "PricingCurrencyListUnitPrice"),
        price,
    )
    return {**costs, **prices, "PricingQuantity": f"{quantity:f}", "PricingUnit": unit}


def _provider(provider: str) -> dict[str, Cell]:
    name = _PROVIDERS.get(provider, provider)
    columns = ("HostProviderName", "InvoiceIssuerName", "ProviderName", "PublisherName", "ServiceProviderName")
    return dict.fromkeys(columns, name)


def _commitment(offer: Offer, n_hours: int) -> dict[str, Cell]:
    term = _TERMS.get(offer.purchase)
    if term is None:
        return {}
    return {
        "CommitmentDiscountCategory": "Usage",
        "CommitmentDiscountId": f"loadplan:{offer.name}",
        "CommitmentDiscountName": f"{offer.instance_type.name}, {term}",
        "CommitmentDiscountQuantity": str(n_hours),
        "CommitmentDiscountStatus": "Used",
        "CommitmentDiscountType": term,
        "CommitmentDiscountUnit": "Hours",
    }


def _other(beside: Offer, name: str, usd: Decimal, source: str) -> dict[str, Cell]:
    category, subcategory = _LINE_CATEGORIES[name]
    return {
        **_costs(usd, unit_price=usd, quantity=Decimal(1), unit="Months"),
        **_provider(beside.instance_type.provider),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"FORECAST loadplan: {name}, {source}",
        "ChargeFrequency": "Recurring",
        "ConsumedQuantity": "1",
        "ConsumedUnit": "Months",
        "PricingCategory": "Standard",
        "RegionId": beside.region,
        "ServiceCategory": category,
        "ServiceSubcategory": subcategory,
        "ServiceName": name,
    }


def _written(cell: Cell) -> str:
    return "" if cell is None else safe_text(cell)
