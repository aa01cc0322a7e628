"""What was measured on this machine: the inference alone, the server under real arrivals, and what both come to."""

from loadplan.bench.records import BenchRun
from loadplan.fit.records import CapacityFit
from loadplan.load.records import LoadRun
from loadplan.load.verdict import latency_summary, response_times_s, send_delay_summary
from loadplan.machine import Machine
from loadplan.report.findings import Findings
from loadplan.report.page import Block, Fold, Section, Table, Text, number, text
from loadplan.report.sections.batches import grid_table, rows_per_s, throughput_figure, time_figure
from loadplan.report.sections.resources import resource_folds
from loadplan.report.view import counted, digits, percent, setting_text, span_ms, threads_text, to_ms
from loadplan.stats import quantile_interval


def measured_section(known: Findings) -> Section | None:
    """The benchmark, the live runs and the capacity of every setting, as far as there are any."""
    blocks: list[Block] = [Text(text=f"All on one machine: {machine_text(known.machine)}.")]
    if known.bench is not None and known.bench.cells:
        blocks += [
            time_figure(known.bench),
            throughput_figure(known.bench),
            grid_table(known.bench),
            Fold(title="Every cell of the benchmark", blocks=(_cells(known.bench),)),
        ]
        blocks += [*_lengths(known.bench), *_pauses(known.bench), *_copies(known.bench), *resource_folds(known.bench)]
    runs = [*(known.loads or ()), *([known.verification] if known.verification else [])]
    if runs:
        blocks += [_runs_table(runs), *_invalid(runs)]
    if known.fit is not None:
        blocks.append(_capacities(known.fit))
    if len(blocks) == 1:
        return None
    return Section(name="measured", title="", blocks=tuple(blocks))


def machine_text(machine: Machine) -> str:
    """The machine in one line."""
    quota = "" if machine.quota_cores is None else f", quota {machine.quota_cores:g} cores"
    limit = "" if machine.memory_limit_bytes is None else f" (limit {machine.memory_limit_bytes / 2**30:.1f} GiB)"
    named = "" if machine.instance_type is None else f", {machine.instance_type}"
    emulated = "" if machine.emulator is None else f", emulated by {machine.emulator}"
    gpus = "".join(f", {gpu.name}" for gpu in machine.gpus)
    return (
        f"{machine.cpu_model}, {machine.n_usable_cores} of {counted(machine.n_cores, 'core')} usable{quota}, "
        f"{machine.memory_bytes / 2**30:.1f} GiB{limit}{named}{emulated}{gpus}, fingerprint {machine.fingerprint}"
    )


def _cells(bench: BenchRun) -> Table:
    return Table(
        caption=f"{counted(len(bench.cells), 'cell')}, single inferences without a server (measured); mean and median "
        f"of short ones are of loops of 1 ms, and the clock adds {digits(1e6 * bench.clock_s)} µs to the p99",
        columns=(
            text("variant"),
            text("threads"),
            number("rows"),
            number("mean, ms"),
            number("95 % interval"),
            number("median, ms"),
            number("p99, ms"),
            number("calls"),
            number("worth independent"),
            text("noise"),
        ),
        rows=tuple(
            (
                cell.cell.execution.variant,
                threads_text(cell.cell.execution),
                str(cell.cell.batch_size),
                digits(to_ms(cell.mean_s)),
                span_ms(cell.mean_s_low, cell.mean_s_high),
                digits(to_ms(cell.median_s)),
                "too few" if cell.p99_s is None else digits(to_ms(cell.p99_s)),
                f"{cell.n_samples:,}",
                digits(cell.n_effective),
                "noisy" if cell.is_noisy else "",
            )
            for cell in sorted(bench.cells, key=lambda cell: cell.cell)
        ),
    )


def _pauses(bench: BenchRun) -> list[Block]:
    """How much slower a call is after a pause than in a tight loop."""
    if not bench.cold:
        return []
    execution, size = bench.cold[0].cell.execution, bench.cold[0].cell.batch_size
    loop = [cell for cell in bench.cells if cell.cell.execution == execution and cell.cell.batch_size == size]
    rows = tuple(
        (
            "none" if not cell.cell.idle_gap_s else digits(to_ms(cell.cell.idle_gap_s)),
            digits(to_ms(cell.mean_s)),
            span_ms(cell.mean_s_low, cell.mean_s_high),
            f"{cell.mean_s / loop[0].mean_s:.2f}" if loop else "unknown",
            f"{cell.n_samples:,}",
        )
        for cell in (*loop, *bench.cold)
    )
    table = Table(
        caption=f"One inference of {counted(size, 'row')} after the process slept, {execution.variant} with "
        f"{threads_text(execution)} (measured)",
        columns=(
            number("pause, ms"),
            number("mean, ms"),
            number("95 % interval"),
            number("times that of a tight loop"),
            number("calls"),
        ),
        rows=rows,
    )
    return [Fold(title="What a pause costs", blocks=(table,))]


