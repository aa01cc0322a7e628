"""The numbers on which a plan rests although nobody measured them here."""

from loadplan.catalog.instance_type import CpuFamily
from loadplan.fit.records import Balancer
from loadplan.plan.hardware.memory import KEPT_RATIO, SYSTEM_GIB
from loadplan.plan.hardware.microarchitecture import core_peak_gflops
from loadplan.plan.hardware.misses import TransferMisses
from loadplan.plan.hardware.transfer import (
    OTHER_ARCHITECTURE_FACTOR,
    OTHER_HOST_FACTOR,
    SAME_ARCHITECTURE_FACTOR,
    THREAD_CORE_SHARE,
    UNPLACED_FACTOR,
)
from loadplan.plan.records.fleet import Assumption
from loadplan.scenario.arrivals import busiest
from loadplan.scenario.burstiness import long_run_dispersion
from loadplan.scenario.spec import Scenario

_ZONES = "zones that the replicas are dealt out to evenly, any one of which may be gone"


def common_assumptions(scenario: Scenario) -> tuple[Assumption, ...]:
    """What every plan assumes, whatever its capacities rest on."""
    n_zones = scenario.plan.n_zones
    zones = () if n_zones is None else (_assumption(_ZONES, n_zones, "count", "scenario: plan.zones"),)
    return (
        *zones,
        _assumption("hours per month", scenario.plan.hours_per_month, "h", "scenario: plan.hours_per_month"),
        _assumption("growth per month", scenario.traffic.growth_per_month_ratio, "ratio", "scenario: traffic"),
        _assumption(
            "load balancer, disk, control plane, data transfer", 0.0, "USD per month", "excluded: machines only"
        ),
    )


def balancer_assumptions(balancer: Balancer | None) -> tuple[Assumption, ...]:
    """How requests are taken to find a replica, and a process in it."""
    if balancer is None:
        return (_assumption("share of the traffic that each of n replicas gets", 1.0, "1/n", "assumed: even"),)
    name = f"connections open to each server process, behind a balancer that goes by {balancer.balancing}"
    return (_assumption(name, balancer.connections_per_process, "count", "scenario: fleet"),)


def extrapolation_assumptions(
    scenario: Scenario, here: CpuFamily | None, missed: TransferMisses
) -> tuple[Assumption, ...]:
    """What is assumed where the fit of this machine is taken to other hardware."""
    shared = (
        *_burstiness(scenario),
        _assumption("server processes per core and thread", 1.0, "count", "assumed: one fills one core"),
        _assumption(
            "gain of each further server process, evenly loaded", 1.0, "ratio", "assumed: cores scale linearly"
        ),
        _assumption("core behind a vCPU that is a hardware thread", THREAD_CORE_SHARE, "cores", "assumed"),
        _assumption("memory that firmware and hypervisor keep", KEPT_RATIO, "ratio", "assumed: as Karpenter does"),
        _assumption("memory that the system takes", SYSTEM_GIB, "GiB", "assumed"),
    )
    if here is None:
        factor = _assumption(
            "speed of any other core against this one, up or down", UNPLACED_FACTOR, "factor", "assumed: not placed"
        )
        return (*shared, factor)
    return (
        *shared,
        _assumption("clock of this machine", here.clock_ghz, "GHz", f"catalogue: {here.provider} {here.name}"),
        _assumption(
            "peak of a core of this machine",
            core_peak_gflops(here),
            "GFLOP/s",
            f"catalogue: {here.provider} {here.name}",
        ),
        _error("same", SAME_ARCHITECTURE_FACTOR, missed.same_architecture),
        _error("other", OTHER_ARCHITECTURE_FACTOR, missed.other_architecture),
    )


def _error(kind: str, assumed: float, missed: float) -> Assumption:
    """The widening of what is extrapolated: assumed, unless machines that were all measured showed it to be more."""
    source = "assumed" if missed <= assumed else "the worst miss between the machines that were measured"
    return _assumption(f"error of a speed extrapolated, {kind} architecture", max(assumed, missed), "factor", source)


def _burstiness(scenario: Scenario) -> tuple[Assumption, ...]:
    """What the laws with a closed form tend to; a recording says it itself."""
    traffic = scenario.traffic
    dispersion = long_run_dispersion(busiest(traffic.arrivals), rate_rps=traffic.peak_rps)
    if dispersion is None:
        return ()
    name = "burstiness of the requests: variance over mean of their counts in a long window"
    return (_assumption(name, dispersion, "ratio", "scenario: traffic.arrivals"),)


def gpu_assumptions() -> tuple[Assumption, ...]:
    """What is assumed where something was measured on a GPU."""
    return (
        _assumption("server processes per GPU", 1.0, "count", "assumed: several on one GPU are not planned"),
        _assumption("error of the speed of the same GPU in another host", OTHER_HOST_FACTOR, "factor", "assumed"),
    )


def _assumption(name: str, value: float, unit: str, source: str) -> Assumption:
    return Assumption(name=name, value=float(value), unit=unit, source=source)
