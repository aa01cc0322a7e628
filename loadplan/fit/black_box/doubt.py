"""One live run near what the service is said to carry shows whether the structure suits it. Seconds."""

from loadplan.caveat import Caveat
from loadplan.errors import InvalidMeasurement
from loadplan.fit.black_box.predict import predict_service_run
from loadplan.fit.black_box.records import ServiceFit
from loadplan.fit.useful_runs import reasons_against, right_and_clean
from loadplan.load.records import LoadRun
from loadplan.stats import percentile


def structure_doubt(fit: ServiceFit, check: LoadRun) -> Caveat | None:
    """What to say where the p99 of the run lies outside the interval predicted for its own requests; None: it suits.

    With such a doubt nothing that was derived from the laws should be planned on: see `capacity_at_measured_rates`.

    Raises:
        InvalidMeasurement: when the run is not valid, or has too few answers for a p99.
    """
    reasons = reasons_against(check)
    if reasons:
        raise InvalidMeasurement(
            what=f"the check says nothing: {'; '.join(reasons)}",
            where=f"load run {check.spec.name}",
            fix="run the same command again when the machine is quieter",
        )
    told = predict_service_run(fit, check)
    log, counts = check.requests, right_and_clean(check)
    p99_s = percentile((log.done_s - log.due_s)[counts], 0.99)
    interval = told.p99_interval
    if interval.low <= p99_s <= interval.high:
        return None
    side = "slower" if p99_s > interval.high else "faster"
    return Caveat(
        code="fit.structure_not_suited",
        what=f"structure not suited: at {told.offered_rate_rps:,.4g} requests/s the service had a p99 of "
        f"{1e3 * p99_s:,.3g} ms, and {1e3 * interval.low:,.3g} to {1e3 * interval.high:,.3g} ms were predicted; it is "
        f"{side} than waits, slots and CPU alone make it",
        fix="plan on the rates that were measured; find the capacity live with `loadplan load URL --find-capacity`",
        number=p99_s / told.p99_s,
    )
