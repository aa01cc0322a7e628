"""Requests carry every payload row, in the protocol's words."""

import json

import numpy as np
import pytest

from loadplan.errors import InputError
from loadplan.load.requests import PreparedRequests, plain_requests, v2_requests, wire_messages
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always


def payloads(n_rows: int) -> PayloadSet:
    x = np.arange(2 * n_rows, dtype=np.float32).reshape(n_rows, 2)
    return PayloadSet(inputs={"x": x}, expected={"y": x.sum(axis=1)}, segments=("",) * n_rows, labels=None)


def body(requests: PreparedRequests, i: int) -> dict[str, list[dict[str, object]]]:
    content: dict[str, list[dict[str, object]]] = json.loads(requests.bodies[i])
    return content


def test_a_request_says_name_type_shape_and_data() -> None:
    requests = v2_requests(payloads(3), model="digits", rows_per_request=always(1))
    assert (requests.method, requests.path) == ("POST", "/v2/models/digits/infer")
    assert body(requests, 2) == {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [4.0, 5.0]}]}


def test_rows_are_counted_round_so_that_each_is_sent_and_all_requests_are_as_large() -> None:
    requests = v2_requests(payloads(3), model="m", rows_per_request=always(2))
    assert [body(requests, i)["inputs"][0]["data"] for i in range(2)] == [[0, 1, 2, 3], [4, 5, 0, 1]]


def test_the_expected_answers_follow_their_rows() -> None:
    requests = v2_requests(payloads(3), model="m", rows_per_request=always(2))
    assert requests.expected is not None
    assert [answers.tolist() for answers in requests.expected.outputs["y"]] == [[1.0, 5.0], [9.0, 1.0]]
    assert requests.n_rows == (2, 2)


def test_no_rows_is_an_input_error() -> None:
    with pytest.raises(InputError, match="0 payload rows"):
        v2_requests(payloads(0), model="m", rows_per_request=always(1))


def test_one_write_holds_the_whole_request() -> None:
    requests = plain_requests("http://h/predict?a=1", body=b"{}", headers=[("X-Key", "k")])
    assert wire_messages(requests, host="h:80") == (
        b"POST /predict?a=1 HTTP/1.1\r\nHost: h:80\r\nX-Key: k\r\nContent-Length: 2\r\n\r\n{}",
    )


def test_without_a_body_the_request_is_a_get() -> None:
    assert wire_messages(plain_requests("http://h"), host="h") == (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",)


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "\x00", "é"])
def test_a_header_cannot_smuggle_another_line(value: str) -> None:
    with pytest.raises(InputError, match="head of an HTTP request"):
        wire_messages(plain_requests("/", headers=[("X-Key", value)]), host="h")
