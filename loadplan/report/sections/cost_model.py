"""How wrong is the cost model? Each calibration run and the live run, as measured and as the fitted law gives it.

The decision a reader would question: a prediction is off by the same share whether it is too high or too low by that
factor, since a share of the measured value would never count a latency that was predicted far too low as more than
100 % off.
"""

from collections.abc import Iterable

import numpy as np

from loadplan.fit.ledger import N_ENTRIES_LEAST, WANTED_COVERAGE_RATIO, LedgerFindings
from loadplan.fit.records import OverheadFit, Residual
from loadplan.report.chart import ASKED, MIDDLE, SLOWEST, Axis, Chart, Series
from loadplan.report.findings import Findings
from loadplan.report.page import Block, Facts, Figure, Fold, Section, Table, Text, number, text
from loadplan.report.view import digits, ms, percent, quantile_name, to_ms
from loadplan.stats import percentile
from loadplan.verify import Verdict

# Quantiles that are drawn alike: more than four hues can't be told apart.
_GROUPS = (("up to p50", 0.0, 0.5, MIDDLE), ("above p50", 0.5, 0.98, 2), ("p99 and above", 0.98, 1.0, SLOWEST))


def cost_model_section(known: Findings) -> Section | None:
    """Predictions against measurements, and the parameters of the law."""
    if known.service is not None:
        blocks = _comparisons(known.service.fit.residuals, _held_out(known.verdict))
        return Section(name="cost-model", title="How wrong is the cost model?", blocks=tuple(blocks))
    if known.fit is None:
        return None
    blocks = _comparisons(known.fit.overhead.residuals, _held_out(known.verdict))
    if known.fit.ledger is not None:
        blocks.append(Fold(title="What became of earlier predictions", blocks=(_ledger(known.fit.ledger),)))
    blocks.append(Fold(title="The parameters of the law", blocks=(_parameters(known.fit.overhead),)))
    return Section(name="cost-model", title="How wrong is the cost model?", blocks=tuple(blocks))


def _comparisons(every: Iterable[Residual], held_out: list[Residual]) -> list[Block]:
    # A figure of nothing can't be off by a share.
    residuals = [one for one in every if one.measured > 0.0 and one.predicted > 0.0]
    blocks: list[Block] = []
    latencies = [one for one in residuals if one.quantile is not None]
    if latencies:
        blocks.append(_figure(latencies, held_out))
    elif not residuals:
        blocks.append(Text(text="No run was compared with the law, so its error is unknown.", tone="doubt"))
    if residuals or held_out:
        blocks.append(Fold(title="Every comparison", blocks=(_table([*residuals, *held_out]),)))
    return blocks


def _held_out(verdict: Verdict | None) -> list[Residual]:
    """The live run, which the law has not seen."""
    if verdict is None or not verdict.valid:
        return []
    pairs = (
        (0.5, verdict.measured_p50_s, verdict.predicted.p50_s),
        (0.99, verdict.measured_p99_s, verdict.predicted.p99_s),
    )
    return [
        Residual(
            run=verdict.run,
            offered_rate_rps=verdict.predicted.offered_rate_rps,
            quantile=quantile,
            measured=measured_s,
            predicted=predicted_s,
        )
        for quantile, measured_s, predicted_s in pairs
        if measured_s is not None
    ]


def _figure(latencies: list[Residual], held_out: list[Residual]) -> Figure:
    errors = np.array([_error(one) for one in latencies])
    worst = max(latencies, key=_error)
    unseen = max((_error(one) for one in held_out), default=None)
    live = (
        "there is no live run that it has not seen"
        if unseen is None
        else f"on the live run, which it has not seen, at most {_share(unseen)}"
    )
    groups = [
        (name, [one for one in latencies if low < (one.quantile or 0.0) <= high], hue)
        for name, low, high, hue in _GROUPS
    ]
    series = [_series(name, group, hue=hue) for name, group, hue in groups if group]
    if held_out:
        series.append(_series("live run, not seen by the fit", held_out, hue=ASKED))
    return Figure(
        name="predicted-and-measured",
        title="Does the law give what was measured?",
        sentence=(
            f"Over {len(latencies)} quantiles of calibration runs the law is off by {_share(percentile(errors, 0.5))} "
            f"in the middle and {_share(_error(worst))} at worst ({worst.run}, "
            f"{quantile_name(worst.quantile or 0.0)}); {live}."
        ),
        chart=Chart(
            x=Axis(title="predicted response time, ms", scale="log"),
            y=Axis(title="measured response time, ms", scale="log"),
            series=tuple(series),
            has_diagonal=True,
        ),
    )


def _series(name: str, residuals: list[Residual], *, hue: int | None) -> Series:
    return Series(
        name=name,
        x=[to_ms(one.predicted) for one in residuals],
        y=[to_ms(one.measured) for one in residuals],
        style="points",
        hue=hue,
        labels=[f"{one.run}, {quantile_name(one.quantile or 0.0)}" for one in residuals],
    )


def _error(one: Residual) -> float:
    """By which share the larger of both is above the smaller."""
    return max(one.predicted / one.measured, one.measured / one.predicted) - 1.0


def _share(error: float) -> str:
    return percent(error) if error < 1.0 else f"a factor of {digits(1.0 + error)}"


def _table(residuals: list[Residual]) -> Table:
    return Table(
        caption="The law against every run",
        columns=(
            text("run"),
            number("offered, requests/s"),
            text("figure"),
            number("measured"),
            number("predicted"),
            number("predicted / measured"),
        ),
        rows=tuple(
            (
                one.run,
                digits(one.offered_rate_rps),
                "throughput" if one.quantile is None else quantile_name(one.quantile),
                f"{digits(one.measured)} requests/s" if one.quantile is None else ms(one.measured),
                f"{digits(one.predicted)} requests/s" if one.quantile is None else ms(one.predicted),
                digits(one.predicted / one.measured),
            )
            for one in residuals
        ),
    )


def _ledger(findings: LedgerFindings) -> Table:
    return Table(
        caption=f"Live runs in the ledger ({findings.sha256[:12]}) that no fit had seen: {WANTED_COVERAGE_RATIO:.0%} "
        f"of them should be within the interval, and {N_ENTRIES_LEAST} are the least to widen it by",
        columns=(
            text("figure"),
            number("live runs"),
            number("within the interval"),
            number("predicted / measured, in the middle"),
            number("interval widened, times"),
        ),
        rows=tuple(
            (
                quantile_name(figure.quantile),
                f"{figure.n_entries}",
                percent(figure.coverage_ratio),
                digits(1.0 + figure.bias_ratio),
                digits(figure.widening),
            )
            for figure in findings.figures
        ),
    )


def _parameters(overhead: OverheadFit) -> Facts:
    # Where all requests have as many rows, these are part of what a request costs.
    of_rows = (("per row, before inference", ms(overhead.row_s)),) if overhead.row_s > 0.0 else ()
    return Facts(
        rows=(
            ("per request, before inference", ms(overhead.request_s)),
            *of_rows,
            ("per request, after inference", ms(overhead.response_s)),
            ("per batch", ms(overhead.batch_s)),
            ("waking an idle server", ms(overhead.wake_s)),
            ("outside the serving core", ms(overhead.transfer_s)),
            ("slower after a long pause", percent(overhead.cold_ratio)),
            ("scatter of the request and response work", percent(overhead.spread_ratio)),
            ("pauses", f"{ms(overhead.stall_s)} long on average, {digits(overhead.stall_rate_per_s)} a second"),
        )
    )
