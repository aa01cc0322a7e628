"""What a machine costs: money is Decimal, and a price without source and date is no price."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from loadplan.catalog.instance_type import CpuFamily, InstanceType
from loadplan.catalog.reference import NO_REFERENCES, References

PurchaseKind = Literal["on_demand", "spot", "commit_1y", "commit_3y", "owned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A priced machine shape, named `provider/region/instance_type/purchase`."""

    instance_type: InstanceType
    region: str
    purchase: PurchaseKind
    usd_per_hour: Decimal
    price_date: date  # the day the price was seen
    source: str
    quality: str  # `ok`, or what is doubtful about the figure
    layer: str  # which catalogue layer it came from: `shipped 2026-11`, `imported NAME`, `project FILE` or `--price`
    usd_per_month: Decimal | None = None  # paid by the month, whether it runs or not; None: paid by the hour
    n_available: int | None = None  # no fleet takes more; None: as many as one likes

    @property
    def name(self) -> str:
        """`provider/region/instance_type/purchase`."""
        return f"{self.instance_type.provider}/{self.region}/{self.instance_type.name}/{self.purchase}"

    @property
    def type_name(self) -> str:
        """`provider/instance_type`, as a machine's firmware or a user names the shape."""
        return f"{self.instance_type.provider}/{self.instance_type.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All offers of a dated snapshot with what was laid over it, each once."""

    version: str  # of the snapshot, and the names of the layers over it
    offers: tuple[Offer, ...]
    cpu_families: tuple[CpuFamily, ...]  # what is known of processors, whether a type with them is offered or not
    references: References = NO_REFERENCES  # power, grid, services paid by the request
