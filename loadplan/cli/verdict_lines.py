"""What a verification found, in a few lines for a person."""

from loadplan.cli.lines import line, with_interval
from loadplan.driven import ShareVerdict, sharpness_text
from loadplan.report.view import ms
from loadplan.verify import (
    SERVER_PART_ONLY,
    ClassVerdict,
    Verdict,
    is_unclear,
    unclear_bounds,
    verdict_word,
    what_was_driven,
    worst_class,
)


def verdict_lines(verdict: Verdict) -> list[str]:
    """What the live run on this machine showed, beside its prediction."""
    if not verdict.valid:
        lines = [line("verified", "INVALID: this live run proves nothing")]
        return [*lines, *(line("", reason) for reason in verdict.invalid_reasons)]
    lines = [line("verified", f"{verdict_word(verdict)}: {_proof(verdict)}")]
    lines.append(
        line(
            "",
            f"live {_where(verdict)}: p99 {ms(verdict.measured_p99_s)}, predicted {with_interval(verdict.predicted)}",
        )
    )
    partial = next((one.what for one in verdict.caveats if one.code == SERVER_PART_ONLY), None)
    if partial is not None:
        lines.append(line("", partial))
    worst = worst_class(verdict)
    if worst is not None:
        lines.append(line("", f"worst segment {_segment(worst)}"))
    if verdict.planned is not None:
        lines.append(line("", f"with all replicas {_share(verdict.planned)}"))
    if verdict.sharpness is not None:
        lines.append(line("sharpness", sharpness_text(verdict.sharpness)))
    return lines


def _where(verdict: Verdict) -> str:
    """Which rate, as a share of what the server that was driven carries."""
    at = f"at {verdict.offered_rate_rps:,.0f} requests/s ({verdict.utilisation_ratio:.0%} of"
    if verdict.setting is None:
        return f"{at} what one copy carries, no less than planned)"
    return f"here {at} this machine's capacity, as planned)"


def _share(one: ShareVerdict) -> str:
    """Such as `at 45 requests/s (20 % of capacity): met, p99 3 ms, predicted 2.9 ms (2.1 to 4 ms)`."""
    at = f"at {one.offered_rate_rps:,.0f} requests/s ({one.utilisation_ratio:.0%} of capacity)"
    if one.outcome == "invalid":
        return f"{at}: INVALID, {'; '.join(one.invalid_reasons)}"
    predicted = "" if one.predicted is None else f", predicted {with_interval(one.predicted)}"
    return f"{at}: {one.outcome}, p99 {ms(one.measured_p99_s)}{predicted}"


def _segment(one: ClassVerdict) -> str:
    """Such as `upload (MISSED its objective): p99 210 ms over 91 requests, 0 failed, predicted 190 ms`."""
    said = {"missed": " (MISSED its objective)", "unclear": " (its objective can't be told)"}.get(one.outcome or "", "")
    predicted = "" if one.predicted is None else f", predicted {ms(one.predicted.p99_s)}"
    p99 = "too few answers for a p99" if one.measured_p99_s is None else f"p99 {ms(one.measured_p99_s)}"
    return f"{one.name}{said}: {p99} over {one.n_requests:,} requests, {one.n_failed} failed{predicted}"


def _proof(verdict: Verdict) -> str:
    if is_unclear(verdict):
        return unclear_bounds(verdict)
    if not verdict.passed:
        return f"{what_was_driven(verdict)} missed the objective when driven live"
    if verdict.subject == "plan":
        return "the objective held on the recommended machine type"
    if not verdict.prediction_held:
        return f"the objective held here, but the prediction missed; {_hardware(verdict)}"
    return f"law verified here, {_hardware(verdict)}"


def _hardware(verdict: Verdict) -> str:
    """What the live run says nothing of."""
    if verdict.fleet_basis == "extrapolated":
        measured_on = f" from {verdict.measured_on}" if verdict.measured_on else ""
        return f"hardware extrapolated{measured_on}"
    if verdict.measured_on:
        return f"{verdict.measured_on} measured with `loadplan profile`, not driven now"
    return "the recommended hardware not driven"
