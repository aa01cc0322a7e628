"""The table that is always written, whatever it says. Milliseconds and percent live here only."""

from collections.abc import Sequence
from dataclasses import dataclass

from loadplan.stats import Interval
from tests.accuracy.compare import (
    CapacityCase,
    Case,
    DecisionCase,
    QuantileSummary,
    capacity_error,
    case_error,
    count_decisions,
    interval_of,
    latency_of,
    median_error,
    summarise,
    too_noisy,
)
from tests.accuracy.design import HIGHEST_LOAD_RATIO
from tests.accuracy.findings import ABOVE_RATIO, BELOW_RATIO, Findings
from tests.accuracy.timed import BATCH_S, ROW_S
from tests.accuracy.truth import QUANTILES

_ABSENT = "–"
# What is to be reached: median |error| at each of QUANTILES, bias, capacities, coverage, half-widths, decisions.
_ERRORS_WANTED = dict(zip(QUANTILES, (0.07, 0.10, 0.15), strict=True))
_BIAS_WANTED, _CAPACITY_WANTED, _COVERAGE_WANTED = 0.08, 0.07, 0.80
_HALF_WIDTHS_WANTED = {0.5: 0.20, 0.99: 0.35}
_CASES_WANTED, _CAPACITIES_WANTED = 24, 6
_DECISIONS_WANTED, _HELD_WANTED, _MISSED_WANTED = 12, 11 / 12, 10 / 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Where and of what the figures are."""

    commit: str
    machine: str
    date: str
    is_try: bool  # the tree was not clean: nobody else can make these figures
    asked: tuple[str, ...]  # the part of the design that was asked for; empty: all of it


def table(found: Findings, about: Circumstances) -> str:
    """All figures as Markdown."""
    usual = [case for case in found.cases if not case.is_apart]
    apart = [case for case in found.cases if case.is_apart]
    noise = (*too_noisy(usual), *(f"of two replicas {reason}" for reason in too_noisy(found.fleets)))
    sections = [
        _heading(found, about, noise),
        *([_summary("Up to 70 % load", usual)] if usual else []),
        *([_summary(f"Above {HIGHEST_LOAD_RATIO:.0%} load, told apart", apart)] if apart else []),
        *([_replicas(found.fleets)] if found.fleets else []),
        *([_capacities("Saturated capacity", found.saturations)] if found.saturations else []),
        *([_capacities("Capacity at an objective", found.capacities)] if found.capacities else []),
        *([_decisions(found.decisions)] if found.decisions else []),
        *([_reached(found, usual)] if not (found.missing or about.asked or about.is_try or noise) else []),
        *([_cases("Held-out configurations", found.cases)] if found.cases else []),
        *([_cases("Two replicas, one by one", found.fleets)] if found.fleets else []),
    ]
    return "\n\n".join(sections) + "\n"


def _heading(found: Findings, about: Circumstances, noise: Sequence[str]) -> str:
    lines = ["# How near loadplan's predictions come"]
    if noise:
        lines.append(f"**NOT VALID: MACHINE TOO NOISY** ({'; '.join(noise)}). No claim rests on these figures.")
    if about.is_try:
        lines.append("**A TRY** on a tree that was not clean: no claim rests on these figures.")
    if found.missing or about.asked:
        part = f"asked for {', '.join(about.asked)}; " if about.asked else ""
        lines.append(f"**A PART** of the design: {part}finished are {'; '.join(found.missing) or 'all of these'}.")
    lines.append(
        f"Commit {about.commit}, {about.date}, on {about.machine}. Server and generator had a core each; the laws rest "
        f"on {found.n_calibrations} calibration runs, driven among the held-out ones. A prediction is of the requests "
        "that fell due in the repeats, whose times were settled beforehand; beside it is the error of one that knows "
        "the rate and the law of their arrivals alone. Made by `make accuracy`; what is driven, and how it is counted, "
        "stand in `tests/accuracy/`."
    )
    return "\n\n".join(lines)


def _summary(title: str, cases: Sequence[Case]) -> str:
    summaries = [summarise(cases, quantile) for quantile in QUANTILES]
    no_truth = sum(case.truth.rate_rps is None for case in cases)
    lines = [
        f"## {title}: {len(cases)} configurations",
        "| | cases | median error | 90 % of errors below | bias | inside the 90 % interval | half-width | noise floor "
        "| error by the arrivals' law | error after one walk | inside after one walk |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|\n" + "\n".join(map(_summary_row, summaries)),
    ]
    whys = dict.fromkeys(case.why_none for case in cases if case.why_none is not None)
    if whys or no_truth:
        lines.append(f"Without a valid run: {no_truth}. Without a prediction because of: {'; '.join(whys) or 'none'}.")
    return "\n\n".join(lines)


def _replicas(cases: Sequence[Case]) -> str:
    return (
        f"{_summary('Two replicas', cases)}\n\nTwo embedded servers whose inference is a timer of "
        f"{1e3 * BATCH_S:g} ms and {1e3 * ROW_S:g} ms a row, and one generator that spreads the requests by the law in "
        "the name. Predicted by the fleet's simulator from a fit of one of them. On two cores both servers share one: "
        "where one works on requests the other may wait, of which the simulator knows nothing."
    )


def _summary_row(one: QuantileSummary) -> str:
    cells = [
        f"p{100 * one.quantile:g}",
        str(one.n),
        _percent(one.median_error),
        _percent(one.p90_error),
        _signed(one.bias),
        _percent(one.coverage),
        _percent(one.half_width, sign="± "),
        _percent(one.floor),
        _percent(one.by_law_error),
        _percent(one.single_walk_error),
        _percent(one.single_walk_coverage),
    ]
    return f"| {' | '.join(cells)} |"


def _capacities(title: str, cases: Sequence[CapacityCase]) -> str:
    n, median = median_error(cases)
    rows = "\n".join(
        f"| {case.name} | {_rate(case.measured_rps)} | {_percent(case.spread_ratio)} | {_rate(case.predicted_rps)} "
        f"| {_span(case.interval, 1.0, ',.0f')} | {_signed(capacity_error(case))} |"
        for case in cases
    )
    return (
        f"## {title}: median error {_percent(median)} over {n} of {len(cases)}\n\n"
        "| | measured, requests/s | uncertain by | predicted | 90 % interval | error |\n|---|---|---|---|---|---|\n"
        f"{rows}"
    )


def _decisions(cases: Sequence[DecisionCase]) -> str:
    n_held, n_missed, n_driven = count_decisions(cases)
    rows = "\n".join(
        f"| {case.name} | {_rate(case.predicted_rps)} | {_rate(case.low_rps)} | {case.below} | {case.above} |"
        for case in cases
    )
    return (
        f"## Would the decision have been right? {n_held} held below and {n_missed} missed above, of {len(cases)} "
        f"({n_driven} driven on both sides)\n\n"
        f"| | usable, requests/s | lower bound | at {BELOW_RATIO:g} × the lower bound | at {ABOVE_RATIO:g} × the "
        f"prediction |\n|---|---|---|---|---|\n{rows}"
    )


def _reached(found: Findings, usual: Sequence[Case]) -> str:
    """Only of a finished design on a machine that is quiet enough."""
    by_quantile = {quantile: summarise(usual, quantile) for quantile in QUANTILES}
    checks = [
        (f"median error at p{100 * quantile:g} ≤ {wanted:.0%}", _at_most(by_quantile[quantile].median_error, wanted))
        for quantile, wanted in _ERRORS_WANTED.items()
    ]
    checks += [
        (f"bias at p{100 * quantile:g} within ± {_BIAS_WANTED:.0%}", _at_most(_size(one.bias), _BIAS_WANTED))
        for quantile, one in by_quantile.items()
    ]
    checks += [
        (
            f"of two replicas median error at p{100 * quantile:g} ≤ {wanted:.0%}",
            _at_most(summarise(found.fleets, quantile).median_error, wanted),
        )
        for quantile, wanted in _ERRORS_WANTED.items()
    ]
    for quantile, wanted in _HALF_WIDTHS_WANTED.items():
        one = by_quantile[quantile]
        covers = one.coverage is not None and one.coverage >= _COVERAGE_WANTED
        checks.append((f"the p{100 * quantile:g} interval covers ≥ {_COVERAGE_WANTED:.0%}", covers))
        checks.append(
            (f"half-width at p{100 * quantile:g} ≤ {wanted:.0%} of the median case", _at_most(one.half_width, wanted))
        )
    for name, capacities in (("saturated capacity", found.saturations), ("capacity at an objective", found.capacities)):
        n, median = median_error(capacities)
        is_reached = n >= _CAPACITIES_WANTED and _at_most(median, _CAPACITY_WANTED)
        checks.append((f"{name} within {_CAPACITY_WANTED:.0%} over ≥ {_CAPACITIES_WANTED}", is_reached))
    n_held, n_missed, _ = count_decisions(found.decisions)
    n_decisions = len(found.decisions)
    is_enough = n_decisions >= _DECISIONS_WANTED
    checks.append(("the lower bound held in ≥ 11 of 12", is_enough and n_held >= _HELD_WANTED * n_decisions))
    checks.append(("a quarter more missed in ≥ 10 of 12", is_enough and n_missed >= _MISSED_WANTED * n_decisions))
    checks.append((f"≥ {_CASES_WANTED} held-out configurations", by_quantile[0.5].n >= _CASES_WANTED))
    rows = "\n".join(f"| {what} | {'reached' if is_reached else '**missed**'} |" for what, is_reached in checks)
    return f"## What was to be reached\n\n| | |\n|---|---|\n{rows}"


def _cases(title: str, cases: Sequence[Case]) -> str:
    head = "| | load | runs (void) | undisturbed, s |" + "".join(
        f" p{100 * q:g} measured, ms | floor | predicted | 90 % interval | error |" for q in QUANTILES
    )
    rows = "\n".join(map(_case_row, cases))
    return f"## {title}\n\n{head}\n|{'---|' * (4 + 5 * len(QUANTILES))}\n{rows}"


def _case_row(case: Case) -> str:
    cells = [
        case.name,
        _percent(case.utilisation_ratio),
        f"{case.truth.n_repeats} ({case.truth.n_void})",
        f"{case.truth.clean_s:.1f}",
    ]
    for i, quantile in enumerate(QUANTILES):
        predicted = case.predicted
        cells += [
            _milliseconds(case.truth.latencies_s[i]),
            _percent(case.truth.floors[i]),
            _ABSENT if predicted is None else _milliseconds(latency_of(predicted, quantile)),
            _ABSENT if predicted is None else _span(interval_of(predicted, quantile), 1e3, ".3g"),
            _signed(case_error(case, quantile)),
        ]
    return f"| {' | '.join(cells)} |"


def _at_most(value: float | None, limit: float) -> bool:
    return value is not None and value <= limit


def _size(value: float | None) -> float | None:
    return None if value is None else abs(value)


def _percent(value: float | None, *, sign: str = "") -> str:
    return _ABSENT if value is None else f"{sign}{100.0 * value:.1f} %"


def _signed(value: float | None) -> str:
    return _ABSENT if value is None else f"{100.0 * value:+.1f} %"


def _rate(value: float | None) -> str:
    return _ABSENT if value is None else f"{value:,.0f}"


def _milliseconds(value_s: float | None) -> str:
    return _ABSENT if value_s is None else f"{1e3 * value_s:.3g}"


def _span(interval: Interval | None, factor: float, form: str) -> str:
    if interval is None:
        return _ABSENT
    return f"{factor * interval.low:{form}} to {factor * interval.high:{form}}"
