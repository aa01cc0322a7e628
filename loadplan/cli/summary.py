"""The answer on one screen: one labelled line per question."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from loadplan.bench.doubts import column_name, counted
from loadplan.bench.records import BenchRun
from loadplan.bench.resources import column_resources
from loadplan.caveat import Caveat
from loadplan.cli.lines import doubt_text
from loadplan.cli.lines import line as _line
from loadplan.cli.outlook_documents import outlook_lines
from loadplan.cli.overdispersed_text import overdispersed_text
from loadplan.cli.purchase_documents import mix_text
from loadplan.cli.scaling_documents import scaling_text
from loadplan.cli.service_text import service_lines
from loadplan.cli.verdict_lines import verdict_lines
from loadplan.execution import ExecutionConfig
from loadplan.export.artifact import ExportRun, SegmentQuality
from loadplan.fit.ledger import N_ENTRIES_LEAST, LedgerFigure
from loadplan.fit.records import CapacityFit, OverheadFit
from loadplan.load.records import LoadRun, LoadSpec, ServerWatch
from loadplan.load.verdict import answer_counts, times_by_class
from loadplan.pipeline.road import RoadEnd
from loadplan.plan.reasons import how_it_runs, loss_text
from loadplan.plan.records.fleet import Fleet, Plan, WorthMeasuring
from loadplan.report.doubts import by_reach, ranked_caveats
from loadplan.report.next_step import next_step
from loadplan.report.savings import saving_text
from loadplan.report.sections.same_model import worst_segment_text
from loadplan.report.view import fleet_name, gone_text, ms, price_each, usd
from loadplan.scenario.arrivals import Callers, described
from loadplan.stats import Summary, n_samples_needed

_N_RUNNERS_UP = 3
_N_CAVEATS = 4
_SCREEN_ROWS, _SCREEN_COLUMNS = 40, 120
_METRICS = {"auc": "area under the ROC curve", "mae": "mean absolute error", "ndcg": "NDCG"}


def road_summary(end: RoadEnd) -> str:
    """Everything that a finished or shortened walk found, in the order in which people ask."""
    found = end.findings
    lines = service_lines(found)
    if found.plan is not None:
        lines += plan_lines(found.plan)
    if found.verdict is not None:
        lines += verdict_lines(found.verdict)
    elif found.plan is not None:
        lines.append(_line("verified", "NOT VERIFIED: no live run of this plan"))
    worst = None if found.export is None else worst_segment_text(found.export, of=_planned_variant(found.plan))
    lines += [] if worst is None else [_line("segment", worst)]
    step = next_step(found, run=str(end.folder))
    told = [one.command for one in found.plan.worth_measuring[:1]] if found.plan else []
    kept = [] if step is None or step.command in told else [_line("better", f"`{step.command}`: {step.why}")]
    kept.append(_line("kept in", str(end.folder)))
    if end.report is not None:
        kept.append(_line("report", str(end.report)))
    doubts = _doubt_lines(ranked_caveats(found), n_rows=_SCREEN_ROWS - _n_rows([*lines, *kept]), others="in the report")
    return "\n".join([*lines, *doubts, *kept])


def plan_summary(plan: Plan) -> str:
    """A plan by itself, with its doubts."""
    lines = plan_lines(plan)
    doubts = _doubt_lines(by_reach(plan.caveats), n_rows=_SCREEN_ROWS - _n_rows(lines), others="with --json")
    return "\n".join([*lines, *doubts])


def _doubt_lines(caveats: Sequence[Caveat], *, n_rows: int, others: str) -> list[str]:
    """The first doubts, one at least and as many as there is room for, and where the others are."""
    shown: list[str] = []
    for caveat in caveats[:_N_CAVEATS]:
        doubt = _line("" if shown else "doubts", doubt_text(caveat))
        if shown and _n_rows([*shown, doubt]) >= n_rows:
            break
        shown.append(doubt)
    n_more = len(caveats) - len(shown)
    return [*shown, *([_line("", f"and {n_more} more {others}")] if n_more else [])]


def _n_rows(lines: Sequence[str]) -> int:
    """Of the screen, with what is too long for one row going on in the next."""
    return sum(-(-len(line) // _SCREEN_COLUMNS) for line in lines)


def plan_lines(plan: Plan) -> list[str]:
    """Demand, what to buy, the bill, and the next alternatives."""
    lines = [_line("demand", f"{plan.peak_rps:,.0f} requests/s at the peak, {plan.mean_rps:,.0f} on average")]
    if plan.recommended is None:
        lines.append(_line("buy", f"NOTHING WILL DO: {plan.binding_constraint}"))
        if plan.nearest_miss is not None:
            lines.append(_line("nearest", f"{fleet_name(plan.nearest_miss)}: {plan.nearest_miss.reason}"))
        return [*lines, *_price_lines(plan), *(_line(label, said) for label, said in outlook_lines(plan.outlook))]
    fleet = plan.recommended
    lines += [
        _line("buy", f"{fleet_name(fleet)}  [{fleet.basis}]{how_it_runs(fleet.capacity.burst)}"),
        _line("bill", f"{usd(fleet.usd_per_month)} a month{_range(plan)} at {_prices(fleet)}"),
        *_price_lines(plan),
        _line("holds", _holds(plan, fleet)),
        *([] if plan.loss is None else [_line("survives", loss_text(plan.loss))]),
    ]
    for i, other in enumerate(plan.runners_up[:_N_RUNNERS_UP]):
        text = f"{fleet_name(other)}, {usd(other.usd_per_month)}: {other.reason}"
        lines.append(_line("not" if i == 0 else "", text))
    lines += [_line(label, said) for label, said in outlook_lines(plan.outlook)]
    mixed = mix_text(plan.purchase_mix)
    lines += [] if mixed is None else [_line("or pay", mixed)]
    clustered = overdispersed_text(plan.overdispersed)
    lines += [] if clustered is None else [_line("bursts", clustered)]
    following = scaling_text(plan.scaling)
    lines += [] if following is None else [_line("scale", following)]
    saving = saving_text(plan)
    lines += [] if saving is None else [_line("saving", saving)]
    lines += [_line("measure", _worth_measuring(one)) for one in plan.worth_measuring[:1]]
    return lines


def _range(plan: Plan) -> str:
    """Such as ` ($146.00 to $292.00 by what a replica may carry)`; nothing where that moves nothing or isn't known."""
    size = None if plan.outlook is None else plan.outlook.size
    if size is None or size.usd_per_month_low == size.usd_per_month_high:
        return ""
    return f" ({usd(size.usd_per_month_low)} to {usd(size.usd_per_month_high)} by what a replica may carry)"


