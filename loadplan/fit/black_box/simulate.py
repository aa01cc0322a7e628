"""A service, simulated request by request: times of arrival in, times of the answer out.

Everything random is drawn beforehand, in standard form, so the same luck serves every law and every rate: differences
between two simulations are differences between their laws, and searches over either are smooth. Seconds throughout.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadplan.fit.black_box.kernel import NEVER_S, serve
from loadplan.fit.black_box.structures import TURN_S, ServiceLaw

Times = NDArray[np.float64]
Rows = NDArray[np.int64]

_NO_LIMIT = 1 << 62  # of slots


@dataclass(frozen=True, slots=True, kw_only=True)
class Luck:
    """Everything random about n requests but when they come, and with how many rows."""

    delay: Times  # (n,) uniform from 0 to 1: the place of a delay among all
    work: Times  # (n,) standard normal


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What became of the requests, both (n,)."""

    ready_s: Times  # its slot and its delay behind it, it asks for the CPU
    done_s: Times


def draw_luck(n: int, rng: np.random.Generator) -> Luck:
    """The luck of n requests."""
    return Luck(delay=rng.random(n), work=rng.standard_normal(n))


def simulate_service(law: ServiceLaw, arrive_s: Times, n_rows: Rows, luck: Luck) -> Served:
    """What becomes of these requests.

    Args:
        law: the service.
        arrive_s: (n,) ascending.
        n_rows: (n,) rows of each request.
        luck: of n requests.
    """
    structure = law.structure
    ready_s, done_s = serve(
        np.ascontiguousarray(arrive_s, dtype=np.float64),
        delays_drawn_s(law, luck.delay),
        cpu_drawn_s(law, n_rows, luck.work),
        _NO_LIMIT if structure.n_slots is None else structure.n_slots,
        structure.n_cores,
        TURN_S if structure.sharing == "turns" else NEVER_S,
        structure.sharing == "shared",
    )
    return Served(ready_s=ready_s, done_s=done_s)


def delays_drawn_s(law: ServiceLaw, uniform: Times) -> Times:
    """The delays at these places, linear between the ones that the law lists."""
    delays_s = np.array(law.delays_s)
    if delays_s.size == 1:
        return np.full(uniform.size, delays_s[0])
    drawn_s: Times = np.interp(uniform, (np.arange(delays_s.size) + 0.5) / delays_s.size, delays_s)
    return drawn_s


def cpu_drawn_s(law: ServiceLaw, n_rows: Rows, normal: Times) -> Times:
    """CPU times of requests with these rows and these draws."""
    drawn_s: Times = (law.request_s + law.row_s * n_rows) * lognormal(normal, law.cpu_cv)
    return drawn_s


def lognormal(normal: Times, cv: float) -> Times:
    """Factors with the mean 1 and this standard deviation, of standard normal draws: σ² = ln(1 + cv²)."""
    sigma = math.sqrt(math.log1p(cv**2))
    factors: Times = np.exp(sigma * normal - 0.5 * sigma**2)
    return factors
