"""Each endpoint of the Open Inference Protocol, and everything a client can get wrong in a request."""

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.live.serve.conftest import Server, StartServer


@pytest.fixture
def server(start_server: "StartServer") -> "Server":
    return start_server("--max-batch-size", "8")


def test_every_page_of_the_protocol_answers(server: "Server") -> None:
    status, about = server.get("/v2")
    assert (status, about["name"], about["extensions"]) == (200, "loadplan", ["binary_tensor_data"])
    assert server.get("/v2/health/live") == (200, {"live": True})
    assert server.get("/v2/health/ready") == (200, {"ready": True})
    for path in ("/v2/models/echo", "/v2/models/echo/versions/1"):
        assert server.get(f"{path}/ready") == (200, {"name": "echo", "ready": True})
        assert server.get(path) == (
            200,
            {
                "name": "echo",
                "versions": ["1"],
                "platform": "onnx_onnxv1",
                "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
                "outputs": [
                    {"name": "y", "datatype": "FP32", "shape": [-1, 4]},
                    {"name": "twice", "datatype": "FP32", "shape": [-1, 2]},
                ],
            },
        )


def test_an_inference_answers_flat_with_the_id_of_its_request(server: "Server") -> None:
    rows = [server.row(0.1), server.row(2.0, trips=3)]
    status, answer = server.infer(server.document(rows, id="a7", parameters={"anything": 1}))
    assert status == 200
    assert answer == {
        "model_name": "echo",
        "model_version": "1",
        "id": "a7",
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [2, 4], "data": [0.1, 0.0, 0.0, 0.0, 2.0, 3.0, 0.0, 0.0]},
            {"name": "twice", "datatype": "FP32", "shape": [2, 2], "data": [0.2, 0.0, 4.0, 6.0]},
        ],
    }


def test_only_the_outputs_asked_for_are_answered_in_that_order(server: "Server") -> None:
    _, answer = server.infer(server.document([server.row()], outputs=[{"name": "twice"}]))
    assert [output["name"] for output in answer["outputs"]] == ["twice"]
    _, answer = server.infer(server.document([server.row()], outputs=[{"name": "twice"}, {"name": "y"}]))
    assert [output["name"] for output in answer["outputs"]] == ["twice", "y"]


def test_nested_values_mean_the_same_as_flat_ones(server: "Server") -> None:
    nested = server.document([server.row(1), server.row(2)])
    nested["inputs"][0]["data"] = [server.row(1), server.row(2)]
    assert server.infer(nested) == server.infer(server.document([server.row(1), server.row(2)]))


def test_the_versioned_path_infers_too(server: "Server") -> None:
    body = server.message([server.row(5)]).split(b"\r\n\r\n", 1)[1]
    assert server.request("POST", "/v2/models/echo/versions/1/infer", body)[0] == 200


def _changed(**changes: object) -> dict[str, Any]:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [0, 0, 0, 0]}
    return {"inputs": [{key: value for key, value in (tensor | changes).items() if value is not None}]}


_GOOD = _changed()["inputs"][0]

