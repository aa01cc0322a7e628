"""Requests of different lengths: padded into one batch where the model was proved to answer the same, else apart."""

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from tests.live.serve.conftest import Launch, Server, StartServer

_FOUR_AT_ONCE = ("--max-batch-size", "4", "--batch-window-ms", "700")
# Token i stands for (i, 10 - i), so the answers are the mean token and 10 less it.
_SENTENCES = ([1, 2, 6], [4], [7, 8, 9, 3, 1], [5, 4])
_ANSWERS = [[3.0, 7.0], [4.0, 6.0], [5.6, 4.4], [4.5, 5.5]]


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """The mean of the vectors of the tokens that the mask keeps."""
    nodes = [
        helper.make_node("Gather", ["vectors", "ids"], ["found"]),
        helper.make_node("Cast", ["mask"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "two"], ["each"]),
        helper.make_node("Mul", ["found", "each"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["weights", "one"], ["n"], keepdims=1),
        helper.make_node("Div", ["sum", "n"], ["y"]),
    ]
    return _saved(nodes, tmp_path, ["batch", 2])


def _saved(nodes: list[onnx.NodeProto], folder: Path, output: list[str | int | None]) -> Path:
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in ("ids", "mask")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [
            numpy_helper.from_array(np.array([[i, 10 - i] for i in range(10)], dtype=np.float32), "vectors"),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "one"),
            numpy_helper.from_array(np.array([2], dtype=np.int64), "two"),
        ],
    )
    path = folder / "encoder.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


def _document(*rows: list[int], mask: list[int] | None = None) -> dict[str, Any]:
    """Rows of one request are padded by the client; those of others by the server."""
    longest = max(map(len, rows))
    ids = [token for row in rows for token in (*row, *[0] * (longest - len(row)))]
    kept = mask or [int(i < len(row)) for row in rows for i in range(longest)]
    tensors = {"ids": ids, "mask": kept}
    return {
        "inputs": [
            {"name": name, "datatype": "INT64", "shape": [len(rows), len(data) // len(rows)], "data": data}
            for name, data in tensors.items()
        ]
    }


def _ask_at_once(server: "Server", *documents: dict[str, Any]) -> list[list[float]]:
    clients = [server.connect() for _ in documents]
    for client, document in zip(clients, documents, strict=True):
        body = json.dumps(document).encode()
        client.sendall(b"POST /v2/models/echo/infer HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    return [_answer(client) for client in clients]


def _answer(client: socket.socket) -> list[float]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    n_bytes = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < n_bytes:
        body += client.recv(65536)
    assert head.split()[1] == b"200", body
    data: list[float] = json.loads(body)["outputs"][0]["data"]
    return data


def test_requests_of_different_lengths_share_one_inference_and_get_their_own_answers(
    start_server: "StartServer", encoder: Path
) -> None:
    server = start_server(*_FOUR_AT_ONCE, "--pads", path=encoder)
    answers = _ask_at_once(server, *map(_document, _SENTENCES))
    assert np.allclose(answers, _ANSWERS, atol=1e-6)
    assert server.batches() == {"4.0": 1.0}


def test_a_request_of_several_rows_keeps_its_rows_among_longer_ones(start_server: "StartServer", encoder: Path) -> None:
    server = start_server(*_FOUR_AT_ONCE, "--pads", path=encoder)
    first, second = _ask_at_once(server, _document(_SENTENCES[0], _SENTENCES[1]), _document(*_SENTENCES[2:]))
    assert np.allclose([*first, *second], np.ravel(_ANSWERS), atol=1e-6)
    assert server.batches() == {"4.0": 1.0}


def test_without_proof_each_length_has_its_own_inference(start_server: "StartServer", encoder: Path) -> None:
    server = start_server(*_FOUR_AT_ONCE, path=encoder)
    answers = _ask_at_once(server, *map(_document, _SENTENCES))
    assert np.allclose(answers, _ANSWERS, atol=1e-6)
    assert server.batches() == {"1.0": 4.0}


def test_a_mask_of_another_length_than_its_tokens_is_refused_before_it_is_padded(
    start_server: "StartServer", encoder: Path
) -> None:
    server = start_server("--max-batch-size", "4", "--pads", path=encoder)
    status, answer = server.infer(_document([1, 2, 6], mask=[1, 1]))
    assert (status, answer["error"]) == (400, "the inputs ids and mask have different lengths: [2, 3]")


def test_a_model_that_answers_each_position_is_not_served_padded(launch: "Launch", tmp_path: Path) -> None:
    whole = [helper.make_node("Gather", ["vectors", "ids"], ["y"]), helper.make_node("Identity", ["mask"], ["kept"])]
    path = _saved(whole, tmp_path, ["batch", "length", 2])
    process = launch("--model", str(path), "--name", "echo", "--pads")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "its output 'y' may be as long as its rows" in said
