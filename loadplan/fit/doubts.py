"""What is doubtful about a fit because of the live runs that it rests on, and what no fit can answer."""

from collections.abc import Sequence

from loadplan.caveat import Caveat
from loadplan.errors import InputError
from loadplan.fit.carried import carried_gap_s
from loadplan.fit.records import Residual, ServiceTimeFit
from loadplan.fit.useful_runs import reasons_against
from loadplan.load.records import LoadRun

CONTRADICTS_FROM = 1.5


def reasons_of(loads: Sequence[LoadRun]) -> list[str]:
    """Everything that is wrong with some of the runs, each thing once."""
    return list(dict.fromkeys(reason for run in loads for reason in reasons_against(run)))


def backlog_caveats(loads: Sequence[LoadRun]) -> tuple[Caveat, ...]:
    """No run shows what the server carries while requests wait."""
    if any(carried_gap_s(run) is not None for run in loads):
        return ()
    return (
        Caveat(
            code="fit.no_backlog",
            what="requests never queued up for long in the live runs, so what the server carries is known from its "
            "latencies alone",
            fix="allow more time for each live run with load.duration_s",
        ),
    )


def other_provider_caveats(laws: Sequence[ServiceTimeFit], loads: Sequence[LoadRun]) -> tuple[Caveat, ...]:
    """The server's own costs are known from live runs on one provider alone."""
    driven = {run.spec.setting.execution.provider for run in loads if run.spec.setting is not None}
    others = sorted({law.execution.provider for law in laws} - driven)
    if not others or not driven:
        return ()
    return (
        Caveat(
            code="fit.other_provider",
            what=f"the server's own costs were fitted to live runs on {' and '.join(sorted(driven))} and are taken to "
            f"be the same on {' and '.join(others)}",
            fix="drive the planned setting live with `loadplan verify` on such a machine",
        ),
    )


def run_caveats(loads: Sequence[LoadRun]) -> tuple[Caveat, ...]:
    """The doubts of the runs themselves, and that some were left out."""
    own = {caveat.code: caveat for run in loads for caveat in run.caveats}  # one of a kind is enough
    useless = [run for run in loads if reasons_against(run)]
    if not useless:
        return tuple(own.values())
    left_out = Caveat(
        code="fit.runs_left_out",
        what=f"{len(useless)} of {len(loads)} live runs were left out of the fit: {'; '.join(reasons_of(useless))}",
        fix="measure again with `--fresh` when the machine is quieter",
        number=float(len(useless)),
    )
    return (*own.values(), left_out)


def contradiction_caveats(residuals: Sequence[Residual]) -> tuple[Caveat, ...]:
    """Runs that no one law explains: the one that explains all of them best is far off in the middle of some.

    Far is a factor above `CONTRADICTS_FROM`, of the p50 or of the pace under backlog. Repeats of one run stray by 2 to
    4 %, a nearly idle one by up to 35 %, so more is not the luck of a run.
    """
    middles = [one for one in residuals if one.quantile in (None, 0.5) and min(one.measured, one.predicted) > 0.0]
    far = [one for one in middles if _factor(one) > CONTRADICTS_FROM]
    if not far:
        return ()
    worst = max(far, key=_factor)
    named = ", ".join(dict.fromkeys(one.run for one in far))
    figure = "throughput" if worst.quantile is None else "p50"
    return (
        Caveat(
            code="fit.contradictory",
            what=f"the live runs contradict each other: the costs that explain all of them best miss the {figure} of "
            f"{worst.run} by a factor of {_factor(worst):.2g} (far off: {named})",
            fix="measure again with `--fresh` on a quiet machine; if it stays so, the server does something that the "
            "law doesn't know",
            number=_factor(worst),
        ),
    )


def require_stable(rate_rps: float, *, saturated_rps: float) -> None:
    """Hold a rate to what has a latency at all.

    Raises:
        InputError: when there is no traffic, or so much that the queue grows without end.
    """
    if rate_rps <= 0.0:
        raise InputError(
            what=f"no traffic: at {rate_rps:g} requests/s there is no request whose latency could be told",
            where="the rate",
            fix="ask for a rate above 0",
        )
    if rate_rps >= saturated_rps:
        raise InputError(
            what=f"unstable: {rate_rps:,.4g} requests/s are offered and a server carries {saturated_rps:,.4g} at most, "
            "so its queue and every latency grow without end",
            where="the rate",
            fix=f"ask for less than {saturated_rps:,.4g} requests/s of one server, or for more replicas",
        )


def _factor(one: Residual) -> float:
    return max(one.predicted / one.measured, one.measured / one.predicted)
