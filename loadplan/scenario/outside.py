"""Where the objectives are measured, and how long a request spends beside the server until there. Seconds.

A `server` sees what it does itself, an `edge` the network and the balancer before it as well, a `caller` the way to the
edge too. A fetch, such as of features, is waited for wherever it is measured. All of it is drawn for every request on
its own: a delay that comes in waves, so that slow ones stand together, is kinder or harder than these draws.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # every command reads this module, and most of them draw nothing
    import numpy as np
    from numpy.typing import NDArray

Place = Literal["server", "edge", "caller"]

_NORMAL = NormalDist()
_Z_99 = _NORMAL.inv_cdf(0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantDelay:
    """As long for every request."""

    delay_s: float
    law: Literal["constant"] = "constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class LognormalDelay:
    """A lognormal law with this median and this 99th percentile."""

    p50_s: float
    p99_s: float  # at least the median
    law: Literal["lognormal"] = "lognormal"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDelay:
    """Delays that were measured, each as likely as any other."""

    file: str  # its name
    delays_s: tuple[float, ...]  # ascending
    law: Literal["recorded"] = "recorded"


OutsideDelay = ConstantDelay | LognormalDelay | RecordedDelay


@dataclass(frozen=True, slots=True, kw_only=True)
class Vantage:
    """Where the objectives are measured, and what requests are delayed by that a live server doesn't show."""

    at: Place = "server"
    outside: OutsideDelay | None = None  # between there and the replica, there and back; None: at the server
    fetch: OutsideDelay | None = None  # waited for before the model is asked, without CPU; None: nothing is

    @property
    def named_delays(self) -> dict[str, OutsideDelay]:
        """All of them, by what they are called within a sentence."""
        named = {"what lies outside the replica": self.outside, "the fetch": self.fetch}
        return {name: delay for name, delay in named.items() if delay is not None}

    @property
    def delays(self) -> tuple[OutsideDelay, ...]:
        """All of them."""
        return tuple(self.named_delays.values())


AT_THE_SERVER = Vantage()


def draw_delays_s(delay: OutsideDelay, n: int, rng: "np.random.Generator") -> "NDArray[np.float64]":
    """The delays of n requests, (n,), there and back together; those that are all alike use no random number."""
    import numpy as np

    match delay:
        case ConstantDelay():
            return np.full(n, delay.delay_s)
        case LognormalDelay():
            drawn: NDArray[np.float64] = np.exp(math.log(delay.p50_s) + _spread(delay) * rng.standard_normal(n))
            return drawn
        case RecordedDelay():
            return np.array(delay.delays_s)[rng.integers(len(delay.delays_s), size=n)]


def delay_quantile_s(delay: OutsideDelay, quantile: float) -> float:
    """The delay that a share of the requests stays within; of a recording by nearest rank."""
    match delay:
        case ConstantDelay():
            return delay.delay_s
        case LognormalDelay():
            return math.exp(math.log(delay.p50_s) + _spread(delay) * _NORMAL.inv_cdf(quantile))
        case RecordedDelay():
            return delay.delays_s[max(math.ceil(quantile * len(delay.delays_s)) - 1, 0)]


def _spread(delay: LognormalDelay) -> float:
    """Standard deviation of ln(delay): ln(p99 / p50) / z."""
    return math.log(delay.p99_s / delay.p50_s) / _Z_99
