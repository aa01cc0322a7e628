"""Which roof an inference stands under on a measured machine, and so how it scales to another one.

The roofline model (Williams, Waterman and Patterson, Communications of the ACM 52(4), 2009) bounds a computation by two
roofs: arithmetic per second and bytes per second. What a model asks of each is read off its graph at export, what the
machine attains was probed, how long inference took was timed. So of the time of an inference a part is surely
arithmetic at the rate that the machine attains on large products, a part surely the streaming of weights that no cache
holds, and of the rest, kernels below the roof and the runtime's own work, nobody knows the roof.

The decision a reader would question: each part scales by its own ratio of peaks, the rest by anything between the
ratio of clocks and that of arithmetic peaks; so what is known of a model narrows the interval, and nothing known leaves
it as wide as the two ratios are apart. Eight-bit arithmetic has peaks of its own, by what instructions a processor has.
Bytes between operators are left out: on machines with megabytes of cache they seldom leave it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from loadplan.catalog.instance_type import CpuFamily
from loadplan.execution import ExecutionConfig
from loadplan.export.artifact import ModelCost
from loadplan.fit.records import CapacityFit, ServiceTimeFit
from loadplan.fit.service_time import service_time_s
from loadplan.machine import Machine
from loadplan.plan.hardware.microarchitecture import of_core
from loadplan.speed import ProbeResult

# The cost of each variant's graph, at a few batch sizes.
Costs = Mapping[str, Sequence[ModelCost]]
NO_COSTS: Costs = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class RoofShares:
    """Parts of the time of one inference; what is left is under neither roof for sure."""

    compute: float  # arithmetic at the rate attained here
    memory: float  # streaming weights at the rate attained here

    @property
    def rest(self) -> float:
        """The part whose roof is not known."""
        return max(1.0 - self.compute - self.memory, 0.0)


NOTHING_KNOWN = RoofShares(compute=0.0, memory=0.0)


def roof_shares(
    law: ServiceTimeFit, n_rows: float, costs: Sequence[ModelCost], probe: ProbeResult | None, machine: Machine
) -> RoofShares:
    """The parts of S(n_rows) on the machine where it was timed.

    compute = operations / attained operations per second / S, memory = weights / attained bytes per second / S where
    the weights are larger than the last-level cache, both at most what is left of 1. Eight-bit graphs compute with
    other instructions than the probe's, so of their arithmetic nothing is said.

    Args:
        law: the timed inferences.
        n_rows: of the batch in question.
        costs: what the variant's graph asks for; none: nothing is known.
        probe: what the machine attained; None: nothing is known.
        machine: where both were measured.
    """
    if not costs or probe is None or not law.execution.is_on_cpu:
        return NOTHING_KNOWN
    service_s, cost = service_time_s(law, n_rows), _nearest_cost(costs, n_rows)
    n_threads = law.execution.n_threads
    gflops = min(probe.gflops_one_thread.mean * n_threads, probe.gflops_all_threads.mean)
    gb_per_s = min(probe.gb_per_s_one_core.mean * n_threads, probe.gb_per_s_all_cores.mean)
    if n_threads == 1:
        gflops, gb_per_s = probe.gflops_one_thread.mean, probe.gb_per_s_one_core.mean
    compute = 0.0 if computes_in_int8(law.execution) else cost.flops_per_row * n_rows / (1e9 * gflops) / service_s
    compute = min(compute, 1.0)
    cache_bytes = machine.l3_cache_bytes or machine.l2_cache_bytes or math.inf
    streamed = cost.weight_bytes if cost.weight_bytes > cache_bytes else 0
    return RoofShares(compute=compute, memory=min(streamed / (1e9 * gb_per_s) / service_s, 1.0 - compute))


def attained_ratio(
    law: ServiceTimeFit, n_rows: float, costs: Sequence[ModelCost], probe: ProbeResult | None, machine: Machine
) -> float | None:
    """How much of the roof that binds a model reaches, at most 1; None where nothing is known."""
    shares = roof_shares(law, n_rows, costs, probe, machine)
    return None if shares == NOTHING_KNOWN else min(shares.compute + shares.memory, 1.0)


def computes_in_int8(execution: ExecutionConfig) -> bool:
    """Whether the graph computes with eight-bit integers."""
    return execution.variant.startswith("int8")


def has_peak_for(execution: ExecutionConfig, here: CpuFamily, there: CpuFamily) -> bool:
    """Whether the catalogue knows what both processors do at the precision of this graph."""
    return not computes_in_int8(execution) or None not in (here.peak_int8_gops_per_vcpu, there.peak_int8_gops_per_vcpu)


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceRatio:
    """How many times as fast inference is on a core there as on one here."""

    low: float
    middle: float
    high: float


def inference_ratio(here: CpuFamily, there: CpuFamily, shares: RoofShares, *, is_int8: bool) -> InferenceRatio:
    """1 / (compute / peaks + memory / bandwidths + rest / anything between the clocks and the peaks).

    The bandwidth of one core lies between its share of the socket's, where all cores stream, and what its clock lets it
    ask for, where it streams alone; the middle is the geometric mean of the two. Where the catalogue doesn't know the
    bandwidth of both, that part is a part of the rest.
    """
    clock, peak = there.clock_ghz / here.clock_ghz, _peak_ratio(here, there, is_int8=is_int8)
    spans = [(shares.compute, peak, peak), (shares.rest, min(clock, peak), max(clock, peak))]
    bandwidth = _bandwidth_ratio(here, there)
    streams = (clock, peak) if bandwidth is None else (bandwidth, clock)
    spans.append((shares.memory, min(streams), max(streams)))
    return InferenceRatio(
        low=1.0 / math.fsum(share / low for share, low, _ in spans),
        middle=1.0 / math.fsum(share / math.sqrt(low * high) for share, low, high in spans),
        high=1.0 / math.fsum(share / high for share, _, high in spans),
    )


def missed_by(
    here: CapacityFit, there: CapacityFit, families: tuple[CpuFamily, CpuFamily], costs: Costs
) -> float | None:
    """By which factor the service times of one measured machine, taken to another one, miss those measured there.

    The worst of all executions and batch sizes that both were timed with; None where there are none.
    """
    worst: float | None = None
    for law in here.service_times:
        other = next((one for one in there.service_times if one.execution == law.execution), None)
        if other is None or not law.execution.is_on_cpu or not has_peak_for(law.execution, *families):
            continue
        for size, mean_s in zip(law.batch_sizes, law.mean_s, strict=True):
            if size in other.batch_sizes:
                shares = roof_shares(law, size, costs.get(law.execution.variant, ()), here.probe, here.machine)
                ratio = inference_ratio(*families, shares, is_int8=computes_in_int8(law.execution))
                measured = mean_s / other.mean_s[other.batch_sizes.index(size)]
                missed = max(measured / ratio.high, ratio.low / measured, 1.0)
                worst = missed if worst is None else max(worst, missed)
    return worst


def _peak_ratio(here: CpuFamily, there: CpuFamily, *, is_int8: bool) -> float:
    if is_int8 and here.peak_int8_gops_per_vcpu and there.peak_int8_gops_per_vcpu:
        return of_core(there.peak_int8_gops_per_vcpu, there) / of_core(here.peak_int8_gops_per_vcpu, here)
    return of_core(there.peak_fp32_gflops_per_vcpu, there) / of_core(here.peak_fp32_gflops_per_vcpu, here)


def _bandwidth_ratio(here: CpuFamily, there: CpuFamily) -> float | None:
    if here.memory_gb_per_s_per_vcpu is None or there.memory_gb_per_s_per_vcpu is None:
        return None
    return of_core(there.memory_gb_per_s_per_vcpu, there) / of_core(here.memory_gb_per_s_per_vcpu, here)


def _nearest_cost(costs: Sequence[ModelCost], n_rows: float) -> ModelCost:
    return min(costs, key=lambda cost: abs(math.log(cost.batch_size / max(n_rows, 1.0))))
