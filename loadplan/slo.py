"""Service level objectives and how they are counted.

A request meets a latency limit when it was answered correctly and its response time, from its due time to the
last byte, is within the limit. Failures and timeouts are misses, so they can never make a percentile look better.
"""

import math
from dataclasses import dataclass
from typing import Literal

from loadplan.errors import InvalidMeasurement

Outcome = Literal["met", "missed", "unclear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyLimit:
    """`quantile` of the requests answer within `limit_s`."""

    quantile: float  # 0.99 for p99
    limit_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """An objective on all requests, or on one class of them: every limit must hold."""

    limits: tuple[LatencyLimit, ...]
    max_failed_ratio: float = 0.0  # share of due requests that may fail or time out
    class_name: str | None = None  # None: all requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Attainment:
    """How many of the due requests met one latency limit."""

    limit: LatencyLimit
    n_due: int
    n_within: int
    # Bounds of the share that misses in the long run, where they were judged; None where the count says it all,
    # as in a simulation.
    miss_ratio_low: float | None = None
    miss_ratio_high: float | None = None
    class_name: str | None = None  # None: they are all requests

    @property
    def ratio(self) -> float:
        """Share of due requests within the limit, 0 to 1."""
        return self.n_within / self.n_due

    @property
    def is_met(self) -> bool:
        """Whether no more requests missed than the quantile allows: floor(n (1 - q))."""
        # The rounding keeps 100 * (1 - 0.99) from becoming 1.0000000000000009 or 0.9999999999999.
        n_allowed = math.floor(round(self.n_due * (1.0 - self.limit.quantile), 9))
        return self.n_due - self.n_within <= n_allowed

    @property
    def outcome(self) -> Outcome:
        """Met when even the upper bound of the misses is allowed, missed when not even the lower one is."""
        if self.miss_ratio_low is None or self.miss_ratio_high is None:
            return "met" if self.is_met else "missed"
        allowed = 1.0 - self.limit.quantile
        if self.miss_ratio_high <= allowed:
            return "met"
        return "missed" if self.miss_ratio_low > allowed else "unclear"


def attainment(limit: LatencyLimit, *, n_due: int, n_within: int, class_name: str | None = None) -> Attainment:
    """Count one limit. Raises InvalidMeasurement when nothing was due: an empty run proves nothing."""
    if n_due <= 0:
        of = "" if class_name is None else f" of the class {class_name}"
        raise InvalidMeasurement(
            what=f"no request{of} was due, so no objective can be judged",
            where="the load run",
            fix="run longer or at a higher rate",
        )
    return Attainment(limit=limit, n_due=n_due, n_within=n_within, class_name=class_name)
