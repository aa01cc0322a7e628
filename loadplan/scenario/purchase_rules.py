"""How machines may be paid for: one's own, committed to for years, and spare ones that can be taken away.

Money is `Decimal` in USD as it was written, power is watts at the plug, energy is kilowatt hours.
"""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedMachine:
    """A kind of machine that one has or would buy, and what each costs."""

    name: str
    region: str  # where it stands
    like: str | None  # `provider/type` of the catalogue with the same processor; None: its speed has to be given
    n_vcpus: int | None  # None: as many as the type it is like
    memory_gib: float | None  # None: as much as the type it is like
    n_available: int  # no fleet takes more
    purchase_usd: Decimal
    residual_usd: Decimal  # what it sells for after `n_months`
    n_months: int  # that it is used
    power_watts: Decimal  # on average, at the plug
    pue_ratio: Decimal  # energy of the building over energy of its machines, 1 or more
    usd_per_kwh: Decimal
    operations_usd_per_month: Decimal
    rack_usd_per_month: Decimal
    is_sunk: bool  # it is paid for already, so the purchase no longer decides anything


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentDiscounts:
    """What is taken off the on-demand price where the catalogue has no price of a commitment."""

    commit_1y_ratio: Decimal
    commit_3y_ratio: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotRules:
    """How far a fleet may rest on machines that can be taken away."""

    floor_ratio: Decimal  # share of the replicas needed at the peak that never are spot
    gone_ratio: Decimal  # share of the spot replicas that may be interrupted at once


# Below the 31 % and 56 % of the one type whose committed prices are on record (gcp a3-highgpu-1g): a guess has to err
# on the dear side.
ASSUMED_DISCOUNTS = CommitmentDiscounts(commit_1y_ratio=Decimal("0.25"), commit_3y_ratio=Decimal("0.45"))
ASSUMED_SPOT = SpotRules(floor_ratio=Decimal("0.5"), gone_ratio=Decimal("0.25"))