def _planned_variant(plan: Plan | None) -> str | None:
    """The variant of the model that the recommended fleet serves; None where there is none or nobody knows."""
    setting = None if plan is None or plan.recommended is None else plan.recommended.capacity.setting
    return None if setting is None else setting.execution.variant


def _price_lines(plan: Plan) -> list[str]:
    """How old what was compared is; nothing where nothing had a price."""
    if plan.oldest_price_date is None:
        return []
    return [_line("prices", f"catalogue {plan.catalog_version}, the oldest of {plan.oldest_price_date}")]


def _worth_measuring(one: WorthMeasuring) -> str:
    return (
        f"{one.type_name} next: it is expected to save {usd(one.expected_saving_usd_per_month)} a month and costs "
        f"{usd(one.measuring_usd)} once; see `{one.command}`"
    )


def export_lines(run: ExportRun, folder: Path) -> list[str]:
    """Each variant, how far its answers are from its source's, and how right it is."""
    lines = [_line("model", run.source)]
    for model in run.models:
        worst = max(check.max_abs_error for check in model.parity)
        lines.append(
            _line(
                model.variant,
                f"{model.path}, {model.n_bytes:,} bytes, opset {model.opset}; largest error {worst:.1e}"
                + ("" if model.limits.max_abs_error is None else f", {model.limits.max_abs_error:.1e} may be"),
            )
        )
        lines += [
            _line("", f"{quality.segment or 'all rows'}: {_quality(quality)} {quality.n_rows}")
            for quality in model.quality
        ]
    lines += [_line(refusal.variant, f"refused: {refusal.reason}") for refusal in run.refused]
    return [*lines, _line("kept in", str(folder))]


