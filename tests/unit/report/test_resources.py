"""What the report says of starts and of the probe: hand-made readings, and the words and figures that they become."""

from dataclasses import replace

from loadplan.bench.records import BenchRun
from loadplan.bench.resources import GPU, PACKAGE, BatchReading, GpuReading, StartReading
from loadplan.execution import ExecutionConfig
from loadplan.report.page import Fold, Table, Text
from loadplan.report.sections.resources import resource_folds
from loadplan.speed import ProbedFigure, ProbeResult
from loadplan.stats import Interval

ON_CPU = ExecutionConfig(variant="fp32")


def start(
    i: int,
    load_s: float,
    *,
    execution: ExecutionConfig = ON_CPU,
    gpu: GpuReading | None = None,
    lacks: dict[str, str] | None = None,
) -> StartReading:
    return StartReading(
        execution=execution,
        i_start=i,
        base_memory_bytes=50_000_000,
        load_s=load_s,
        first_inference_s=0.002,
        batches=tuple(
            BatchReading(
                batch_size=size, peak_memory_bytes=1_000_000 * size, busy_cores=0.5, package_energy_j=None, gpu=gpu
            )
            for size in (8, 32)
        ),
        lacks=lacks or {},
    )


def blocks_of(bench: BenchRun) -> dict[str, tuple[Table, list[str]]]:
    """Each fold's table and the sentences below it."""
    found = {}
    for fold in resource_folds(bench):
        assert isinstance(fold, Fold)
        table, *sentences = fold.blocks
        assert isinstance(table, Table)
        found[fold.title] = table, [each.text for each in sentences if isinstance(each, Text)]
    return found


def test_a_start_is_told_with_its_extremes_and_the_number_of_starts(bench: BenchRun) -> None:
    known = replace(bench, starts=(start(0, 0.010), start(1, 0.030), start(2, 0.020)))
    table, _ = blocks_of(known)["How a replica starts, and what it holds"]
    assert table.caption.startswith("3 starts, ")
    assert table.rows == (("fp32", "1 thread", "20 (10 to 30)", "2", "50", "32", "3"),)


def test_what_could_not_be_read_is_left_out_and_its_reason_told(bench: BenchRun) -> None:
    known = replace(bench, starts=(start(0, 0.010, lacks={PACKAGE: "only root may", GPU: "it ran on no GPU"}),))
    table, sentences = blocks_of(known)["What each batch size needs"]
    assert [column.title for column in table.columns] == ["variant", "threads", "rows", "memory, MB", "busy cores"]
    assert table.rows == (("fp32", "1 thread", "8", "8", "0.500"), ("fp32", "1 thread", "32", "32", "0.500"))
    assert sentences == ["Energy of the processor: not known, only root may."]


def test_figures_of_a_gpu_stand_beside_those_of_the_processor(bench: BenchRun) -> None:
    on_gpu = ExecutionConfig(variant="fp32", provider="CUDA")
    reading = GpuReading(memory_bytes=700_000_000, busy_ratio=0.9, power_w=250.0, energy_j=0.125)
    known = replace(
        bench, starts=(start(0, 0.01, lacks={GPU: "it ran on no GPU"}), start(0, 2.0, execution=on_gpu, gpu=reading))
    )
    table, sentences = blocks_of(known)["What each batch size needs"]
    assert [column.title for column in table.columns][-4:] == [
        "GPU memory, MB",
        "GPU busy, %",
        "GPU power, W",
        "GPU mJ an inference",
    ]
    assert table.rows[0][-4:] == ("unknown",) * 4
    assert table.rows[2] == ("fp32", "1 thread on CUDA", "8", "8", "0.500", "700", "90", "250", "125")
    assert sentences == []


def test_what_the_machine_attains_is_told_for_one_core_and_for_all(bench: BenchRun) -> None:
    def figure(mean: float) -> ProbedFigure:
        return ProbedFigure(mean=mean, interval=Interval(low=mean * 0.9, high=mean * 1.1), n_samples=10)

    probe = ProbeResult(
        n_threads=4,
        gflops_one_thread=figure(80.0),
        gflops_all_threads=figure(300.0),
        gb_per_s_one_core=figure(10.0),
        gb_per_s_all_cores=figure(25.0),
        turns_per_s=figure(9000.0),
        lost_ratio=figure(0.02),
    )
    table, _ = blocks_of(replace(bench, probe=probe))["What this machine attains"]
    assert [column.title for column in table.columns] == ["work", "one core", "4 cores"]
    assert [row[1:] for row in table.rows] == [
        ("80 (72 to 88)", "300 (270 to 330)"),
        ("10 (9 to 11)", "25 (22.5 to 27.5)"),
        ("9,000 (8,100 to 9,900)", "–"),
    ]
    assert "neighbours took 2 % of a core's time" in table.caption


def test_without_starts_and_probe_nothing_is_said(bench: BenchRun) -> None:
    assert resource_folds(bench) == []
