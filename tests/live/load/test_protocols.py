"""The embedded server is driven in each of its protocols, and every answer of each is compared."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.messages.requests import PreparedRequests, v2_binary_requests, v2_requests
from loadplan.load.messages.v2_grpc import v2_grpc_requests
from loadplan.load.records import Outcome
from loadplan.load.target.server_process import ServerHandle, start_server
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always

Build = Callable[..., PreparedRequests]
BUILDERS: dict[str, Build] = {"json": v2_requests, "binary": v2_binary_requests, "gRPC": v2_grpc_requests}
SETTING = Setting(execution=ExecutionConfig(variant="given"), serving=ServingConfig(max_batch_size=8))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerHandle]:
    """Numbers doubled, words and flags as they came."""
    kinds = {"x": TensorProto.FLOAT, "half": TensorProto.FLOAT16, "word": TensorProto.STRING, "flag": TensorProto.BOOL}
    shapes: dict[str, list[int | str | None]] = {"x": ["n", 3], "half": ["n", 2], "word": ["n"], "flag": ["n"]}
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y_x"])]
        + [helper.make_node("Identity", [name], [f"y_{name}"]) for name in ("half", "word", "flag")],
        "several",
        [helper.make_tensor_value_info(name, kind, shapes[name]) for name, kind in kinds.items()],
        [helper.make_tensor_value_info(f"y_{name}", kind, shapes[name]) for name, kind in kinds.items()],
    )
    path = tmp_path_factory.mktemp("model") / "several.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    with start_server(Path(path), setting=SETTING, model_name="s", with_grpc=True) as handle:
        yield handle


def payloads(*, factor: float) -> PayloadSet:
    rng = np.random.default_rng(9)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    inputs: dict[str, NDArray[np.generic]] = {
        "x": x,
        "half": rng.normal(size=(40, 2)).astype(np.float16),
        "word": np.array([f"wörd {i}" for i in range(40)], dtype=np.object_),
        "flag": rng.random(40) < 0.5,
    }
    expected = {"y_x": factor * x, **{f"y_{name}": inputs[name] for name in ("half", "word", "flag")}}
    return PayloadSet(inputs=inputs, expected=expected, segments=("",) * 40, labels=None)


@pytest.mark.parametrize("protocol", BUILDERS)
def test_every_answer_is_right_and_a_wrong_expectation_is_seen(
    protocol: str, server: ServerHandle, drive: Callable[..., LoopResult]
) -> None:
    address = server.grpc if protocol == "gRPC" else server.url
    assert address is not None
    port = int(address.rpartition(":")[2])
    for factor, outcome in ((2.0, Outcome.OK), (2.1, Outcome.WRONG_ANSWER)):
        requests = BUILDERS[protocol](payloads(factor=factor), model="s", rows_per_request=always(3))
        result = drive(port, requests, np.arange(40) / 200.0)
        assert set(result.requests.outcome) == {outcome}
