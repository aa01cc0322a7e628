"""How far the transfer between processors was off where it can be tested: between machines that were all measured.

The decision a reader would question: the worst miss of any pair stands for all pairs of the same kind, for a handful of
machines has no law of errors; and it only ever widens, since the pair that is asked for was not among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from loadplan.catalog.instance_type import CpuFamily
from loadplan.fit.carried import requests_in_full_batch
from loadplan.fit.records import CapacityFit, SettingCapacity
from loadplan.plan.hardware.measured import Ground
from loadplan.plan.hardware.roofline import Costs, RoofShares, missed_by, roof_shares


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferMisses:
    """By which factor service times were missed between machines of one architecture, and of two; 1: not tested."""

    same_architecture: float
    other_architecture: float

    def factor(self, here: CpuFamily, there: CpuFamily) -> float:
        """That of such a pair; a processor is as fast as itself."""
        if here == there:
            return 1.0
        return self.same_architecture if here.architecture == there.architecture else self.other_architecture


def transfer_misses(grounds: Sequence[Ground], costs: Costs) -> TransferMisses:
    """The worst misses over every pair of measured machines whose processors are known and differ."""
    worst = {True: 1.0, False: 1.0}
    for here, there in permutations(grounds, 2):
        if here.family is None or there.family is None or here.family == there.family:
            continue
        missed = missed_by(here.fit, there.fit, (here.family, there.family), costs)
        is_same = here.family.architecture == there.family.architecture
        worst[is_same] = max(worst[is_same], missed or 1.0)
    return TransferMisses(same_architecture=worst[True], other_architecture=worst[False])


def shares_of(fit: CapacityFit, capacity: SettingCapacity, costs: Costs) -> RoofShares:
    """Under which roofs the full batches of a setting stand where it was measured."""
    execution = capacity.setting.execution
    law = next(law for law in fit.service_times if law.execution == execution)
    n_requests = requests_in_full_batch(capacity.setting.serving.max_batch_size, fit.rows_per_request.mean)
    n_rows = n_requests * fit.rows_per_request.mean
    return roof_shares(law, n_rows, costs.get(execution.variant, ()), fit.probe, fit.machine)
