"""What a live run proves, in words: one for the badge, and what it means here.

The decision a reader would question: the word is about the live run, not about the plan, since a plan that nobody drove
is a guess with decimals. An invalid run shows no latency at all.
"""

from dataclasses import dataclass

from loadplan.plan.records.fleet import Fleet
from loadplan.report.findings import Findings
from loadplan.report.page import Tone
from loadplan.report.view import (
    counted,
    given_ms,
    ms_with_interval,
    p99_limit_s,
    percent,
    rate,
    types_text,
)
from loadplan.verify import Verdict, is_unclear, unclear_bounds, verdict_word, what_was_driven


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictWords:
    """One word, and what it means here."""

    tone: Tone
    icon: str
    word: str
    said: str


def verdict_words(verdict: Verdict | None, fleet: Fleet, *, is_explained: bool = False) -> VerdictWords:
    """Of the live run; where the page says elsewhere why it is invalid, the reasons are left out here."""
    tone, icon, word, said = _words(verdict, fleet, is_explained=is_explained)
    return VerdictWords(tone=tone, icon=icon, word=word, said=said)


def _words(  # noqa: PLR0911 -- one return per verdict
    verdict: Verdict | None, fleet: Fleet, *, is_explained: bool
) -> tuple[Tone, str, str, str]:
    if verdict is None:
        why = " (its capacity was given)" if fleet.capacity.basis == "given" else ""
        return "doubt", "?", "NOT VERIFIED", f"No live run has tested this plan{why}."
    if not verdict.valid:
        why = "" if is_explained else f": {'; '.join(verdict.invalid_reasons)}"
        return "doubt", "!", "INVALID", f"The live run proves nothing{why}."
    if verdict.planned is not None and verdict.planned.invalid_reasons:
        reasons = "; ".join(verdict.planned.invalid_reasons)
        return "doubt", "!", "INVALID", f"The live run with all replicas there proves nothing: {reasons}."
    if is_unclear(verdict):
        return (
            "doubt",
            "?",
            "UNCLEAR",
            f"The live run can't tell whether the objective holds: {unclear_bounds(verdict)}.",
        )
    if not verdict.passed:
        driven = what_was_driven(verdict)
        said = f"{driven[0].upper()}{driven[1:]} missed the objective when driven live{_missed(verdict)}."
        return "bad", "✗", "FAIL", said
    if verdict.subject == "plan":
        return "good", "✓", "PASS", "The plan held when driven live on the recommended machine type."
    if not verdict.prediction_held:
        said = f"The objective held when driven live here, but the prediction missed; {_hardware(fleet)}."
        return "doubt", "✓", "PASS", said
    return "good", "✓", "PASS", f"The law behind the plan held when driven live here; {_hardware(fleet)}."


def _hardware(fleet: Fleet) -> str:
    """What the live run says nothing of."""
    if fleet.basis == "extrapolated":
        return "other hardware is extrapolated"
    were = "was" if len(fleet.items) == 1 else "were"
    return f"{types_text(fleet)} {were} measured with `loadplan profile`, not driven now"


def _missed(verdict: Verdict) -> str:
    """By how much, of every limit that was missed."""
    said = [
        f"{percent(attained.ratio)} of the requests{f' of {attained.class_name}' if attained.class_name else ''} were "
        f"within {given_ms(attained.limit.limit_s)}, "
        f"{percent(attained.limit.quantile)} must be"
        for attained in verdict.attainments
        if attained.outcome == "missed"
    ]
    if verdict.n_failed:
        said.append(f"{verdict.n_failed:,} of {verdict.n_requests:,} failed")
    if verdict.planned is not None and verdict.planned.outcome == "missed":
        said.append(f"with all replicas there it is missed too, at {rate(verdict.planned.offered_rate_rps)}")
    return f": {'; '.join(said)}" if said else ""


def driven_text(known: Findings, verdict: Verdict | None) -> str:
    """What was offered to the machine at hand, and how it answered."""
    if verdict is None:
        return "not yet; `loadplan verify RUN` does it"
    if not verdict.valid:
        return "invalid, so no latency is shown"
    where = f"{rate(verdict.offered_rate_rps)} on the machine at hand, {counted(verdict.n_requests, 'request')}"
    predicted = ms_with_interval(verdict.predicted.p99_s, verdict.predicted.p99_interval)
    limit_s = p99_limit_s(known.scenario)
    limit = f", limit {given_ms(limit_s)}" if limit_s is not None else ""
    if verdict.measured_p99_s is None:
        return f"{where}: too few right answers for a p99; predicted for it {predicted}"
    measured = ms_with_interval(verdict.measured_p99_s, verdict.measured_p99_interval)
    return f"p99 {measured} measured at {where}; predicted for it {predicted}{limit}"


def proved_text(verdict: Verdict | None, fleet: Fleet) -> str:
    """What the live run is a proof of, and what it leaves open."""
    here = f"{types_text(fleet)} {'is' if len(fleet.items) == 1 else 'are'} {fleet.basis}"
    if verdict is None or verdict_word(verdict) == "INVALID":
        return f"nothing by a live run; the capacity of {here}"
    if is_unclear(verdict):
        return f"neither that the objective holds at the planned share of capacity nor that it doesn't; {here}"
    if not verdict.passed:
        return f"that the objective is missed at the planned share of capacity; {here}"
    share = percent(verdict.utilisation_ratio)
    if verdict.subject == "plan":
        return f"the plan, at {share} of a server's capacity on this very machine type"
    if fleet.basis != "extrapolated":
        speed = "by the laws in its profile"
    else:
        base = f" as the {fleet.capacity.measured_on} that was measured" if fleet.capacity.measured_on else ""
        setting = fleet.capacity.setting
        part = "core" if setting is None or setting.execution.is_on_cpu else "server on its GPU"
        of_it = "it" if len(fleet.items) == 1 else fleet.items[0].offer.instance_type.name
        speed = f"a {part} of {of_it} is taken to be {fleet.capacity.speed_ratio:.2f} × as fast{base}"
    what = "the law" if verdict.prediction_held else "that the objective holds here, not the law"
    return f"{what}, at {share} of this machine's capacity; {here} ({speed})"
