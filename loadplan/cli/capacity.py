"""`loadplan load … --find-capacity`: the search, and how its probes are shown."""

import math
import sys
from collections.abc import Callable, Mapping

from loadplan.cli import console
from loadplan.errors import InputError, InvalidMeasurement, LoadplanError, ObjectiveMissed
from loadplan.load.records import LoadRun
from loadplan.load.search import CONFIDENCE_RATIO, FoundCapacity, Probe, SearchLimits, conclude
from loadplan.pipeline.adhoc import LoadRequest
from loadplan.pipeline.capacity_search import search_capacity
from loadplan.scenario.arrivals import Callers, ReplayArrivals
from loadplan.slo import LatencyLimit, Slo
from loadplan.units import SECONDS_PER_MS

_FIRST_RATE_RPS = 50.0
_QUANTILE = 0.99


def show_capacity(
    drive: Callable[[LoadRequest], LoadRun],
    request: LoadRequest,
    *,
    p99_ms: float | None,
    budget_s: float,
    as_json: bool,
    debug: bool,
) -> int:
    """Search, show every probe, and return the exit code; what an interrupted search had found is shown too.

    Raises:
        InputError: when no limit is given, or one that is no time.
    """
    if p99_ms is None or not 0.0 < p99_ms < math.inf:
        raise InputError(
            what="the search needs to know how slow the slowest hundredth of the answers may be",
            where="--find-capacity",
            fix="say it with --p99-ms, such as --p99-ms 50",
        )
    if isinstance(request.arrivals, Callers | ReplayArrivals):
        raise InputError(
            what="a capacity is searched with arrivals that can come at any rate and don't wait for answers",
            where="--find-capacity",
            fix="search with --arrivals poisson, or gamma with --cv",
        )
    limit = LatencyLimit(quantile=_QUANTILE, limit_s=p99_ms * SECONDS_PER_MS)
    slo = Slo(limits=(limit,), max_failed_ratio=1.0 - _QUANTILE)
    limits = SearchLimits(
        first_rate_rps=request.rate_rps or _FIRST_RATE_RPS, max_rate_rps=request.max_rate_rps, budget_s=budget_s
    )
    probes: list[Probe] = []
    try:
        found = search_capacity(drive, request, limits, slo, on_probe=probes.append)
    except KeyboardInterrupt:
        print("\n".join(capacity_lines(conclude(limits, probes))), file=sys.stderr if as_json else sys.stdout)
        raise
    console.result("\n".join(capacity_lines(found)), capacity_document(found, limit), as_json=as_json)
    return console.exit_code(failure_of(found), debug=debug)


def failure_of(found: FoundCapacity) -> LoadplanError | None:
    """What a search that proved no rate comes to; None for any other."""
    if found.usable_rps is not None:
        return None
    if found.high_rps is not None:
        return ObjectiveMissed(
            what=f"no rate was found at which the objective holds: {found.reason}",
            where="the capacity search",
            fix="allow slower answers with --p99-ms, or look at what one request alone takes",
        )
    return InvalidMeasurement(
        what=f"no capacity could be proved: {found.reason}",
        where="the capacity search",
        fix="give it more time with --budget, on a quieter machine",
    )


def capacity_lines(found: FoundCapacity) -> list[str]:
    """One line per probe, then what they prove."""
    lines = ["   requests/s       for  outcome   beyond the limit (bounds at 99 %)"]
    lines += [_probe_line(probe) for probe in found.probes]
    if found.usable_rps is None:
        return [*lines, f"capacity  none proved: {found.reason}"]
    above = f"{found.high_rps:,.4g} missed" if found.high_rps is not None else f"no upper end: {found.reason}"
    return [*lines, f"capacity  {found.usable_rps:,.4g} requests/s passed; {above}"]


def capacity_document(found: FoundCapacity, limit: LatencyLimit) -> Mapping[str, object]:
    """The capacity with its bounds and every probe; `usable_capacity_rps` is proved, so it is the lower bound too."""
    return {
        "schema": "loadplan.load/1",
        "quantile": limit.quantile,
        "limit_s": limit.limit_s,
        **_or_reason("usable_capacity_rps", found.usable_rps, found.reason),
        **_or_reason("usable_capacity_rps_low", found.usable_rps, found.reason),
        **_or_reason("usable_capacity_rps_high", found.high_rps, found.reason or "no rate was missed for sure"),
        "bound": "Clopper-Pearson on the effective number of independent answers",
        "bound_confidence_ratio": 0.5 + CONFIDENCE_RATIO / 2.0,
        "probes": [_probe(probe) for probe in found.probes],
    }


def _probe_line(probe: Probe) -> str:
    start = f"{probe.rate_rps:>13,.4g} {probe.duration_s:>7.1f} s  {probe.outcome:<8}"
    if probe.outcome == "invalid":
        return f"{start}  {'; '.join(probe.invalid_reasons)}"
    share, low, high = (probe.allowed_ratio * x for x in (probe.strain, probe.strain_low, probe.strain_high))
    return f"{start}  {share:.2%} ({low:.2%} to {high:.2%}) of {probe.n_requests:,}, {probe.allowed_ratio:.2%} may be"


def _probe(probe: Probe) -> Mapping[str, object]:
    figures = {
        "throughput_rps": probe.throughput_rps,
        "miss_ratio": probe.allowed_ratio * probe.strain,
        "miss_ratio_low": probe.allowed_ratio * probe.strain_low,
        "miss_ratio_high": probe.allowed_ratio * probe.strain_high,
        "n_independent": probe.n_independent,
    }
    document: dict[str, object] = {
        "offered_rate_rps": probe.rate_rps,
        "duration_s": probe.duration_s,
        "n_requests": probe.n_requests,
        "outcome": probe.outcome,
        "invalid_reasons": list(probe.invalid_reasons),
    }
    for name, value in figures.items():
        document |= _or_reason(name, None if math.isnan(value) else value, "the probe is invalid")
    return document


def _or_reason(name: str, value: float | None, reason: str | None) -> Mapping[str, object]:
    return {name: value} if value is not None else {name: None, f"{name}_reason": reason}
