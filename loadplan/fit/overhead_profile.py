"""What a server costs beside its inference, kept for other models behind the same server with requests as large.

Overheads belong to the server, the machine and the size of a request, not to the model: in the prototype costs fitted
on one model gave the saturated rate of another one within 0 to 12 %. The decision a reader would question is what such
a profile may do: a measured fit begins its search there and says what the runs say, for the start decides nothing but
how long the search takes; and only where nothing was driven at all it stands for a fit, with intervals that are wider.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from loadplan.bench.records import BenchRun
from loadplan.caveat import Caveat
from loadplan.errors import InputError
from loadplan.fit.capacity import with_capacities
from loadplan.fit.memory import with_server_memory
from loadplan.fit.records import CapacityFit, OverheadFit
from loadplan.fit.service_time import fit_service_times, not_served_caveats
from loadplan.machine import Machine
from loadplan.scenario.arrivals import busiest
from loadplan.scenario.spec import Scenario

# Standard deviation of ln(cost) from one model to another. Assumed: the prototype's saturated rates were off by 0.1 to
# 11.7 %, 6.2 % root mean square, where overheads took half of the time; so 12 % of the costs, and that doubled.
_BORROWED_SPREAD = 0.25
_COSTS = ("request_s", "response_s", "batch_s", "wake_s", "transfer_s", "row_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class OverheadProfile:
    """The overheads of one server on one machine, for requests of one size."""

    server: Mapping[str, str]  # what the server is made of, by package
    machine: str  # fingerprint
    payload_log2_bytes: int  # of one request's tensors, as a power of two: nothing is known of how costs grow with it
    overhead: OverheadFit  # without residuals
    plausible: tuple[OverheadFit, ...]
    run: str  # that it was fitted to
    measured_on: date


def profile_key(server: Mapping[str, str], machine: Machine, payload_bytes: float) -> str:
    """What must be the same for a profile to be of any use, as a name."""
    parts = (sorted(server.items()), machine.fingerprint, log2_bytes(payload_bytes))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def log2_bytes(payload_bytes: float) -> int:
    """The nearest power of two of the size of a request."""
    return round(float(np.log2(max(payload_bytes, 1.0))))


def overhead_profile(
    fit: CapacityFit, *, server: Mapping[str, str], payload_bytes: float, run: str, measured_on: date
) -> OverheadProfile:
    """What of a fit other models may begin with."""
    return OverheadProfile(
        server=dict(server),
        machine=fit.machine.fingerprint,
        payload_log2_bytes=log2_bytes(payload_bytes),
        overhead=replace(fit.overhead, residuals=()),
        plausible=fit.plausible,
        run=run,
        measured_on=measured_on,
    )


def borrowed_capacity(benched: BenchRun, profile: OverheadProfile, scenario: Scenario) -> CapacityFit:
    """What a server carries by this model's own bench and another model's overheads: nothing of it was driven live.

    Every plausible law is off by a factor of its own, drawn for all costs together and for each of them, so that the
    intervals hold what a change of model may do.

    Raises:
        InputError: when the profile is of another machine, or the scenario's batches are far larger than any timed.
        InvalidMeasurement: when nothing was benchmarked.
    """
    if profile.machine != benched.machine.fingerprint:
        raise InputError(
            what=f"the server's costs were measured on another machine ({profile.machine}), this one is "
            f"{benched.machine.fingerprint}",
            where="the overhead profile",
            fix="run `loadplan run` here; it drives the server live",
        )
    service_times = fit_service_times(benched, extrapolate_batches=scenario.serving.extrapolate_batches)
    rng = np.random.default_rng(scenario.load.seed)
    fit = CapacityFit(
        machine=benched.machine,
        basis="simulated",
        arrivals=busiest(scenario.traffic.arrivals),
        rows_per_request=scenario.traffic.rows_per_request,
        service_times=with_server_memory(service_times, benched.starts, ()),
        overhead=profile.overhead,
        plausible=tuple(_strayed(law, rng) for law in profile.plausible),
        capacities=(),
        seed=scenario.load.seed,
        probe=benched.probe,
        caveats=(*benched.caveats, *not_served_caveats(service_times), _borrowed_caveat(profile)),
    )
    return with_capacities(fit, scenario)


def _strayed(law: OverheadFit, rng: np.random.Generator) -> OverheadFit:
    shared = rng.standard_normal()
    factors = {
        name: float(np.exp(_BORROWED_SPREAD * (shared + rng.standard_normal()) / np.sqrt(2.0))) for name in _COSTS
    }
    return replace(law, **{name: getattr(law, name) * factor for name, factor in factors.items()})


def _borrowed_caveat(profile: OverheadProfile) -> Caveat:
    return Caveat(
        code="fit.borrowed_overhead",
        what=f"nothing was driven live: the server's own costs are those of the run {profile.run} of "
        f"{profile.measured_on}, give or take {_BORROWED_SPREAD:.0%}",
        fix="run `loadplan run`, which drives the server with this model",
        number=_BORROWED_SPREAD,
    )