BAD_REQUESTS = {
    "empty body": b"",
    "not JSON": b"\x00\xff",
    "half a document": b'{"inputs": [',
    "NaN": b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [NaN, 0, 0, 0]}]}',
    "beyond a double": b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1e999, 0, 0, 0]}]}',
    "nested 100,000 deep": b'{"inputs": ' + b"[" * 100_000,
    "a list": [],
    "no inputs": {},
    "inputs not a list": {"inputs": {"x": 1}},
    "input not an object": {"inputs": [7]},
    "inputs empty": {"inputs": []},
    "input given twice": {"inputs": [_GOOD, _GOOD]},
    "unknown input": _changed(name="z"),
    "name a list": _changed(name=["x"]),
    "no name": _changed(name=None),
    "wrong datatype": _changed(datatype="FP64"),
    "BYTES": _changed(datatype="BYTES", data=["a", "b", "c", "d"]),
    "datatype an object": _changed(datatype={}),
    "no shape": _changed(shape=None),
    "shape empty": _changed(shape=[]),
    "shape of text": _changed(shape=["1", "4"]),
    "shape of true": _changed(shape=[True, 4]),
    "fractional shape": _changed(shape=[1.0, 4]),
    "negative dimension": _changed(shape=[-1, -4]),
    "no rows": _changed(shape=[0, 4], data=[]),
    "wrong width": _changed(shape=[1, 5], data=[0] * 5),
    "wrong rank": _changed(shape=[4]),
    "shape product beyond 64 bits": _changed(shape=[2**62, 4]),
    "shape beyond 64 bits": _changed(shape=[10**30, 4]),
    "too few values": _changed(data=[0, 0, 0]),
    "too many values": _changed(data=[0] * 5),
    "no data": _changed(data=None),
    "data a number": _changed(data=3),
    "text for numbers": _changed(data=["0", "0", "0", "0"]),
    "null for a number": _changed(data=[None, 0, 0, 0]),
    "true for a number": _changed(data=[True, 0, 0, 0]),
    "ragged nesting": _changed(shape=[2, 4], data=[[0, 0, 0, 0], [0, 0, 0]]),
    "nested too deep": _changed(data=[[[0, 0, 0, 0]]]),
    "beyond 32 bits": _changed(data=[1e39, 0, 0, 0]),
    "unknown output": _changed() | {"outputs": [{"name": "z"}]},
    "output asked for twice": _changed() | {"outputs": [{"name": "y"}, {"name": "y"}]},
    "outputs not a list": _changed() | {"outputs": "y"},
    "output name a list": _changed() | {"outputs": [{"name": ["y"]}]},
    "id a number": _changed() | {"id": 7},
    "parameters a list": _changed() | {"parameters": []},
    "timeout of text": _changed() | {"parameters": {"timeout": "1"}},
    "negative timeout": _changed() | {"parameters": {"timeout": -1}},
    "timeout beyond 64 bits": _changed() | {"parameters": {"timeout": 2**63}},
    "binary tensor without its header": _changed(data=None, parameters={"binary_data_size": 16}),
}


def test_every_bad_request_gets_400_with_an_error_and_harms_nobody(server: "Server") -> None:
    for name, document in BAD_REQUESTS.items():
        status, answer = server.infer(document)
        assert (status, list(answer)) == (400, ["error"]), name
        assert isinstance(answer["error"], str), name
    assert server.infer(server.document([server.row(3)]))[0] == 200
    assert server.metrics()['loadplan_requests_total{outcome="bad_request"}'] == len(BAD_REQUESTS)


_RAW = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}]}
# length in the head, document, what follows it
BAD_BINARY: dict[str, tuple[str, object, bytes]] = {
    "length not a number": ("ten", _RAW, bytes(16)),
    "length beyond the body": ("100000", _RAW, bytes(16)),
    "length without end": ("9" * 4000, _RAW, bytes(16)),
    "too few bytes": ("", _RAW, bytes(12)),
    "too many bytes": ("", _RAW, bytes(20)),
    "size of another shape": ("", _changed(data=None, parameters={"binary_data_size": 12}), bytes(12)),
    "negative size": ("", _changed(data=None, parameters={"binary_data_size": -16}), bytes(16)),
    "size of text": ("", _changed(data=None, parameters={"binary_data_size": "16"}), bytes(16)),
    "bytes of nobody": ("", _changed(), bytes(16)),
    "input not an object": ("", {"inputs": [7]}, b""),
    "inputs missing": ("", {"inputs": []}, b""),
}


def test_every_bad_binary_request_gets_400_with_an_error_and_harms_nobody(server: "Server") -> None:
    for name, (length, document, tail) in BAD_BINARY.items():
        start = json.dumps(document).encode()
        headers = {"Inference-Header-Content-Length": length or str(len(start))}
        server.connection.request("POST", "/v2/models/echo/infer", start + tail, headers)
        answer = server.connection.getresponse()
        assert (answer.status, list(json.loads(answer.read()))) == (400, ["error"]), name
    assert server.infer(server.document([server.row(3)]))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/echo/infer", 405),
        ("POST", "/v2", 405),
        ("DELETE", "/v2/health/ready", 405),
        ("GET", "/", 404),
        ("GET", "/v2/models/other", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("POST", "/v2/models/echo/versions/2/infer", 404),
        ("GET", "/v2/health/ready/", 404),
    ],
)
def test_what_is_not_there_or_not_allowed_is_said(server: "Server", method: str, path: str, status: int) -> None:
    given, answer = server.request(method, path, b"{}" if method == "POST" else None)
    assert (given, list(answer)) == (status, ["error"])


def test_head_sends_no_body(server: "Server") -> None:
    server.connection.request("HEAD", "/v2/health/ready")
    answer = server.connection.getresponse()
    assert (answer.status, answer.read(), answer.headers["content-length"]) == (200, b"", "14")
    assert server.get("/v2/health/ready")[0] == 200  # the connection is still in step
