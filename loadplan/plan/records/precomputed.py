"""Answers that are worked out beforehand beside a fleet that answers as it is asked: records only."""

from dataclasses import dataclass
from decimal import Decimal

from loadplan.catalog.price import PurchaseKind
from loadplan.caveat import Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchJob:
    """One run over all entities, again and again, on the cheapest machines of one kind of purchase."""

    offer: str
    purchase: PurchaseKind
    n_machines: int  # with which a run is done in time, by the low end of what each works off
    rows_per_s: float  # of each machine
    rows_per_s_low: float
    rows_per_s_high: float
    run_s: float  # from the start of the machines to the last answer
    run_s_most: float  # by the low end
    usd_per_month: Decimal
    usd_per_month_low: Decimal
    usd_per_month_high: Decimal
    usd_less_per_month: Decimal  # than the fleet; negative: it is dearer
    variant: str  # of the model
    batch_size: int  # rows
    basis: Basis
    price_quality: str  # `ok`, or what is doubtful about the price


@dataclass(frozen=True, slots=True, kw_only=True)
class Precomputed:
    """All answers worked out every so often; what keeps them and looks them up is not priced."""

    n_entities: int
    rows_per_entity: float
    every_s: float
    within_s: float
    start_up_s: float  # of each machine of a run, paid for as well
    jobs: tuple[BatchJob, ...]  # cheapest first, one for each kind of purchase
    oldest_answer_s: float  # before it is replaced, by the low end of the cheapest job
    # Requests a month from which on the fleet is dearer than the cheapest job; None: at no rate that was tried.
    break_even_requests_per_month: float | None
    break_even_peak_rps: float | None
    is_cheaper_always: bool  # down to the least rate that was tried
