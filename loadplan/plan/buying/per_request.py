"""A service that is paid by the request beside the fleet: its bill, its break-even rate, and the share of cold starts.

A request is billed for memory x duration, the duration rounded up to the billing step, and a fee of its own. Each
environment answers one request at a time. Requests find the environments in a fixed order, so that of rate l with
busy time s environment j gets r_j = l (B_(j-1) - B_j), where B_j is Erlang's loss formula with offered load l s; the
provider takes one away that was idle for the keep-alive time T, so the next request to it is cold:

    cold share = sum over j of r_j exp(-r_j T) / l

(the overflow of a Poisson stream is taken for Poisson itself). The decisions a reader would question: a vCPU there is
taken to be as fast as the core that was measured, give or take the factor of a processor that nobody placed; T is
assumed, since no provider promises one; and a cold start is counted as a miss, for nobody measured one there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from loadplan.catalog.reference import PayPerRequest
from loadplan.fit.records import CapacityFit
from loadplan.fit.service_time import service_time_s
from loadplan.plan.fleets.demand import Demand
from loadplan.plan.hardware.transfer import UNPLACED_FACTOR
from loadplan.plan.records.outlook import PerRequest
from loadplan.scenario.spec import PlanRules
from loadplan.slo import Slo
from loadplan.units import in_cents

KEEP_ALIVE_S = 300.0  # assumed
_BYTES_PER_MB = 1_000_000
_MB_PER_GB = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleRequest:
    """What one request of the usual size takes when it is answered alone, as measured here."""

    busy_s: float  # of the process, inference and the server's own work
    n_threads: int
    process_bytes: int | None  # memory of the process; None: nobody looked


def single_request(fit: CapacityFit) -> SingleRequest | None:
    """Of the variant that takes the fewest core-seconds; None where nothing was measured on a processor."""
    rows, overhead = fit.rows_per_request.mean, fit.overhead
    own_s = overhead.request_s + overhead.response_s + overhead.batch_s + rows * overhead.row_s
    found = [
        SingleRequest(
            busy_s=service_time_s(law, rows) + own_s,
            n_threads=law.execution.n_threads,
            process_bytes=law.server_bytes,
        )
        for law in fit.service_times
        if law.execution.is_on_cpu and law.execution.n_sessions == 1
    ]
    return min(found, key=lambda one: (one.busy_s * one.n_threads, one.n_threads), default=None)


def paid_by_request(
    services: Sequence[PayPerRequest],
    single: SingleRequest,
    *,
    demand: Demand,
    rules: PlanRules,
    objectives: Sequence[Slo],
    fleet_usd_per_month: Decimal,
) -> tuple[PerRequest, ...]:
    """Each service of the allowed providers, cheapest first."""
    load = _Load(
        demand=demand,
        s_per_month=Decimal(3600 * rules.hours_per_month),
        allowed_ratio=_allowed_ratio(objectives),
        fleet_usd_per_month=fleet_usd_per_month,
    )
    found = [_service(one, single, load) for one in services if one.provider in rules.providers]
    return tuple(sorted(found, key=lambda one: (one.usd_per_month, one.service)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """What a service would have to answer, and the bill to beat."""

    demand: Demand
    s_per_month: Decimal
    allowed_ratio: float | None
    fleet_usd_per_month: Decimal


def _service(service: PayPerRequest, single: SingleRequest, load: _Load) -> PerRequest:
    held_mb = 0.0 if single.process_bytes is None else math.ceil(single.process_bytes / _BYTES_PER_MB)
    memory_mb = max(service.memory_mb_per_vcpu * single.n_threads, held_mb)
    low, middle, high = (
        usd_per_request(service, busy_s=single.busy_s * factor, memory_mb=memory_mb)
        for factor in (1.0 / UNPLACED_FACTOR, 1.0, UNPLACED_FACTOR)
    )
    n_requests = Decimal(str(load.demand.mean_rps)) * load.s_per_month
    usd = in_cents(n_requests * middle)
    quiet_rps = min(rate for rate in load.demand.hourly_rps if rate > 0.0)
    return PerRequest(
        service=f"{service.provider} {service.service} ({service.architecture})",
        usd_per_month=usd,
        usd_less_per_month=load.fleet_usd_per_month - usd,
        usd_per_month_low=in_cents(n_requests * low),
        usd_per_month_high=in_cents(n_requests * high),
        break_even_rps=float(load.fleet_usd_per_month / middle / load.s_per_month),
        break_even_requests_per_month=float(load.fleet_usd_per_month / middle),
        memory_mb=memory_mb,
        billed_s=billed_s(service, single.busy_s),
        cold_ratio_at_peak=cold_ratio(load.demand.peak_rps, busy_s=single.busy_s, keep_alive_s=KEEP_ALIVE_S),
        cold_ratio_when_quiet=cold_ratio(quiet_rps, busy_s=single.busy_s, keep_alive_s=KEEP_ALIVE_S),
        allowed_ratio=load.allowed_ratio,
        source=f"{service.source}, seen {service.seen}",
    )


def usd_per_request(service: PayPerRequest, *, busy_s: float, memory_mb: float) -> Decimal:
    """Fee + GB x billed seconds x price, exact in the figures as written."""
    gb = Decimal(str(memory_mb)) / _MB_PER_GB
    return (
        service.usd_per_million_requests / 1_000_000
        + gb * Decimal(str(billed_s(service, busy_s))) * service.usd_per_gb_second
    )


def billed_s(service: PayPerRequest, busy_s: float) -> float:
    """The duration rounded up to the billing step."""
    step = Decimal(str(service.billing_step_s))
    n_steps = math.ceil(Decimal(f"{busy_s:.9g}") / step)
    return float(step * n_steps)


def cold_ratio(rate_rps: float, *, busy_s: float, keep_alive_s: float) -> float:
    """The share of a Poisson stream's requests that find no warm environment."""
    offered = rate_rps * busy_s
    lost, cold_rps, n = 1.0, 0.0, 0
    # What is left beyond adds no more than its own rate.
    while rate_rps * lost > 1e-9 * rate_rps:
        n += 1
        still_lost = offered * lost / (n + offered * lost)
        own_rps = rate_rps * (lost - still_lost)
        cold_rps += own_rps * math.exp(-own_rps * keep_alive_s)
        lost = still_lost
    return cold_rps / rate_rps


def _allowed_ratio(objectives: Sequence[Slo]) -> float | None:
    """Of all requests, by the strictest limit that is about all of them."""
    quantiles = [limit.quantile for slo in objectives if slo.class_name is None for limit in slo.limits]
    return round(1.0 - max(quantiles), 9) if quantiles else None
