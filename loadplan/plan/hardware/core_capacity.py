"""What every setting of a fit carries on one kind of hardware, of the core or the GPU that one server process has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

from loadplan.catalog.instance_type import CpuFamily, InstanceType
from loadplan.caveat import Basis
from loadplan.execution import ExecutionConfig
from loadplan.fit.records import Binding, Breakdown, CapacityFit, SettingCapacity, StartTimes
from loadplan.plan.hardware.accelerator import n_gpus
from loadplan.plan.hardware.breakdowns import breakdown_on
from loadplan.plan.hardware.fleet_gain import Gain, gains_of
from loadplan.plan.hardware.measured import Ground
from loadplan.plan.hardware.memory import n_held
from loadplan.plan.hardware.misses import TransferMisses, shares_of
from loadplan.plan.hardware.roofline import Costs, RoofShares, computes_in_int8, has_peak_for, inference_ratio
from loadplan.plan.hardware.transfer import (
    SAME_MACHINE,
    THREAD_CORE_SHARE,
    UNPLACED,
    CapacityRange,
    SpeedRatio,
    host_speed_ratio,
    inference_share,
    speed_ratio,
    transferred_capacity,
)
from loadplan.slo import Slo


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Hardware that was not measured."""

    family: CpuFamily | None  # None: nothing is known of its processor
    has_gpu: bool  # the same as was measured


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreCapacity:
    """One setting on one kind of core, or on one GPU of a kind of host."""

    here: SettingCapacity
    speed: SpeedRatio
    there: CapacityRange  # of one server process
    basis: Basis
    measured_on: str | None  # the type or the GPU whose profile this rests on; None: the machine at hand
    binding: Binding | None  # where there are classes
    server_bytes: int | None  # memory of one server process; None: nobody looked
    gain_of: Callable[[int], Gain]  # from the processes of a replica
    fit: CapacityFit  # of the machine that was measured
    start: StartTimes | None  # of one server process; None: no start was measured
    breakdown: Breakdown | None  # where the time goes on the machine that was measured; None: nobody looked


def capacity_table(
    ground: Ground, objectives: Sequence[Slo], costs: Costs, missed: TransferMisses
) -> Callable[[Elsewhere | None], tuple[CoreCapacity, ...]]:
    """Every setting of the fit elsewhere, each kind of hardware worked out once; None stands for the ground's own.

    Elsewhere a GPU's settings go to GPUs alone, and a processor's to machines without one: whoever rents a GPU to let
    it stand idle has to have measured that it does. Eight-bit graphs go where the catalogue knows what the processor
    does with them.
    """
    gains, breakdowns = cache(partial(gains_of, ground.fit)), cache(partial(breakdown_on, ground.fit))

    @cache
    def capacities_on(there: Elsewhere | None) -> tuple[CoreCapacity, ...]:
        return tuple(
            _core_capacity(
                ground,
                capacity,
                there,
                objectives,
                _speed(ground, capacity, there, costs, missed),
                gains(capacity.setting.execution.provider),
                capacity.breakdown or breakdowns(capacity.setting.execution.provider),
            )
            for capacity in ground.fit.capacities
            if there is None or goes_there(ground, capacity.setting.execution, there)
        )

    return capacities_on


def goes_there(ground: Ground, execution: ExecutionConfig, there: Elsewhere) -> bool:
    """Whether what was measured with an execution says anything of other hardware."""
    if there.has_gpu or not execution.is_on_cpu:
        return there.has_gpu != execution.is_on_cpu
    return ground.family is None or there.family is None or has_peak_for(execution, ground.family, there.family)


def _speed(
    ground: Ground, capacity: SettingCapacity, there: Elsewhere | None, costs: Costs, missed: TransferMisses
) -> SpeedRatio:
    if there is None:
        return SAME_MACHINE
    return speed_there(
        ground,
        capacity.setting.execution,
        there,
        share=inference_share(ground.fit, capacity),
        roofs=shares_of(ground.fit, capacity, costs),
        missed=missed,
    )


def speed_there(
    ground: Ground,
    execution: ExecutionConfig,
    there: Elsewhere,
    *,
    share: float,
    roofs: RoofShares,
    missed: TransferMisses,
) -> SpeedRatio:
    """Speed of other hardware against the machine that was measured.

    Args:
        ground: the machine that was measured.
        execution: what runs.
        there: the other hardware.
        share: of inference in the time of a full batch.
        roofs: under which the inference stands where it was measured.
        missed: by which factor such transfers were off.
    """
    here = ground.family
    if there.has_gpu:
        return host_speed_ratio(here, there.family, inference_share=share)
    if here is None or there.family is None:
        return UNPLACED
    return speed_ratio(
        here,
        there.family,
        inference_share=share,
        inference=inference_ratio(here, there.family, roofs, is_int8=computes_in_int8(execution)),
        missed=missed.factor(here, there.family),
    )


def _core_capacity(
    ground: Ground,
    capacity: SettingCapacity,
    there: Elsewhere | None,
    objectives: Sequence[Slo],
    speed: SpeedRatio,
    gain_of: Callable[[int], Gain],
    breakdown: Breakdown | None,
) -> CoreCapacity:
    law = next((law for law in ground.fit.service_times if law.execution == capacity.setting.execution), None)
    return CoreCapacity(
        here=capacity,
        speed=speed,
        there=transferred_capacity(capacity, speed, objectives),
        basis=ground.fit.basis if there is None else "extrapolated",
        measured_on=None if ground.is_here else ground.label,
        binding=capacity.binding if ground.fit.classes else None,
        server_bytes=None if law is None else law.server_bytes,
        start=None if law is None else law.start,
        gain_of=gain_of,
        fit=ground.fit,
        breakdown=breakdown,
    )


def n_server_processes(instance_type: InstanceType, core: CoreCapacity) -> int:
    """How many server processes of a setting fill the whole cores of a type, or its GPUs; 0 where none fits."""
    return n_processes_on(instance_type, core.here.setting.execution, core.server_bytes)


def n_processes_on(instance_type: InstanceType, execution: ExecutionConfig, process_bytes: int | None) -> int:
    """How many processes with an execution fill the whole cores of a type, or its GPUs; 0 where none fits.

    One process has a GPU for itself: what several would make of one isn't known from one. And all of them must fit
    into the memory that is usable; None: nobody looked how much one takes.
    """
    family = instance_type.cpu_family
    # A type of which nothing is known is this machine's own; its vCPUs are taken for threads, the lesser of the two.
    core_share = 1.0 if family is not None and family.vcpu_is == "core" else THREAD_CORE_SHARE
    n_on_cores = int(instance_type.n_vcpus * core_share) // (execution.n_threads * execution.n_sessions)
    n_fitting = n_on_cores if execution.is_on_cpu else min(n_on_cores, n_gpus(instance_type))
    held = n_held(instance_type, process_bytes)
    return n_fitting if held is None else min(n_fitting, held)
