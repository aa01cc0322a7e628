"""Whether it takes a cluster, and a GPU, and what a fleet that somebody proposes would leave idle: records only."""

from dataclasses import dataclass
from decimal import Decimal

from loadplan.caveat import Basis
from loadplan.plan.records.choice import Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The fleets of machines with a GPU, or of those without one."""

    cheapest: Choice | None  # that meets the objectives with the spares gone; None: there is none, or nobody knows
    fewest: Choice | None  # of the fewest machines, the cheapest of those
    basis: Basis | None  # of the cheapest
    reason: str  # why there is none; empty: there is one


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuWins:
    """From which peak on a fleet with GPUs is cheaper than one without, all else as it is."""

    from_rps: float | None  # None: at no peak that was tried, or not known
    # Nothing is known of any GPU: so it is told for one that carries everything, and a real one wins later or never.
    is_earliest: bool
    usd_per_month_at_least: Decimal | None  # of any fleet with GPUs that bears the loss of its spares; None: no price
    tried_from_rps: float
    tried_to_rps: float
    reason: str  # why nothing can be said; empty: something is


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A fleet that somebody proposes, held to the rules of the plan and put beside it."""

    choice: Choice
    usd_more_per_month: Decimal  # than the plan; negative: it is cheaper
    holds: bool | None  # whether it carries the peak with the spares gone and the headroom free; None: not known
    reason: str  # why it does or doesn't, or why that isn't known
    carried_rps: float | None  # with the spares gone and the headroom free
    idle_at_peak_ratio: float | None  # of what all of it carries by the low end; None: not known
    idle_on_average_ratio: float | None  # over the week
    worth_rps: float | None  # peak that the planned offer carries for as much money; None: it buys none of that


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Is more than one machine needed, is a GPU, and what of a larger proposal?"""

    # The fewest machines that carry the peak with the headroom free and nothing to spare, the cheapest of those.
    least: Choice
    n_planned: int  # machines of the plan, spares included
    without_gpu: Side
    with_gpu: Side
    gpu_wins: GpuWins
    proposed: Proposed | None  # None: nobody proposes anything
