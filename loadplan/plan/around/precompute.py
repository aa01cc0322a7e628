"""All answers worked out beforehand, every so often, beside a fleet that answers as it is asked.

A run has N entities of r rows each, which takes N r / (rows per second) machine-seconds and the start of each machine:

    machines n = ceil(N r / rate / (allowed - start)),    USD a month = price (N r / rate + n start) x runs a month

with the low end of the rate for the machines, so that a run is done in time, and its middle for the bill, whose
interval is that of the rate. The decisions a reader would question: machines are paid by the second, and nothing is
paid for keeping the answers, looking them up, or reading the rows; an interrupted spot machine is taken to lose
nothing; and whether an answer may be a day old, or be missing for whoever is new, is the asker's to know.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from loadplan.catalog.price import Catalog, Offer, PurchaseKind
from loadplan.plan.around.crossing import cheapest_usd, crossing
from loadplan.plan.around.sensitivity import Asked
from loadplan.plan.fleets.start_up import start_up_parts
from loadplan.plan.hardware.batch_rate import BatchRate
from loadplan.plan.records.fleet import Assumption, Fleet
from loadplan.plan.records.precomputed import BatchJob, Precomputed
from loadplan.scenario.spec import PlanRules, PrecomputeRules
from loadplan.units import in_cents

_S_PER_HOUR = 3600
_KINDS: tuple[PurchaseKind, ...] = ("on_demand", "spot")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """A run over all entities, how often it comes, and how long it may take."""

    n_rows: float
    rules: PrecomputeRules
    hours_per_month: int
    start_up_s: float
    fleet_usd_per_month: Decimal

    @property
    def n_runs(self) -> Decimal:
        """A month."""
        return Decimal(self.hours_per_month * _S_PER_HOUR) / Decimal(str(self.rules.every_s))

    def n_machines(self, rate: BatchRate) -> int:
        """With which a run is done in time by the low end; there is time left after their start."""
        left_s = self.rules.within_s - self.start_up_s
        return max(math.ceil(round(self.n_rows / rate.rows_per_s_low / left_s, 9)), 1)


def precomputed_beside(planned: Fleet, asked: Asked, catalog: Catalog) -> tuple[Precomputed | None, str]:
    """The cheapest job of each kind of purchase, or why there is none; nothing where nobody asked.

    Args:
        planned: the recommended fleet.
        asked: the question, and what was compared for it.
        catalog: machines of the allowed providers and regions on demand and, since a job can be begun again, on spot.
    """
    rules = asked.scenario.plan
    if rules.precompute is None:
        return None, ""
    start_up_s = _start_up_s(planned, rules)
    if rules.precompute.within_s <= start_up_s:
        return None, f"to start a machine takes {start_up_s:g} s, a run may last {rules.precompute.within_s:g} s"
    rows = rules.precompute.rows_per_entity or asked.scenario.traffic.rows_per_request.mean
    work = _Work(
        n_rows=rules.precompute.n_entities * rows,
        rules=rules.precompute,
        hours_per_month=rules.hours_per_month,
        start_up_s=start_up_s,
        fleet_usd_per_month=planned.usd_per_month,
    )
    jobs = sorted(_jobs(work, asked, catalog), key=lambda job: (job.usd_per_month_high, job.offer))
    if not jobs:
        return None, "how long a batch takes is known for no machine that the scenario allows"
    usd = cheapest_usd(asked.considered.candidates, rules=rules)
    found = crossing(lambda peak_rps: _is_above(usd(peak_rps), jobs[0]), peak_rps=asked.scenario.traffic.peak_rps)
    shares = asked.scenario.traffic.week_shares
    requests = Decimal(str(math.fsum(shares) / len(shares))) * rules.hours_per_month * _S_PER_HOUR
    return (
        Precomputed(
            n_entities=work.rules.n_entities,
            rows_per_entity=rows,
            every_s=work.rules.every_s,
            within_s=work.rules.within_s,
            start_up_s=start_up_s,
            jobs=tuple(jobs),
            oldest_answer_s=work.rules.every_s + jobs[0].run_s_most,
            break_even_requests_per_month=None if found.from_rps is None else found.from_rps * float(requests),
            break_even_peak_rps=found.from_rps,
            is_cheaper_always=found.is_always,
        ),
        "",
    )


def precompute_assumptions(found: Precomputed | None) -> Iterable[Assumption]:
    """What a job's bill rests on that nobody measured."""
    if found is None:
        return
    yield Assumption(
        name="start of each machine of a run that works answers out beforehand",
        value=found.start_up_s,
        unit="s",
        source="assumed, but for what plan.start_up says",
    )
    yield Assumption(
        name="step in which the machines of such a run are billed",
        value=1.0,
        unit="s",
        source="assumed of every provider: some bill whole minutes, hours or months",
    )
    yield Assumption(
        name="keeping answers that were worked out beforehand, and looking them up",
        value=0.0,
        unit="USD per month",
        source="excluded: machines only",
    )


def _start_up_s(planned: Fleet, rules: PlanRules) -> float:
    return math.fsum(part.time_s for part in start_up_parts(rules.start_up, None, planned.capacity))


def _jobs(work: _Work, asked: Asked, catalog: Catalog) -> Iterable[BatchJob]:
    rules = asked.scenario.plan
    for kind in _KINDS:
        offers = (
            offer
            for offer in catalog.offers
            if offer.purchase == kind
            and offer.instance_type.provider in rules.providers
            and offer.region in rules.regions
        )
        rated = ((offer, asked.considered.batch_of(offer)) for offer in offers)
        jobs = [_job(offer, rate, work) for offer, rate in rated if rate is not None]
        yield from sorted(jobs, key=lambda job: (job.usd_per_month_high, job.n_machines, job.offer))[:1]


def _job(offer: Offer, rate: BatchRate, work: _Work) -> BatchJob:
    n_machines = work.n_machines(rate)

    def run_s(rows_per_s: float) -> float:
        return work.n_rows / rows_per_s / n_machines + work.start_up_s

    def usd_per_month(rows_per_s: float) -> Decimal:
        each_run = offer.usd_per_hour * n_machines * Decimal(f"{run_s(rows_per_s):.12g}") / _S_PER_HOUR
        return each_run * work.n_runs

    usd = usd_per_month(rate.rows_per_s)
    return BatchJob(
        offer=offer.name,
        purchase=offer.purchase,
        n_machines=n_machines,
        rows_per_s=rate.rows_per_s,
        rows_per_s_low=rate.rows_per_s_low,
        rows_per_s_high=rate.rows_per_s_high,
        run_s=run_s(rate.rows_per_s),
        run_s_most=run_s(rate.rows_per_s_low),
        usd_per_month=in_cents(usd),
        usd_per_month_low=in_cents(usd_per_month(rate.rows_per_s_high)),
        usd_per_month_high=in_cents(usd_per_month(rate.rows_per_s_low)),
        usd_less_per_month=in_cents(work.fleet_usd_per_month - usd),
        variant=rate.execution.variant,
        batch_size=rate.batch_size,
        basis=rate.basis,
        price_quality=offer.quality,
    )


def _is_above(usd: Decimal | None, job: BatchJob) -> bool:
    """Whether the fleet costs more, or there are too few machines for one."""
    return usd is None or usd > job.usd_per_month
