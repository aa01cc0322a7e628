"""A client of the protocol that others wrote drives the server, over both wires and in both forms."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http

if TYPE_CHECKING:
    from tests.live.serve.conftest import Server, StartServer

_WIRES: dict[str, ModuleType] = {"http": tritonclient.http, "grpc": tritonclient.grpc}


@pytest.fixture
def server(start_server: "StartServer") -> "Server":
    return start_server("--max-batch-size", "8", "--grpc-port", "0")


@pytest.fixture(params=_WIRES)
def wire(request: pytest.FixtureRequest) -> ModuleType:
    return _WIRES[request.param]


@pytest.fixture
def client(server: "Server", wire: ModuleType) -> Iterator[Any]:
    address = server.said["url"].removeprefix("http://") if wire is tritonclient.http else server.said["grpc"]
    with closing(wire.InferenceServerClient(address)) as client:
        yield client


def _rows(n_rows: int, first: int = 0) -> np.ndarray[Any, Any]:
    rows = np.zeros((n_rows, 4), dtype=np.float32)
    rows[:, 0] = np.arange(first, first + n_rows)
    return rows


def _input(wire: ModuleType, rows: np.ndarray[Any, Any], **how: bool) -> Any:
    tensor = wire.InferInput("x", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows, **how)
    return tensor


def test_the_client_finds_all_that_the_protocol_promises(client: Any, wire: ModuleType) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("echo")
    assert client.is_model_ready("echo", "1")
    as_json = {} if wire is tritonclient.http else {"as_json": True}
    about, model = client.get_server_metadata(**as_json), client.get_model_metadata("echo", **as_json)
    assert (about["name"], model["name"], model["versions"]) == ("loadplan", "echo", ["1"])
    assert [(item["name"], item["datatype"], [int(axis) for axis in item["shape"]]) for item in model["outputs"]] == [
        ("y", "FP32", [-1, 4]),
        ("twice", "FP32", [-1, 2]),
    ]


def test_each_form_over_http_gives_the_same_answer(server: "Server") -> None:
    wire = tritonclient.http
    rows = _rows(3, first=5) + np.float32(0.1)
    rows[:, 1:] = 0
    for sends_raw, wants_raw in itertools.product((True, False), repeat=2):
        wanted = [wire.InferRequestedOutput(name, binary_data=wants_raw) for name in ("twice", "y")]
        with closing(wire.InferenceServerClient(f"127.0.0.1:{server.port}")) as client:
            answer = client.infer("echo", [_input(wire, rows, binary_data=sends_raw)], outputs=wanted, request_id="a7")
        assert answer.get_response()["id"] == "a7"
        np.testing.assert_array_equal(answer.as_numpy("y"), rows)
        np.testing.assert_array_equal(answer.as_numpy("twice"), 2 * rows[:, :2])
        said = answer.get_response()["outputs"]
        assert [item["name"] for item in said] == ["twice", "y"]
        sizes = [item.get("parameters", {}).get("binary_data_size") for item in said]
        assert sizes == ([24, 48] if wants_raw else [None] * 2)


def test_a_client_that_names_no_outputs_gets_all_of_them(client: Any, wire: ModuleType) -> None:
    answer = client.infer("echo", [_input(wire, _rows(2))], request_id="b8")
    np.testing.assert_array_equal(answer.as_numpy("y"), _rows(2))
    np.testing.assert_array_equal(answer.as_numpy("twice"), [[0, 0], [2, 0]])
    said = answer.get_response()
    assert (said["id"] if wire is tritonclient.http else said.id) == "b8"


def test_calls_over_both_wires_share_batches_and_each_gets_its_own_answer(server: "Server") -> None:
    def ask(index: int) -> bool:
        wire = tritonclient.grpc if index % 2 else tritonclient.http
        address = server.said["grpc"] if index % 2 else f"127.0.0.1:{server.port}"
        with closing(wire.InferenceServerClient(address)) as client:
            for turn in range(20):
                rows = _rows(2, first=1000 * index + 2 * turn)
                if not np.array_equal(client.infer("echo", [_input(wire, rows)]).as_numpy("y"), rows):
                    return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(4)))
    metrics = server.metrics()
    assert metrics['loadplan_requests_total{outcome="ok"}'] == 80
    assert metrics["loadplan_batch_rows_sum"] == 160


_MISTAKES = [
    # model, version, shape, datatype, what the message says
    ("other", "", [1, 4], "FP32", "model"),
    ("echo", "2", [1, 4], "FP32", "2"),
    ("echo", "", [1, 5], "FP32", "the model takes"),
    ("echo", "", [1, 4], "INT32", "must be FP32"),
]


def test_a_mistake_is_said_and_harms_nobody(client: Any, wire: ModuleType) -> None:
    for name, version, shape, datatype, said in _MISTAKES:
        tensor = wire.InferInput("x", shape, datatype)
        tensor.set_data_from_numpy(np.zeros(shape, dtype={"FP32": np.float32, "INT32": np.int32}[datatype]))
        with pytest.raises(Exception, match=said) as caught:
            client.infer(name, [tensor], model_version=version)
        assert type(caught.value).__name__ == "InferenceServerException"
    np.testing.assert_array_equal(client.infer("echo", [_input(wire, _rows(1))]).as_numpy("y"), _rows(1))


def test_a_full_queue_refuses_calls_over_grpc_too(start_server: "StartServer") -> None:
    server = start_server(
        "--max-batch-size", "8", "--max-queue-rows", "2", "--batch-window-ms", "500", "--grpc-port", "0"
    )
    with closing(tritonclient.grpc.InferenceServerClient(server.said["grpc"])) as client, ThreadPoolExecutor(6) as pool:
        ends = [future.result() for future in [pool.submit(_end_of, client) for _ in range(6)]]
    assert sorted(ends) == ["", "", *["StatusCode.RESOURCE_EXHAUSTED"] * 4]
    assert server.metrics()['loadplan_requests_total{outcome="rejected"}'] == 4


def test_a_call_whose_timeout_passes_is_refused_before_it_is_computed(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "8", "--batch-window-ms", "60000", "--grpc-port", "0")
    with closing(tritonclient.grpc.InferenceServerClient(server.said["grpc"])) as client:
        assert _end_of(client, timeout=50_000) == "StatusCode.DEADLINE_EXCEEDED"
    assert server.metrics()['loadplan_requests_total{outcome="expired"}'] == 1
    assert server.batches() == {}


def _end_of(client: Any, **how: float) -> str:
    try:
        client.infer("echo", [_input(tritonclient.grpc, _rows(1))], **how)
    except tritonclient.grpc.InferenceServerException as error:
        return str(error.status())
    return ""


def test_a_call_that_its_client_gives_up_is_dropped_before_it_is_computed(start_server: "StartServer") -> None:
    server = start_server("--max-batch-size", "8", "--batch-window-ms", "700", "--grpc-port", "0")
    with closing(tritonclient.grpc.InferenceServerClient(server.said["grpc"])) as client:
        assert _end_of(client, client_timeout=0.2) == "StatusCode.DEADLINE_EXCEEDED"
    server.wait_for('loadplan_requests_total{outcome="disconnected"}', 1.0)
    assert server.batches() == {}
