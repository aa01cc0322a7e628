"""The section `traffic` of a scenario file: how often callers ask, how many rows at once, and which kinds there are."""

import math
from pathlib import PurePath
from typing import Annotated, Self

from pydantic import Discriminator, Field, Tag, model_validator

from loadplan.scenario.arrivals_section import ArrivalsSection
from loadplan.scenario.profiles import WEEK_PROFILES
from loadplan.scenario.rows_law import P95_OF_MEAN_AT_MOST, usual_most
from loadplan.scenario.section import MAX_COUNT, TAG_MARK, Contradiction, Name, PositiveInt, Section, contradiction

_NUMBER_TAG, _LAW_TAG = TAG_MARK + "number", TAG_MARK + "law"
# A payload that ends like this is a file with bodies; any other names a segment of the model's rows.
_BODY_FILES = frozenset({".json", ".jsonl", ".ndjson"})
_SHARES_OFF_AT_MOST = 1e-6  # 0.333333 three times is meant as thirds


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


Rows = Annotated[
    Annotated[PositiveInt, Tag(_NUMBER_TAG)] | Annotated[RowsSection, Tag(_LAW_TAG)], Discriminator(_kind_of_rows)
]


class ClassSection(Section):
    """One segment of users: how much of the traffic it is, and what its requests carry."""

    name: Name = Field(description="what objectives call the segment")
    share: float = Field(gt=0, le=1, description="of all requests; the shares of all classes sum to 1")
    payload: str | None = Field(
        default=None,
        min_length=1,
        description="segment of the model's rows that it sends, by default all rows; of a target that is sent fixed "
        "bodies a .json or .jsonl of its own",
    )
    rows_per_request: Rows | None = Field(
        default=None, description="rows that each of its requests carries; by default as in traffic"
    )

    @property
    def has_bodies(self) -> bool:
        """Whether its payload is a file with bodies, not a segment of the model's rows."""
        return self.payload is not None and PurePath(self.payload).suffix.lower() in _BODY_FILES


class TrafficSection(Section):
    """What the callers send."""

    peak_rps: float = Field(gt=0, le=1e8, description="requests per second in the busiest hour")
    rows_per_request: Rows = Field(
        default=1, description="rows that each request carries: a number, or {mean: 120, p95: 300, max: 400}"
    )
    classes: list[ClassSection] = Field(
        default=[],
        max_length=64,
        description="segments of users, each with objectives of its own if you like: [{name: web, share: 0.8}, …]",
    )
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

    @model_validator(mode="after")
    def _classes_are_a_whole(self) -> Self:
        wrong: list[Contradiction] = []
        names = [one.name for one in self.classes]
        for i, name in enumerate(names):
            if name in names[:i]:
                keys = (f"classes.{i}.name", f"classes.{names.index(name)}.name")
                wrong.append((keys, f"a class named {name} is there already"))
        total = math.fsum(one.share for one in self.classes)
        if self.classes and abs(total - 1.0) > _SHARES_OFF_AT_MOST:
            wrong.append((("classes",), f"the shares sum to {total:.6g}, and those of all classes together are 1"))
        if wrong:
            raise contradiction(*wrong)
        return self

    @property
    def largest_request(self) -> int:
        """Rows of the largest request."""
        laws = [one.rows_per_request or self.rows_per_request for one in self.classes] or [self.rows_per_request]
        return max(rows if isinstance(rows, int) else rows.largest for rows in laws)