def _quality(quality: SegmentQuality) -> str:
    if quality.value is None:
        return f"{quality.metric} isn't defined on"
    if quality.metric == "accuracy":
        return f"{quality.value:.1%} right of"
    return f"{_METRICS[quality.metric]} {quality.value:.4g} over"


def bench_lines(run: BenchRun) -> list[str]:
    """One line per cell."""
    lines = [_line("machine", f"{run.machine.cpu_model}, {run.machine.n_usable_cores} usable cores")]
    lines.append("variant  threads  rows   median      mean ± 95 %           rows/s   calls")
    for cell in run.cells:
        execution = cell.cell.execution
        half_width_ratio = (cell.mean_s_high - cell.mean_s_low) / (2.0 * cell.mean_s)
        rows_per_s = execution.n_sessions * cell.cell.batch_size / cell.mean_s
        lines.append(
            f"{execution.variant:<8} {_threads(execution):>7} {cell.cell.batch_size:>5} {ms(cell.median_s):>11} "
            f"{ms(cell.mean_s):>11} ± {half_width_ratio:<6.1%} {rows_per_s:>10,.0f} "
            f"{cell.n_samples:>7}{'  noisy' if cell.is_noisy else ''}"
        )
    if run.cold:
        said = ", ".join(f"{ms(cell.mean_s)} after {ms(cell.cell.idle_gap_s)}" for cell in run.cold)
        lines.append(_line("pauses", f"{run.cold[0].cell.batch_size} row at a time takes {said} of sleep"))
    for size in sorted({cell.cell.batch_size for cell in run.by_length}):
        own = [cell for cell in run.by_length if cell.cell.batch_size == size]
        said = ", ".join(f"{ms(cell.mean_s)} of length {cell.cell.length}" for cell in own)
        lines.append(
            _line(
                "lengths",
                f"{size} {'row' if size == 1 else 'rows'} at a time {'takes' if size == 1 else 'take'} {said}",
            )
        )
    lines += [*_starts(run), *_attains(run)]
    return [*lines, *(_line("doubt", doubt_text(caveat)) for caveat in run.caveats)]


def _starts(run: BenchRun) -> list[str]:
    """How the column with the most rows a second starts, where any did."""
    columns = {column.execution: column for column in column_resources(run.starts)}
    started = [cell for cell in run.cells if cell.cell.execution in columns]
    if not started:
        return []
    best = max(started, key=lambda cell: cell.cell.execution.n_sessions * cell.cell.batch_size / cell.mean_s)
    column = columns[best.cell.execution]
    said = (
        f"{column_name(column.execution)} opens in {ms(column.load_s.median)} and first answers in "
        f"{ms(column.first_inference_s.median)}"
    )
    peak = column.batches[-1].peak_memory_bytes if column.batches else None
    if peak is not None:
        said += f"; at {column.batches[-1].batch_size} rows it holds {peak.median / 1e6:,.3g} MB"
    return [_line("starts", f"{said} (middle of {counted(column.load_s.n_samples, 'start')})")]


def _attains(run: BenchRun) -> list[str]:
    if run.probe is None:
        return []
    probe = run.probe
    said = (
        f"{probe.gflops_one_thread.mean:,.3g} GFLOP/s and {probe.gb_per_s_one_core.mean:,.3g} GB/s on one core, "
        f"{probe.gflops_all_threads.mean:,.3g} and {probe.gb_per_s_all_cores.mean:,.3g} on {probe.n_threads}"
    )
    return [_line("attains", said)]


