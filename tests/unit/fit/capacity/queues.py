"""Costs that are known, objectives, and the closed forms to which capacities are held.

M/D/1 is that of Crommelin: P(W ≤ t) = (1 - ρ) Σ (λ (k D - t))^k / k! exp(-λ (k D - t)) over k = 0 … ⌊t / D⌋.
"""

import math

from scipy.optimize import brentq

from loadplan.slo import LatencyLimit, Slo

SERVICE_S = 1e-3
HIGHEST_RATIO = 0.98  # of the saturated rate: nothing is promised beyond
COSTS = {"request_s": 1e-4, "response_s": 1e-4, "batch_s": 1e-4, "transfer_s": 2e-4}
ALONE_S = SERVICE_S + 5e-4
BUSY_S = SERVICE_S + 3e-4
NOISY = {
    "request_s": 60e-6,
    "response_s": 30e-6,
    "batch_s": 40e-6,
    "wake_s": 30e-6,
    "transfer_s": 20e-6,
    "cold_ratio": 0.5,
    "spread_ratio": 0.4,
    "stall_s": 2e-3,
    "stall_rate_per_s": 4.0,
}


def waits_at_most(t_s: float, rho: float) -> float:
    """P(W ≤ t) of M/D/1."""
    terms = (
        (rho * (k - t_s / SERVICE_S)) ** k / math.factorial(k) * math.exp(-rho * (k - t_s / SERVICE_S))
        for k in range(math.floor(t_s / SERVICE_S) + 1)
    )
    return (1.0 - rho) * sum(terms)


def quantile_s(quantile: float, rho: float) -> float:
    """Of the response time of M/D/1; up to the share that finds the server free, it is that of one that never waits."""
    waited_s = 0.0
    if 1.0 - rho < quantile:
        waited_s = brentq(lambda t: waits_at_most(t, rho) - quantile, 0.0, 0.03)
    return waited_s + SERVICE_S


def load_within(limit_s: float, *, service_s: float = SERVICE_S) -> float:
    """The highest load at which 99 in 100 are answered within the limit; a shorter service is a longer limit."""
    waited_s = (limit_s - service_s) * SERVICE_S / service_s
    return float(brentq(lambda rho: waits_at_most(waited_s, rho) - 0.99, 0.05, 0.97))


def slo(quantile: float, limit_s: float, *, max_failed_ratio: float = 0.0) -> Slo:
    return Slo(limits=(LatencyLimit(quantile=quantile, limit_s=limit_s),), max_failed_ratio=max_failed_ratio)
