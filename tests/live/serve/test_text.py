"""A model that takes words: over the wire as BYTES, batched, and an unknown word harms only who sent it."""

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from onnx import TensorProto, helper

from loadplan.execution import EXAMPLE_TEXT_KEY

if TYPE_CHECKING:
    from tests.live.serve.conftest import Launch, Server, StartServer

_CITIES = ("oslo", "", "naïve 😀", "rome")


@pytest.fixture
def strict_model(tmp_path: Path) -> Path:
    """Input `city` becomes one-hot; a word that the model doesn't know is an error, and so is no word at all."""
    return _save(_one_hot(("oslo", "naïve 😀", "rome")), tmp_path, example="rome")


def _one_hot(cities: tuple[str, ...]) -> onnx.GraphProto:
    return helper.make_graph(
        [
            helper.make_node("OneHotEncoder", ["city"], ["hot"], domain="ai.onnx.ml", cats_strings=cities, zeros=0),
            helper.make_node("Identity", ["city"], ["same"]),
        ],
        "cities",
        [helper.make_tensor_value_info("city", TensorProto.STRING, ["batch", 1])],
        [
            helper.make_tensor_value_info("hot", TensorProto.FLOAT, ["batch", 1, len(cities)]),
            helper.make_tensor_value_info("same", TensorProto.STRING, ["batch", 1]),
        ],
    )


def _save(graph: onnx.GraphProto, folder: Path, *, example: str | None) -> Path:
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    if example is not None:
        helper.set_model_props(model, {f"{EXAMPLE_TEXT_KEY}city": example})
    path = folder / "cities.onnx"
    onnx.save(model, path)
    return path


def _document(*cities: object, datatype: str = "BYTES") -> dict[str, Any]:
    return {"inputs": [{"name": "city", "datatype": datatype, "shape": [len(cities), 1], "data": list(cities)}]}


def _outputs(answer: dict[str, Any]) -> dict[str, Any]:
    return {output["name"]: output["data"] for output in answer["outputs"]}


def test_words_come_back_as_they_went(start_server: "StartServer", tmp_path: Path) -> None:
    server = start_server("--max-batch-size", "8", path=_save(_one_hot(_CITIES), tmp_path, example=None))
    assert server.get("/v2/models/echo")[1]["inputs"] == [{"name": "city", "datatype": "BYTES", "shape": [-1, 1]}]
    status, answer = server.infer(_document(*_CITIES))
    assert status == 200
    assert _outputs(answer) == {
        "hot": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
        "same": list(_CITIES),
    }


def test_requests_with_words_share_a_batch_and_an_unknown_word_fails_alone(
    start_server: "StartServer", strict_model: Path
) -> None:
    server = start_server("--max-batch-size", "4", "--batch-window-ms", "2000", path=strict_model)
    clients = [server.connect() for _ in range(4)]
    for client, city in zip(clients, ("oslo", "paris", "rome", "oslo"), strict=True):
        client.sendall(_message(_document(city)))
    answers = [_answer(client) for client in clients]
    assert [status for status, _ in answers] == [200, 500, 200, 200]
    assert [_outputs(answers[index][1])["hot"] for index in (0, 2, 3)] == [[1, 0, 0], [0, 0, 1], [1, 0, 0]]
    for client in clients:
        client.sendall(_message(_document("rome")))
    assert [_outputs(_answer(client)[1])["hot"] for client in clients] == [[0, 0, 1]] * 4
    assert server.batches() == {"1.0": 3.0, "4.0": 1.0}


def test_a_strict_model_is_warmed_up_and_probed_with_a_word_that_it_knows(
    start_server: "StartServer", strict_model: Path
) -> None:
    assert start_server("--max-batch-size", "8", path=strict_model).get("/v2/health/ready") == (200, {"ready": True})


def test_without_such_a_word_the_server_says_what_the_model_refuses(launch: "Launch", tmp_path: Path) -> None:
    path = _save(_one_hot(("oslo", "rome")), tmp_path, example=None)
    process = launch("--model", str(path), "--name", "echo")
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Unknown Category" in said


@pytest.mark.parametrize("value", [7, None, True, ["oslo", "rome"], {}])
def test_what_is_no_word_gets_400(server_of_words: "Server", value: object) -> None:
    status, answer = server_of_words.infer(_document(value, value))
    assert (status, list(answer)) == (400, ["error"])
    assert "BYTES values only" in answer["error"]


@pytest.fixture
def server_of_words(start_server: "StartServer", strict_model: Path) -> "Server":
    return start_server("--max-batch-size", "8", path=strict_model)


def test_numbers_are_not_taken_for_words(server_of_words: "Server") -> None:
    status, answer = server_of_words.infer(_document(1.5, datatype="FP32"))
    assert (status, answer["error"]) == (400, "the input 'city' must be BYTES: its datatype is 'FP32'")


def _message(document: dict[str, Any]) -> bytes:
    body = json.dumps(document).encode()
    return b"POST /v2/models/echo/infer HTTP/1.1\r\nhost: here\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _answer(client: socket.socket) -> tuple[int, dict[str, Any]]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    n_bytes = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < n_bytes:
        body += client.recv(65536)
    return int(head.split()[1]), json.loads(body)