def _threads(execution: ExecutionConfig) -> str:
    """Such as `2`, `4 × 2` for four sessions of two, or `CUDA`."""
    threads = str(execution.n_threads) if execution.provider == "CPU" else execution.provider
    return threads if execution.n_sessions == 1 else f"{execution.n_sessions} × {threads}"


def load_lines(
    run: LoadRun, response: Summary | None, send_delay: Summary | None, *, kept: Path | None = None
) -> list[str]:
    """What was offered, what came back, and how late the generator itself was."""
    verdict = run.verdict
    came = f"{verdict.throughput_rps:,.1f} answered right, {verdict.n_failed} failed of {run.requests.n_requests}"
    lines = [_line("target", run.url), _offered_line(run.spec, came)]
    lines += [_line("", f"{n} × {name}") for name, n in answer_counts(run).items()]
    if not verdict.valid:
        lines += [_line("INVALID", reason) for reason in verdict.invalid_reasons]
    elif response is None:
        lines.append(_line("latency", "none: no request was answered right"))
    else:
        lines.append(_line("latency", f"{_latencies(response, run.spec.timeout_s)} from due time"))
        lines += _too_few(response)
    lines += _class_lines(run)
    if send_delay is not None:
        lines.append(_line("sent late", f"p50 {ms(send_delay.p50)}, p99 {ms(send_delay.p99)} by the generator itself"))
    if verdict.saturation_ratio is not None:
        lines.append(_line("generator", f"{verdict.saturation_ratio:.1%} of its turns found a request already late"))
    if run.server is not None:
        lines += _server_lines(run.server)
    if kept is not None:
        lines.append(_line("kept in", str(kept)))
    return [*lines, *(_line("doubt", doubt_text(caveat)) for caveat in run.caveats)]


def _class_lines(run: LoadRun) -> list[str]:
    """Each class on its own, for the average may be fine while one of them is badly served."""
    lines = []
    for own in times_by_class(run):
        response = own.summary
        came = f"{own.n_failed} failed of {own.n_requests}"
        shown = "" if response is None else f"; {_latencies(response, run.spec.timeout_s)}{_too_few_inline(response)}"
        lines.append(_line("class", f"{own.name}: {came}{shown}"))
    return lines


def _too_few_inline(response: Summary) -> str:
    """Whether there are too few answers for a p99 of them."""
    return "" if response.p99 is not None else f" (a p99 takes {_NEEDED['p99']:,})"


def _latencies(response: Summary, timeout_s: float) -> str:
    """Such as `p50 1.2 ms, p95 3 ms, p99 > 1 s`: of what is cut at the timeout nobody knows how long it was."""
    figures = {"p50": response.p50, "p95": response.p95, "p99": response.p99, "p99.9": response.p99_9}
    return ", ".join(
        f"{name} > {timeout_s:g} s" if value >= timeout_s else f"{name} {ms(value)}"
        for name, value in figures.items()
        if value is not None
    )


def _too_few(response: Summary) -> list[str]:
    """How many answers the percentiles need that are not shown."""
    missing = {name: n for name, n in _NEEDED.items() if response.n_samples < n}
    said = ", ".join(f"{n:,} for {name}" for name, n in missing.items())
    return [_line("", f"from {response.n_samples:,} answers; it takes {said}")] if said else []


_NEEDED = {"p99": n_samples_needed(0.99), "p99.9": n_samples_needed(0.999)}


def _offered_line(spec: LoadSpec, came: str) -> str:
    law, duration = described(spec.arrivals), f"for {spec.duration_s:g} s"
    if isinstance(spec.arrivals, Callers):
        return _line("COMPARE", f"closed loop of {law} {duration}; {came}")
    return _line("offered", f"{spec.offered_rate_rps:,.1f} requests/s ({law}) {duration}; {came}")


