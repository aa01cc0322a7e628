"""How long a batch takes and how many rows a second come of it, by threads and batch size: two figures and a heat map.

The decision a reader would question: no more lines are drawn than can be told apart, those with the most rows a second;
the heat map and the table hold all of them.
"""

from loadplan.bench.records import BenchRun, CellSummary
from loadplan.report.chart import ASKED, LIGHT_HUES, Axis, Chart, Series
from loadplan.report.page import Figure, HeatCell, HeatTable, shade_of
from loadplan.report.view import digits, ms, span_ms, threads_text, to_ms

_N_LINES = 2 * len(LIGHT_HUES)  # each hue twice, the second time dashed


def time_figure(bench: BenchRun) -> Figure:
    """The mean time of one inference."""
    laws, n_left_out = _drawn(bench)
    single = min(bench.cells, key=lambda cell: (cell.cell.batch_size, cell.mean_s))
    largest = max(bench.cells, key=lambda cell: (cell.cell.batch_size, -cell.mean_s))
    return Figure(
        name="service-time",
        title="How long does one batch take?",
        sentence=(
            f"{_batch(single)} takes {ms(single.mean_s)} at best ({threads_text(single.cell.execution)}), "
            f"{_batch(largest).lower()} {ms(largest.mean_s)} ({threads_text(largest.cell.execution)}), "
            f"{digits(largest.mean_s / single.mean_s)} times as long (means, measured).{_more(n_left_out)}"
        ),
        chart=Chart(
            x=_sizes(bench),
            y=Axis(title="mean time of one inference, ms", scale="log"),
            series=(
                *(
                    Series(
                        name=name,
                        x=[float(cell.cell.batch_size) for cell in cells],
                        y=[to_ms(cell.mean_s) for cell in cells],
                        low=[to_ms(cell.mean_s_low) for cell in cells],
                        high=[to_ms(cell.mean_s_high) for cell in cells],
                        hue=i % len(LIGHT_HUES),
                        is_dashed=i >= len(LIGHT_HUES),
                        labels=[f"n = {cell.n_samples:,}" for cell in cells],
                    )
                    for i, (name, cells) in enumerate(laws.items())
                ),
                *_noisy(laws, in_ms=True),
            ),
        ),
    )


def throughput_figure(bench: BenchRun) -> Figure:
    """Rows a second, in the same colours."""
    laws, n_left_out = _drawn(bench)
    best = max(bench.cells, key=rows_per_s)
    return Figure(
        name="throughput",
        title="How many rows a second do batches bring?",
        sentence=(
            f"{digits(rows_per_s(best))} rows/s at best, with batches of {best.cell.batch_size} and "
            f"{threads_text(best.cell.execution)}: {ms(best.mean_s)} a batch "
            f"({span_ms(best.mean_s_low, best.mean_s_high)}, 95 % interval of the mean, measured, "
            f"n = {best.n_samples:,}).{_more(n_left_out)}"
        ),
        chart=Chart(
            x=_sizes(bench),
            y=Axis(title="rows a second, no server", scale="log"),
            series=(
                *(
                    Series(
                        name=name,
                        x=[float(cell.cell.batch_size) for cell in cells],
                        y=[rows_per_s(cell) for cell in cells],
                        low=[_rows(cell) / cell.mean_s_high for cell in cells],
                        high=[_rows(cell) / max(cell.mean_s_low, cell.min_s) for cell in cells],
                        hue=i % len(LIGHT_HUES),
                        is_dashed=i >= len(LIGHT_HUES),
                    )
                    for i, (name, cells) in enumerate(laws.items())
                ),
                *_noisy(laws, in_ms=False),
            ),
        ),
    )


def grid_table(bench: BenchRun) -> HeatTable:
    """Rows a second of every cell."""
    laws = _laws(bench)
    sizes = sorted({cell.cell.batch_size for cell in bench.cells})
    best = max(bench.cells, key=rows_per_s)
    n_noisy = sum(cell.is_noisy for cell in bench.cells)
    doubt = f" Noisy cells, {n_noisy:,} of {len(bench.cells):,}, say so." if n_noisy else ""
    return HeatTable(
        name="grid",
        title="Which cell of the grid is best?",
        sentence=f"Batches of {best.cell.batch_size} with {_law(best)}: {digits(rows_per_s(best))} rows a second "
        f"(measured; the darker the more).{doubt}",
        corner="rows a second, by batch size",
        columns=tuple(str(size) for size in sizes),
        rows=tuple((name, tuple(_heat(_at(cells, size), best) for size in sizes)) for name, cells in laws.items()),
    )


def rows_per_s(cell: CellSummary) -> float:
    """Of all sessions side by side."""
    return _rows(cell) / cell.mean_s


def _rows(cell: CellSummary) -> int:
    return cell.cell.execution.n_sessions * cell.cell.batch_size


def _laws(bench: BenchRun) -> dict[str, list[CellSummary]]:
    """Cells with the same threads and variant, by batch size."""
    laws: dict[str, list[CellSummary]] = {}
    for cell in sorted(bench.cells, key=lambda cell: cell.cell):
        laws.setdefault(_law(cell), []).append(cell)
    return laws


def _law(cell: CellSummary) -> str:
    return f"{cell.cell.execution.variant}, {threads_text(cell.cell.execution)}"


def _drawn(bench: BenchRun) -> tuple[dict[str, list[CellSummary]], int]:
    """The laws that are drawn, and how many are not."""
    laws = _laws(bench)
    fastest = sorted(laws, key=lambda name: -max(map(rows_per_s, laws[name])))[:_N_LINES]
    return {name: cells for name, cells in laws.items() if name in fastest}, max(len(laws) - _N_LINES, 0)


def _more(n_left_out: int) -> str:
    return f" {n_left_out} more, slower at their best, are not drawn." if n_left_out else ""


def _batch(cell: CellSummary) -> str:
    return "One row" if cell.cell.batch_size == 1 else f"A batch of {cell.cell.batch_size}"


def _sizes(bench: BenchRun) -> Axis:
    sizes = sorted({cell.cell.batch_size for cell in bench.cells})
    return Axis(title="rows in the batch", scale="log", ticks=[(float(size), str(size)) for size in sizes])


def _noisy(laws: dict[str, list[CellSummary]], *, in_ms: bool) -> list[Series]:
    noisy = [cell for cells in laws.values() for cell in cells if cell.is_noisy]
    if not noisy:
        return []
    return [
        Series(
            name="noisy",
            x=[float(cell.cell.batch_size) for cell in noisy],
            y=[to_ms(cell.mean_s) if in_ms else rows_per_s(cell) for cell in noisy],
            style="points",
            hue=ASKED,
            is_hollow=True,
            labels=[_law(cell) for cell in noisy],
        )
    ]


def _at(cells: list[CellSummary], size: int) -> CellSummary | None:
    return next((cell for cell in cells if cell.cell.batch_size == size), None)


def _heat(cell: CellSummary | None, best: CellSummary) -> HeatCell | None:
    if cell is None:
        return None
    return HeatCell(
        text=digits(rows_per_s(cell)),
        note="noisy" if cell.is_noisy else "",
        shade=shade_of(rows_per_s(cell), rows_per_s(best)),
        is_marked=cell is best,
    )
