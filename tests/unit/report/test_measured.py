"""What the report says of the benchmark beside the usual: pauses, sessions side by side."""

from dataclasses import replace

from loadplan.bench.records import BenchRun
from loadplan.report.findings import Findings
from loadplan.report.page import Figure, Fold, Table
from loadplan.report.sections.measured import measured_section


def folds(known: Findings) -> dict[str, Table]:
    section = measured_section(known)
    assert section is not None
    found = {block.title: block.blocks[0] for block in section.blocks if isinstance(block, Fold)}
    return {title: table for title, table in found.items() if isinstance(table, Table)}


def test_what_a_pause_costs_stands_beside_the_tight_loop(findings: Findings, bench: BenchRun) -> None:
    # One row in a loop takes 125 µs, after 7 ms of sleep 300.
    paused = replace(bench.cells[0].cell, idle_gap_s=0.007)
    cold = replace(bench.cells[0], cell=paused, mean_s=3e-4, mean_s_low=2.9e-4, mean_s_high=3.1e-4, n_samples=28)
    known = replace(findings, bench=replace(bench, cold=(cold,)))
    table = folds(known)["What a pause costs"]
    assert [(row[0], row[1], row[3], row[4]) for row in table.rows] == [
        ("none", "0.125", "1.00", "5,000"),
        ("7", "0.300", "2.40", "28"),
    ]
    assert "What a pause costs" not in folds(findings)


def test_a_mean_of_which_too_few_visits_say_nothing_still_has_a_rate(findings: Findings, bench: BenchRun) -> None:
    """Two visits apart leave an interval of the mean down to 0; no rate is above that of the shortest call."""
    vague = replace(bench.cells[0], mean_s_low=0.0, min_s=1e-4)
    section = measured_section(replace(findings, bench=replace(bench, cells=(vague, *bench.cells[1:]))))
    assert section is not None
    (throughput,) = (one for one in section.blocks if isinstance(one, Figure) and one.name == "throughput")
    high = throughput.chart.series[0].high
    assert high is not None
    assert high[0] == 1.0 / 1e-4


def test_what_the_length_of_rows_costs_stands_beside_their_mix(findings: Findings, bench: BenchRun) -> None:
    # 8 rows of 64 positions in 2 ms are 256,000 positions/s.
    one = bench.cells[0]
    cells = tuple(
        replace(one, cell=replace(one.cell, batch_size=8, length=length), mean_s=mean_s, mean_s_low=mean_s, n_samples=9)
        for length, mean_s in ((16, 1e-3), (64, 2e-3))
    )
    known = replace(findings, bench=replace(bench, by_length=cells))
    table = folds(known)["What the length of the rows costs"]
    assert [(row[0], row[1], row[2], row[4]) for row in table.rows] == [
        ("16", "8", "1", "128,000"),
        ("64", "8", "2", "256,000"),
    ]
    assert "What the length of the rows costs" not in folds(findings)


def test_sessions_side_by_side_count_together(findings: Findings, bench: BenchRun) -> None:
    # 8 rows in 300 µs are 26,667 rows/s; of three sessions, each as slow as that, 80,000.
    (one,) = (each for each in bench.cells if (each.cell.execution.n_threads, each.cell.batch_size) == (1, 8))
    execution = replace(one.cell.execution, n_sessions=3, provider="CUDA:1")
    three = replace(one, cell=replace(one.cell, execution=execution))
    known = replace(findings, bench=replace(bench, cells=(*bench.cells, three)))
    section = measured_section(known)
    assert section is not None
    (figure,) = (block for block in section.blocks if isinstance(block, Figure) and block.name == "throughput")
    assert figure.sentence.startswith("80,000 rows/s at best, with batches of 8 and 3 × 1 thread on CUDA:1")
    names = [row[1] for row in folds(known)["Every cell of the benchmark"].rows]
    assert names.count("3 × 1 thread on CUDA:1") == 1
