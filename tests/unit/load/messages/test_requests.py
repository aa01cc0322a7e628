"""Requests carry every payload row, in the protocol's words."""

import json

import numpy as np
import pytest

from loadplan.errors import InputError
from loadplan.load.messages.requests import (
    PreparedRequests,
    plain_requests,
    v2_binary_requests,
    v2_requests,
    wire_messages,
)
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import RowsPerRequest


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


RANKER = RowsPerRequest(mean=120.0, p95=300.0, most=400)


def test_requests_whose_rows_vary_follow_the_law_and_carry_rows_side_by_side_with_their_answers() -> None:
    requests = v2_requests(payloads(1000), model="m", rows_per_request=RANKER)
    assert requests.n_rows is not None
    assert requests.expected is not None
    sizes = np.array(requests.n_rows)
    assert len(requests.bodies) == sizes.size == len(requests.expected.outputs["y"]) == 512
    assert (sizes.min() >= 1, sizes.max()) == (True, 400)
    # Mean of the law cut at 400: 120 - 120 Φ(-1.34) + 400 Φ(-2.05) = 117.3, and half a row for rounding up.
    assert sizes.mean() == pytest.approx(117.8, abs=0.5)
    assert np.quantile(sizes, 0.95) == pytest.approx(300.0, abs=3.0)
    first = 0
    for i, size in enumerate(requests.n_rows):
        rows = np.arange(first, first + size) % 1000
        (given,) = body(requests, i)["inputs"]
        assert given["shape"] == [size, 2]
        assert given["data"] == np.column_stack([2 * rows, 2 * rows + 1]).ravel().tolist()
        assert requests.expected.outputs["y"][i].tolist() == (4 * rows + 1).tolist()
        first += size


def test_neighbouring_requests_differ_in_size_as_any_two_do() -> None:
    sizes = np.array(v2_requests(payloads(10), model="m", rows_per_request=RANKER).n_rows)
    assert abs(np.corrcoef(sizes[1:], sizes[:-1])[0, 1]) < 0.15


def test_every_row_is_sent_where_that_takes_more_requests() -> None:
    small = RowsPerRequest(mean=2.0, p95=5.0, most=20)
    requests = v2_requests(payloads(3000), model="m", rows_per_request=small)
    assert requests.n_rows is not None
    assert len(requests.bodies) == 1500
    assert sum(requests.n_rows) >= 3000


def test_wide_rows_make_fewer_requests_so_that_they_fit_into_memory() -> None:
    """4 million values are held: of 120 rows with 250 inputs and an output each, 132 requests."""
    wide = PayloadSet(
        inputs={"x": np.zeros((10, 250), dtype=np.float32)},
        expected={"y": np.zeros(10)},
        segments=("",) * 10,
        labels=None,
    )
    assert len(v2_requests(wide, model="m", rows_per_request=RANKER).bodies) == 132


def test_a_request_is_as_long_as_the_longest_of_its_own_rows() -> None:
    sentences = PayloadSet(
        inputs={"ids": np.array([[1, 0, 0], [2, 3, 0], [4, 5, 6]]), "weight": np.ones((3, 3))},
        expected={"y": np.zeros(3)},
        segments=("",) * 3,
        labels=None,
        lengths=np.array([1, 2, 3]),
        sequences=("ids",),
    )
    requests = v2_requests(sentences, model="m", rows_per_request=always(2))
    assert [[given["shape"] for given in body(requests, i)["inputs"]] for i in range(2)] == [
        [[2, 2], [2, 3]],
        [[2, 3], [2, 3]],
    ]


def test_binary_tensors_follow_a_json_that_is_as_long_in_every_request() -> None:
    two = PayloadSet(
        inputs={"x": np.array([[1.0, 2.0]] * 120, dtype=np.float32), "word": np.array(["ab"] * 120, dtype=np.object_)},
        expected={"y": np.zeros(120)},
        segments=("",) * 120,
        labels=None,
    )
    requests = v2_binary_requests(two, model="m", rows_per_request=RANKER)
    n_json = int(dict(requests.headers)["Inference-Header-Content-Length"])
    assert requests.n_rows is not None
    assert min(requests.n_rows) < 100 <= max(requests.n_rows)  # so that one JSON is shorter than another

    def size(n_bytes: int) -> dict[str, object]:
        return {"parameters": {"binary_data_size": n_bytes}}

    for sent, n_rows in zip(requests.bodies, requests.n_rows, strict=True):
        assert json.loads(sent[:n_json]) == {
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [n_rows, 2], "parameters": {"binary_data_size": 8 * n_rows}},
                {
                    "name": "word",
                    "datatype": "BYTES",
                    "shape": [n_rows],
                    "parameters": {"binary_data_size": 6 * n_rows},
                },
            ],
            "parameters": {"binary_data_output": True},
        }
        assert sent[n_json:] == b"\x00\x00\x80\x3f\x00\x00\x00\x40" * n_rows + b"\x02\x00\x00\x00ab" * n_rows


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