def _copies(bench: BenchRun) -> list[Block]:
    """What of an inference on a GPU is copying to it and back."""
    rows = tuple(
        (
            cell.cell.execution.variant,
            threads_text(cell.cell.execution),
            str(cell.cell.batch_size),
            digits(to_ms(cell.mean_s)),
            digits(to_ms(cell.copy_in_s)),
            digits(to_ms(cell.copy_out_s)),
        )
        for cell in sorted(bench.cells, key=lambda cell: cell.cell)
        if cell.copy_in_s is not None and cell.copy_out_s is not None
    )
    if not rows:
        return []
    table = Table(
        caption=f"{counted(len(rows), 'cell')}; the copies are part of the mean, and were timed in calls of their own "
        "(measured)",
        columns=(
            text("variant"),
            text("threads"),
            number("rows"),
            number("mean, ms"),
            number("of it to the device, ms"),
            number("of it back, ms"),
        ),
        rows=rows,
    )
    return [Fold(title="What copying to the device and back costs", blocks=(table,))]


def _lengths(bench: BenchRun) -> list[Block]:
    """How service time goes with the length of the rows."""
    if not bench.by_length:
        return []
    execution = bench.by_length[0].cell.execution
    table = Table(
        caption=f"One inference of rows that all have one length, {execution.variant} with {threads_text(execution)} "
        "(measured); plans rest on the mix of the traffic's lengths",
        columns=(
            number("positions"),
            number("rows"),
            number("mean, ms"),
            number("95 % interval"),
            number("positions/s"),
            number("calls"),
            text("noise"),
        ),
        rows=tuple(
            (
                str(cell.cell.length),
                str(cell.cell.batch_size),
                digits(to_ms(cell.mean_s)),
                span_ms(cell.mean_s_low, cell.mean_s_high),
                digits(cell.cell.length * rows_per_s(cell)),
                f"{cell.n_samples:,}",
                "noisy" if cell.is_noisy else "",
            )
            for cell in sorted(bench.by_length, key=lambda cell: (cell.cell.batch_size, cell.cell.length))
        ),
    )
    return [Fold(title="What the length of the rows costs", blocks=(table,))]


def _runs_table(runs: list[LoadRun]) -> Table:
    n_requests = sum(run.requests.n_requests for run in runs)
    return Table(
        caption=f"{counted(len(runs), 'live run')}, {n_requests:,} requests, response times from due time (measured)",
        columns=(
            text("run"),
            text("server"),
            number("offered, requests/s"),
            number("answered right, /s"),
            number("requests"),
            number("failed"),
            number("p50, ms"),
            number("p99, ms (95 %)"),
            number("sent late, p99 ms"),
            number("undisturbed"),
            text("valid"),
        ),
        rows=tuple(_run_row(run) for run in runs),
    )


def _run_row(run: LoadRun) -> tuple[str, ...]:
    verdict = run.verdict
    p50, p99 = _quantiles(run)
    delay = send_delay_summary(run)
    late = "unknown" if delay is None else digits(to_ms(delay.max if delay.p99 is None else delay.p99))
    return (
        run.spec.name,
        setting_text(run.spec.setting),
        digits(run.spec.offered_rate_rps),
        digits(verdict.throughput_rps),
        f"{run.requests.n_requests:,}",
        f"{verdict.n_failed:,}",
        p50,
        p99,
        f"{late}{' (slowest)' if delay is not None and delay.p99 is None else ''}",
        percent(verdict.clean_ratio),
        "✓" if verdict.valid else "INVALID",
    )


def _invalid(runs: list[LoadRun]) -> list[Text]:
    return [
        Text(
            text=f"Run {run.spec.name} is INVALID and shows no latency: {'; '.join(run.verdict.invalid_reasons)}.",
            tone="doubt",
        )
        for run in runs
        if not run.verdict.valid
    ]


def _quantiles(run: LoadRun) -> tuple[str, str]:
    """The p50 and the p99 with its interval; an invalid run shows neither."""
    if not run.verdict.valid:
        return "–", "–"
    summary = latency_summary(run)
    if summary is None:
        return "no answer", "no answer"
    p50 = "too few" if summary.p50 is None else digits(to_ms(summary.p50))
    if summary.p99 is None:
        return p50, "too few"
    interval = quantile_interval(response_times_s(run), 0.99)
    span = "no interval" if interval is None else span_ms(interval.low, interval.high)
    return p50, f"{digits(to_ms(summary.p99))} ({span})"


def _capacities(fit: CapacityFit) -> Fold:
    rows = tuple(
        (
            setting_text(capacity.setting),
            digits(capacity.usable_capacity_rps),
            f"{digits(capacity.usable_capacity_rps_low)} to {digits(capacity.usable_capacity_rps_high)}",
            digits(capacity.saturated_rps),
            f"{digits(capacity.saturated_rps_low)} to {digits(capacity.saturated_rps_high)}",
        )
        for capacity in sorted(fit.capacities, key=lambda one: -one.usable_capacity_rps_low)
    )
    table = Table(
        caption=f"Usable capacity of one server process here, by setting ({fit.basis})",
        columns=(
            text("setting"),
            number("requests/s within the objectives"),
            number("interval"),
            number("queue grows without end at"),
            number("interval"),
        ),
        rows=rows,
    )
    return Fold(title=f"What one server process carries, by setting ({len(rows)})", blocks=(table,))
