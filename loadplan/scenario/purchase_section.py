"""The keys of a scenario's plan about ways to pay: `owned`, `commitment_discounts` and `spot`."""

from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from loadplan.scenario.purchase_rules import (
    ASSUMED_DISCOUNTS,
    ASSUMED_SPOT,
    CommitmentDiscounts,
    OwnedMachine,
    SpotRules,
)
from loadplan.scenario.section import TYPE_PATTERN, Contradiction, Name, PositiveInt, Section, contradiction

_Usd = Annotated[float, Field(ge=0, le=1e12)]


class OwnedSection(Section):
    """One kind of machine that one has or would buy; what each costs is spread over the months that it is used."""

    name: Name = Field(description="what the plan calls this kind of machine")
    region: Name = Field(default="site", description="where it stands")
    like: str | None = Field(
        default=None,
        pattern=TYPE_PATTERN,
        description="type of the catalogue with the same processor, such as aws/c7i.4xlarge",
    )
    vcpus: PositiveInt | None = Field(default=None, description="by default as many as the type it is like")
    memory_gib: float | None = Field(
        default=None, gt=0, le=1e6, description="by default as much as the type it is like"
    )
    count: PositiveInt = Field(description="machines that there are or could be; no fleet takes more")
    purchase_usd: _Usd = Field(description="price of one machine")
    residual_usd: _Usd = Field(default=0.0, description="what it sells for in the end")
    months: int = Field(ge=1, le=240, description="that it is used")
    power_watts: float = Field(ge=0, le=1e6, description="on average, at the plug")
    pue: float = Field(ge=1, le=10, description="energy of the building over energy of its machines")
    usd_per_kwh: float = Field(ge=0, le=100, description="price of electricity")
    operations_usd_per_month: _Usd = Field(default=0.0, description="of one machine")
    rack_usd_per_month: _Usd = Field(default=0.0, description="of one machine")
    sunk: bool = Field(default=False, description="true: it is paid for already, and its purchase is left out")

    @model_validator(mode="after")
    def _is_a_machine(self) -> Self:
        wrong: list[Contradiction] = []
        if self.residual_usd > self.purchase_usd:
            text = f"residual_usd {self.residual_usd:g} is above purchase_usd {self.purchase_usd:g}"
            wrong.append((("residual_usd", "purchase_usd"), text))
        if self.like is None and (self.vcpus is None or self.memory_gib is None):
            text = "nothing says what machine it is; name the type it is like, or give vcpus and memory_gib"
            wrong.append((("name",), text))
        if wrong:
            raise contradiction(*wrong)
        return self


class DiscountsSection(Section):
    """What a commitment takes off the on-demand price where the catalogue has no price for it."""

    commit_1y_ratio: float = Field(
        default=float(ASSUMED_DISCOUNTS.commit_1y_ratio), gt=0, lt=1, description="by one year; assumed"
    )
    commit_3y_ratio: float = Field(
        default=float(ASSUMED_DISCOUNTS.commit_3y_ratio), gt=0, lt=1, description="by three years; assumed"
    )

    @model_validator(mode="after")
    def _longer_is_cheaper(self) -> Self:
        if self.commit_3y_ratio < self.commit_1y_ratio:
            text = f"three years ({self.commit_3y_ratio:g}) take off less than one ({self.commit_1y_ratio:g})"
            raise contradiction((("commit_3y_ratio", "commit_1y_ratio"), text))
        return self


class SpotSection(Section):
    """How far a fleet may rest on machines that can be taken away."""

    floor_ratio: float = Field(
        default=float(ASSUMED_SPOT.floor_ratio),
        gt=0,
        le=1,
        description="share of the replicas needed at the peak that never are spot",
    )
    gone_ratio: float = Field(
        default=float(ASSUMED_SPOT.gone_ratio),
        ge=0,
        lt=1,
        description="share of the spot replicas that may be interrupted at once",
    )


def owned_machine(owned: OwnedSection) -> OwnedMachine:
    """The record of one kind of machine, with money as it was written."""
    return OwnedMachine(
        name=owned.name,
        region=owned.region,
        like=owned.like,
        n_vcpus=owned.vcpus,
        memory_gib=owned.memory_gib,
        n_available=owned.count,
        purchase_usd=_exact(owned.purchase_usd),
        residual_usd=_exact(owned.residual_usd),
        n_months=owned.months,
        power_watts=_exact(owned.power_watts),
        pue_ratio=_exact(owned.pue),
        usd_per_kwh=_exact(owned.usd_per_kwh),
        operations_usd_per_month=_exact(owned.operations_usd_per_month),
        rack_usd_per_month=_exact(owned.rack_usd_per_month),
        is_sunk=owned.sunk,
    )


def commitment_discounts(section: DiscountsSection) -> CommitmentDiscounts:
    """The record of the discounts."""
    return CommitmentDiscounts(
        commit_1y_ratio=_exact(section.commit_1y_ratio), commit_3y_ratio=_exact(section.commit_3y_ratio)
    )


def spot_rules(section: SpotSection) -> SpotRules:
    """The record of the rules for spot machines."""
    return SpotRules(floor_ratio=_exact(section.floor_ratio), gone_ratio=_exact(section.gone_ratio))


def ways_to_pay_mistakes(purchase: list[str], owned: list[OwnedSection]) -> list[Contradiction]:
    """Kinds of purchase that contradict each other or the machines that are named, relative to the plan section."""
    wrong: list[Contradiction] = []
    if owned and "owned" not in purchase:
        wrong.append((("purchase", "owned"), "machines of one's own are named, but may not be used; add owned"))
    if "owned" in purchase and not owned:
        wrong.append((("purchase",), "owned is allowed, but plan.owned names no machine"))
    if set(purchase) == {"spot"}:
        text = "spot is only bought above a floor of replicas that stay; allow on_demand, a commitment or owned too"
        wrong.append((("purchase",), text))
    first: dict[str, int] = {}
    for i, one in enumerate(owned):
        if one.name in first:
            wrong.append(
                (
                    (f"owned.{i}.name", f"owned.{first[one.name]}.name"),
                    f"{one.name} is named twice; name each kind once",
                )
            )
        first.setdefault(one.name, i)
    return wrong


def _exact(number: float) -> Decimal:
    """The figure as it was written."""
    return Decimal(str(number))
