"""What the live runs showed at each share of a server's capacity: with the spares gone, with all there, and beyond.

The decision a reader would question: the row with the spares gone decides the verdict; a quarter more decides nothing,
and only says whether the plan is wasteful.
"""

from collections.abc import Sequence

from loadplan.driven import SHARPNESS_RATIO, ShareOutcome, ShareVerdict, sharpness_text
from loadplan.fit.records import PredictedLatency
from loadplan.plan.records.fleet import Plan
from loadplan.report.page import Block, Table, Text, number, text
from loadplan.report.view import digits, gone_text, ms_with_interval, percent
from loadplan.stats import Interval
from loadplan.verify import Verdict

_OUTCOMES: dict[ShareOutcome, str] = {
    "met": "✓ met",
    "missed": "✗ missed",
    "unclear": "? can't be told",
    "invalid": "INVALID",
}


def share_blocks(plan: Plan, verdict: Verdict) -> Sequence[Block]:
    """A row per rate that was driven, and what the highest says of waste; nothing where the verdict's is invalid."""
    if not verdict.valid:
        return ()
    gone = gone_text(plan)
    rows = [_of_the_verdict(f"the peak, {gone} gone" if gone else "the peak", verdict)]
    if verdict.planned is not None:
        rows.append(_row("the peak, all there", verdict.planned))
    if verdict.sharpness is not None:
        rows.append(_row(f"{SHARPNESS_RATIO:g} × the rate of the first row", verdict.sharpness.driven))
    table = Table(
        caption="Live runs at shares of one server's capacity (measured; predictions simulated)",
        columns=(
            text("what was driven"),
            number("requests/s"),
            number("of its capacity"),
            number("requests"),
            number("failed"),
            number("p99 predicted"),
            number("p99 measured"),
            number("predicted / measured"),
            text("objectives"),
        ),
        rows=tuple(rows),
        marked=(0,),
    )
    return (table, *_invalid(verdict), _waste(verdict))


def _of_the_verdict(what: str, verdict: Verdict) -> tuple[str, ...]:
    return (
        what,
        digits(verdict.offered_rate_rps),
        percent(verdict.utilisation_ratio),
        f"{verdict.n_requests:,}",
        f"{verdict.n_failed:,}",
        *_latency(verdict.predicted, verdict.measured_p99_s, verdict.measured_p99_interval),
        _OUTCOMES[_own_outcome(verdict)],
    )


def _own_outcome(verdict: Verdict) -> ShareOutcome:
    """Of the run that the verdict is about alone, whatever was driven beside it."""
    outcomes = {attained.outcome for attained in verdict.attainments}
    if not verdict.few_failed or "missed" in outcomes:
        return "missed"
    return "unclear" if "unclear" in outcomes else "met"


def _row(what: str, one: ShareVerdict) -> tuple[str, ...]:
    return (
        what,
        digits(one.offered_rate_rps),
        percent(one.utilisation_ratio),
        f"{one.n_requests:,}",
        f"{one.n_failed:,}",
        *_latency(one.predicted, one.measured_p99_s, one.measured_p99_interval),
        _OUTCOMES[one.outcome],
    )


def _latency(
    predicted: PredictedLatency | None, measured_s: float | None, measured: Interval | None
) -> tuple[str, str, str]:
    """Predicted, measured, and the one over the other."""
    expected = (
        "none: the queue grows" if predicted is None else ms_with_interval(predicted.p99_s, predicted.p99_interval)
    )
    if measured_s is None:
        return expected, "–", "–"
    ratio = "–" if predicted is None else digits(predicted.p99_s / measured_s)
    return expected, ms_with_interval(measured_s, measured), ratio


def _invalid(verdict: Verdict) -> list[Text]:
    """Why a run beside the verdict's own can't be believed."""
    beside = (verdict.planned, None if verdict.sharpness is None else verdict.sharpness.driven)
    return [
        Text(text=f"Run {one.run} is INVALID and shows no latency: {'; '.join(one.invalid_reasons)}.", tone="doubt")
        for one in beside
        if one is not None and one.invalid_reasons
    ]


def _waste(verdict: Verdict) -> Text:
    if verdict.sharpness is None:
        return Text(text="Whether less would do was not driven; `loadplan verify RUN --sharpness` does it.")
    said = sharpness_text(verdict.sharpness)
    return Text(text=f"Is it more than is needed? {said[:1].upper()}{said[1:]}.")
