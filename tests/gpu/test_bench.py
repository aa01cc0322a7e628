"""The benchmark on a GPU: a short sweep, batches that don't fit, and what columns hold and burn."""

from dataclasses import replace
from pathlib import Path

from loadplan.bench.records import BenchCell
from loadplan.bench.runner import BenchRequest, run_bench
from loadplan.bench.starts import started_processes
from loadplan.execution import ExecutionConfig
from loadplan.machine import Machine

from . import graphs
from .conftest import normal, payloads


def test_a_sweep_times_one_and_several_sessions_with_their_copies(
    small: Path, on_gpu: ExecutionConfig, machine: Machine
) -> None:
    executions = [replace(on_gpu, n_sessions=n) for n in (1, 2, 4)]
    cells = tuple(BenchCell(execution=one, batch_size=size) for one in executions for size in (1, 32, 512))
    run = run_bench(
        BenchRequest(
            models={"fp32": small}, payloads=payloads(normal(600, 64)), cells=cells, budget_s=8.0, machine=machine
        )
    )
    assert {cell.cell for cell in run.cells} == set(cells)
    for cell in run.cells:
        assert cell.copy_in_s is not None
        assert cell.copy_out_s is not None
        assert min(cell.copy_in_s, cell.copy_out_s) > 0.0


def test_a_batch_that_does_not_fit_is_marked_and_the_rest_is_measured(
    tmp_path: Path, on_gpu: ExecutionConfig, machine: Machine
) -> None:
    model = graphs.hungry(tmp_path / "hungry.onnx")  # 256 MiB a row
    rows_that_fit_not = (machine.gpus[0].memory_bytes or 0) // (256 << 20) + 1
    assert rows_that_fit_not > 1
    cells = tuple(BenchCell(execution=on_gpu, batch_size=size) for size in (1, rows_that_fit_not, 2))
    run = run_bench(
        BenchRequest(
            models={"fp32": model},
            payloads=payloads(normal(rows_that_fit_not, 16)),
            cells=cells,
            budget_s=4.0,
            machine=machine,
        )
    )
    assert sorted(cell.cell.batch_size for cell in run.cells) == [1, 2]
    (failed,) = [caveat for caveat in run.caveats if caveat.code == "bench.cell_failed"]
    assert f"({rows_that_fit_not}): it does not fit into the memory" in failed.what


def test_a_column_tells_its_memory_power_and_energy(resnet: Path, on_gpu: ExecutionConfig) -> None:
    with started_processes(
        {on_gpu: (1, 32)}, models={"fp32": resnet}, payloads=payloads(normal(64, 3, 224, 224)), limit_s=110.0
    ) as start:
        answer = start(on_gpu, 0)
    assert answer.failure is None
    assert answer.reading is not None
    assert min(answer.reading.load_s, answer.reading.first_inference_s) > 0.0
    for batch in answer.reading.batches:
        assert batch.gpu is not None, answer.reading.lacks
        assert batch.gpu.memory_bytes is not None
        assert batch.gpu.memory_bytes > 100 << 20  # its weights alone
        assert batch.gpu.power_w is not None
        assert batch.gpu.power_w > 0.0
        if batch.gpu.energy_j is not None:  # GPUs before Volta don't count it
            assert batch.gpu.energy_j > 0.0
