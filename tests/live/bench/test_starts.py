"""Real processes that open real models: what they hold, and what becomes of those that fail."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from loadplan.bench.resources import GPU, PACKAGE, StartReading
from loadplan.bench.starts import StartColumn, started_processes
from loadplan.execution import ExecutionConfig
from loadplan.scenario.payloads import PayloadSet
from loadplan.sysfs import read_package_energy

MIB = 1 << 20
N_FEATURES, N_WIDE = 16, 1 << 18
WEIGHTS_BYTES = 4 * N_FEATURES * N_WIDE  # 16 MiB


def wide_model(path: Path, shape: Sequence[str | int] = ("rows",)) -> Path:
    """16 numbers in, a MiB out, for each row or each position of a row."""
    weights = numpy_helper.from_array(np.ones((N_FEATURES, N_WIDE), dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [*shape, N_FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [*shape, N_WIDE])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


@contextmanager
def starting(
    model: Path,
    execution: ExecutionConfig,
    batch_sizes: Sequence[int],
    *,
    payloads: PayloadSet | None = None,
    limit_s: float = 60.0,
) -> Iterator[StartColumn]:
    rows = np.ones((40, N_FEATURES), dtype=np.float32)
    payloads = payloads or PayloadSet(inputs={"x": rows}, expected={"y": rows}, segments=("",) * 40, labels=None)
    models = {execution.variant: model}
    with started_processes({execution: batch_sizes}, models=models, payloads=payloads, limit_s=limit_s) as start:
        yield start


def started(
    model: Path, execution: ExecutionConfig, batch_sizes: Sequence[int], payloads: PayloadSet | None = None
) -> StartReading:
    with starting(model, execution, batch_sizes, payloads=payloads) as start:
        answer = start(execution, 0)
    assert answer.failure is None
    assert answer.reading is not None
    return answer.reading


def test_a_process_holds_the_weights_and_the_answers_of_its_largest_batch(tmp_path: Path) -> None:
    execution = ExecutionConfig(variant="wide")
    reading = started(wide_model(tmp_path / "wide.onnx"), execution, (1, 64))
    one, many = reading.batches
    assert (one.batch_size, many.batch_size) == (1, 64)
    assert one.peak_memory_bytes is not None
    assert many.peak_memory_bytes is not None
    assert WEIGHTS_BYTES < one.peak_memory_bytes < WEIGHTS_BYTES * 5
    assert WEIGHTS_BYTES + 64 * MIB < many.peak_memory_bytes < WEIGHTS_BYTES * 5 + 64 * MIB * 3
    assert reading.base_memory_bytes > 10 * MIB  # Python and the runtime
    assert reading.load_s > 0.0
    assert reading.first_inference_s > 0.0
    assert all(0.0 < batch.busy_cores < 1.5 for batch in reading.batches)


def test_sessions_side_by_side_hold_the_weights_once_each(tmp_path: Path) -> None:
    reading = started(wide_model(tmp_path / "wide.onnx"), ExecutionConfig(variant="wide", n_sessions=3), (1,))
    (batch,) = reading.batches
    assert batch.peak_memory_bytes is not None
    assert batch.peak_memory_bytes > 3 * WEIGHTS_BYTES


def test_of_rows_that_differ_in_length_the_longest_make_the_peak(tmp_path: Path) -> None:
    """39 rows of one position and one of 64."""
    rows, lengths = np.zeros((40, 64, N_FEATURES), dtype=np.float32), np.ones(40, dtype=np.int64)
    lengths[7] = 64
    payloads = PayloadSet(
        inputs={"x": rows},
        expected={"y": rows},
        segments=("",) * 40,
        labels=None,
        lengths=lengths,
        sequences=("x",),
    )
    model = wide_model(tmp_path / "long.onnx", ("rows", "positions"))
    (batch,) = started(model, ExecutionConfig(variant="long"), (1,), payloads).batches
    assert batch.peak_memory_bytes is not None
    assert batch.peak_memory_bytes > WEIGHTS_BYTES + 64 * MIB


def test_what_this_machine_does_not_tell_has_its_reason(models: dict[str, Path]) -> None:
    reading = started(models["good"], ExecutionConfig(variant="good"), (1,))
    assert reading.batches[0].gpu is None
    assert reading.lacks[GPU] == "it ran on no GPU"
    is_counted = bool(read_package_energy(Path("/")))
    assert (reading.batches[0].package_energy_j is not None) == is_counted
    assert (PACKAGE in reading.lacks) != is_counted


@pytest.mark.parametrize(
    ("variant", "said", "limit_s"),
    [
        ("broken", "can't load the model", 60.0),
        ("batch_of_4", "invalid dimensions", 60.0),
        ("endless", "within 2 s", 2.0),
    ],
)
def test_a_start_that_comes_to_nothing_says_why(
    models: dict[str, Path], variant: str, said: str, limit_s: float
) -> None:
    execution = ExecutionConfig(variant=variant)
    with starting(models[variant], execution, (1,), limit_s=limit_s) as start:
        answer = start(execution, 0)
    assert answer.reading is None
    assert answer.failure is not None
    assert said in answer.failure