def _server_lines(watch: ServerWatch) -> list[str]:
    """The server's figures that are known, at their most; none known: no line."""
    most = {series.name: float(np.nanmax(series.values)) for series in watch.series if series.values is not None}
    said = [text.format(most[name]) for name, text in _OF_THE_SERVER.items() if name in most]
    return [_line("server", f"at most {', '.join(said)}")] if said else []


_OF_THE_SERVER = {
    "cores_busy": "{:.2f} cores busy",
    "rss_bytes": "{:,.0f} bytes of memory",
    "gpu_busy_ratio": "its GPU busy {:.0%} of the time",
    "gpu_memory_bytes": "{:,.0f} bytes on the GPU",
    "waiting": "{:,.0f} waiting",
    "rows_per_batch": "{:.1f} rows a batch",
}


def fit_lines(fit: CapacityFit) -> list[str]:
    """The server's own cost, and what one server process carries with each setting."""
    overhead = fit.overhead
    lines = [
        _line(
            "server",
            f"{ms(overhead.request_s + overhead.response_s)} per request{_per_row(overhead)} and "
            f"{ms(overhead.batch_s)} per batch beside the inference",
        ),
        "threads  max batch  window   usable requests/s (interval)",
    ]
    for capacity in fit.capacities:
        setting = capacity.setting
        lines.append(
            f"{_threads(setting.execution):>7} {setting.serving.max_batch_size:>10} "
            f"{ms(setting.serving.batch_window_s):>7}   {capacity.usable_capacity_rps:,.0f} "
            f"({capacity.usable_capacity_rps_low:,.0f} to {capacity.usable_capacity_rps_high:,.0f})"
        )
    if fit.ledger is not None:
        lines += [_line("ledger", _ledger_figure(figure)) for figure in fit.ledger.figures]
    return [*lines, *(_line("doubt", doubt_text(caveat)) for caveat in fit.caveats)]


def _ledger_figure(figure: LedgerFigure) -> str:
    """Such as `p99: 7 of 10 live runs within the interval, predicted 12 % too short in the middle; widened …`."""
    name = f"p{100 * figure.quantile:g}"
    off = f"{abs(figure.bias_ratio):.0%} too {'long' if figure.bias_ratio > 0.0 else 'short'} in the middle"
    came = f"{name}: {figure.n_covered} of {figure.n_entries} live runs within the interval, predicted {off}"
    if not figure.is_enough:
        return f"{came}; not widened, that takes {N_ENTRIES_LEAST} runs"
    return f"{came}; {f'widened {figure.widening:.3g} times' if figure.widening > 1.0 else 'wide enough'}"


def _per_row(overhead: OverheadFit) -> str:
    return f", {ms(overhead.row_s)} per row" if overhead.row_s > 0.0 else ""


def _prices(fleet: Fleet) -> str:
    """Such as `$0.062 an hour each, seen 2026-06-18 (shipped 2026-11)`."""
    return " + ".join(
        f"{price_each(item.offer)} each, seen {item.offer.price_date} ({item.offer.layer})"
        f"{'' if item.offer.quality == 'ok' else f'; DOUBTFUL: {item.offer.quality}'}"
        for item in fleet.items
    )


def _holds(plan: Plan, fleet: Fleet) -> str:
    may_be_gone = gone_text(plan)
    gone = f" with {may_be_gone} gone" if may_be_gone else ""
    if fleet.predicted_p99_s is None:
        return f"at the peak{gone}: {fleet.utilisation_ratio_degraded:.0%} of the given capacity is used"
    span = ""
    if fleet.predicted_p99_s_low is not None and fleet.predicted_p99_s_high is not None:
        span = f" ({ms(fleet.predicted_p99_s_low)} to {ms(fleet.predicted_p99_s_high)})"
    return f"predicted p99 {ms(fleet.predicted_p99_s)}{span} at the peak{gone}"
