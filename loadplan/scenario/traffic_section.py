"""The section `traffic` of a scenario file: how often callers ask, and how many rows at once."""

from typing import Annotated, Self

from pydantic import Discriminator, Field, Tag, model_validator

from loadplan.scenario.arrivals_section import ArrivalsSection
from loadplan.scenario.profiles import WEEK_PROFILES
from loadplan.scenario.rows_law import P95_OF_MEAN_AT_MOST, usual_most
from loadplan.scenario.section import MAX_COUNT, TAG_MARK, Contradiction, PositiveInt, Section, contradiction

_NUMBER_TAG, _LAW_TAG = TAG_MARK + "number", TAG_MARK + "law"


class RowsSection(Section):
    """Rows that vary from request to request: a lognormal law; each draw is rounded up to whole rows."""

    mean: float = Field(ge=1, le=MAX_COUNT, description="rows of a request on average")
    p95: float = Field(ge=1, le=MAX_COUNT, description="rows that one request in twenty exceeds")
    most: PositiveInt | None = Field(
        default=None,
        alias="max",
        description="rows of a request at most; by default what one in a thousand would exceed",
    )

    @model_validator(mode="after")
    def _is_a_law(self) -> Self:
        wrong: list[Contradiction] = []
        if self.p95 <= self.mean:
            text = f"p95 {self.p95:g} is not above mean {self.mean:g}; where all requests are alike, write their number"
            wrong.append((("p95", "mean"), text))
        elif self.p95 > P95_OF_MEAN_AT_MOST * self.mean:
            text = (
                f"no lognormal law has a p95 of {self.p95 / self.mean:.3g} times its mean; "
                f"{P95_OF_MEAN_AT_MOST:.2f} times is the most"
            )
            wrong.append((("p95", "mean"), text))
        if self.most is not None and self.most < self.p95:
            wrong.append((("max", "p95"), f"max {self.most} is below p95 {self.p95:g}, so p95 can't be reached"))
        if wrong:
            raise contradiction(*wrong)
        return self

    @property
    def largest(self) -> int:
        """Rows of the largest request."""
        return self.most if self.most is not None else min(usual_most(self.mean, self.p95), MAX_COUNT)


def _kind_of_rows(value: object) -> str:
    return _LAW_TAG if isinstance(value, dict | RowsSection) else _NUMBER_TAG


class TrafficSection(Section):
    """What the callers send."""

    peak_rps: float = Field(gt=0, le=1e8, description="requests per second in the busiest hour")
    rows_per_request: Annotated[
        Annotated[PositiveInt, Tag(_NUMBER_TAG)] | Annotated[RowsSection, Tag(_LAW_TAG)], Discriminator(_kind_of_rows)
    ] = Field(default=1, description="rows that each request carries: a number, or {mean: 120, p95: 300, max: 400}")
    arrivals: ArrivalsSection = Field(default_factory=ArrivalsSection)
    profile: str = Field(
        default="office_hours",
        min_length=1,
        description=f"a named week ({', '.join(WEEK_PROFILES)}) or a CSV with hour_of_week (0 is Monday 00:00 UTC), "
        "share_of_peak",
    )
    growth_per_month_ratio: float = Field(default=0.0, gt=-1, le=1, description="0.03 is 3 % more each month")

    @model_validator(mode="after")
    def _profile_is_a_week(self) -> Self:
        if self.profile not in WEEK_PROFILES and not self.profile.lower().endswith(".csv"):
            named = ", ".join(WEEK_PROFILES)
            raise contradiction(
                (("profile",), f"expected {named} or a path that ends in .csv, read {self.profile!r:.60}")
            )
        return self
