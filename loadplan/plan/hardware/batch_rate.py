"""How many rows a second a machine works off that does nothing else: batches on all its cores, or its GPUs.

rows per second = processes x b / S(b), with the batch b that is best at it, taken to other hardware as the capacities
are, for work that is inference alone. The decisions a reader would question: processes are taken to scale linearly over
cores, as servers are; and nothing is counted for reading the rows and writing the answers, which is the caller's code.
"""

from dataclasses import dataclass

from loadplan.catalog.price import Offer
from loadplan.caveat import Basis
from loadplan.execution import ExecutionConfig
from loadplan.fit.records import ServiceTimeFit
from loadplan.fit.service_time import served_laws
from loadplan.plan.hardware.core_capacity import Elsewhere, goes_there, n_processes_on, speed_there
from loadplan.plan.hardware.measured import Ground
from loadplan.plan.hardware.misses import TransferMisses
from loadplan.plan.hardware.roofline import Costs, roof_shares
from loadplan.plan.hardware.transfer import SAME_MACHINE


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRate:
    """Of one machine."""

    rows_per_s: float
    rows_per_s_low: float  # by the slow ends of the bench's interval and of what is known of other hardware
    rows_per_s_high: float
    execution: ExecutionConfig
    batch_size: int  # rows
    n_processes: int
    basis: Basis


def batch_rate(
    offer: Offer, ground: Ground, there: Elsewhere | None, costs: Costs, missed: TransferMisses
) -> BatchRate | None:
    """The best of the executions that were timed, by the low end; None where none fits.

    Args:
        offer: the machine.
        ground: the one that was measured.
        there: the offer as hardware that was not; None: it is of the ground's own type.
        costs: what the graph of each variant asks for.
        missed: by which factor earlier transfers were off.
    """
    found = [
        _rate(offer, ground, law, there, costs, missed)
        for law in served_laws(ground.fit.service_times)
        if there is None or goes_there(ground, law.execution, there)
    ]
    return max((one for one in found if one is not None), key=lambda one: one.rows_per_s_low, default=None)


def _rate(
    offer: Offer,
    ground: Ground,
    law: ServiceTimeFit,
    there: Elsewhere | None,
    costs: Costs,
    missed: TransferMisses,
) -> BatchRate | None:
    n_processes = n_processes_on(offer.instance_type, law.execution, law.server_bytes)
    if n_processes == 0:
        return None
    i = max(range(len(law.batch_sizes)), key=lambda i: law.batch_sizes[i] / law.mean_s[i])
    size, fit = law.batch_sizes[i], ground.fit
    speed = SAME_MACHINE
    if there is not None:
        roofs = roof_shares(law, size, costs.get(law.execution.variant, ()), fit.probe, fit.machine)
        speed = speed_there(ground, law.execution, there, share=1.0, roofs=roofs, missed=missed)
    return BatchRate(
        rows_per_s=n_processes * speed.middle * size / law.mean_s[i],
        rows_per_s_low=n_processes * speed.low * size / law.mean_s_high[i],
        rows_per_s_high=n_processes
        * speed.high
        * size
        / (law.mean_s_low[i] or law.mean_s[i]),  # down to 0: it is not known
        execution=law.execution,
        batch_size=size,
        n_processes=n_processes,
        basis="measured" if there is None else "extrapolated",
    )
