"""Requests to a service of the user's own hold the rows where its API wants them, and nothing else changes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadplan.errors import InputError
from loadplan.load.messages.requests import PreparedRequests
from loadplan.load.messages.service_requests import service_requests
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import Service

TABLE = PayloadSet(
    inputs={
        "age": np.array([[30.0], [40.0], [50.0]], dtype=np.float32),
        "town": np.array([["Ulm"], ["Bonn"], ["Köln"]], dtype=np.object_),
        "pair": np.array([[1, 2], [3, 4], [5, 6]]),
    },
    expected={"label": np.array([0, 1, 2]), "score": np.array([0.1, 0.2, 0.3], dtype=np.float32)},
    segments=("",) * 3,
    labels=None,
)
SERVICE = Service(
    url="http://127.0.0.1:8080/predict?v=2",
    protocol="json",
    folder="",
    request=None,
    method=None,
    answers={},
    model="m",
    headers=(),
    allow_remote=(),
)


def requests_of(
    folder: Path, template: object, *, rows: int = 2, payloads: PayloadSet | None = TABLE, **changes: object
) -> PreparedRequests:
    name = "body.json"
    (folder / name).write_text(template if isinstance(template, str) else json.dumps(template))
    service = replace(SERVICE, folder=str(folder), request=name, **changes)  # type: ignore[arg-type]
    return service_requests(service, payloads, rows_per_request=always(rows))


PLACES: dict[str, tuple[int, object, object]] = {
    "an input": (2, "$inputs.pair", [[1, 2], [3, 4]]),
    "rows as objects": (
        2,
        "$rows",
        [{"age": 30.0, "town": "Ulm", "pair": [1, 2]}, {"age": 40.0, "town": "Bonn", "pair": [3, 4]}],
    ),
    "the only row": (1, "$row", {"age": 30.0, "town": "Ulm", "pair": [1, 2]}),
    "an input of the only row": (1, "$row.town", "Ulm"),
    "how many": (2, "$n_rows", 2),
    "a dollar": (2, "$$rows", "$rows"),
    "a word within a text": (2, "the $rows", "the $rows"),
    "a key": (2, {"$rows": 1.5}, {"$rows": 1.5}),
    "deep within": (2, {"a": [None, True, {"b": "$n_rows"}]}, {"a": [None, True, {"b": 2}]}),
}


@pytest.mark.parametrize(("rows", "written", "sent"), PLACES.values(), ids=PLACES)
def test_each_word_becomes_what_it_stands_for(rows: int, written: object, sent: object, tmp_path: Path) -> None:
    requests = requests_of(tmp_path, {"x": written, "n": "$n_rows"}, rows=rows)
    assert json.loads(requests.bodies[0]) == {"x": sent, "n": rows}


def test_all_rows_are_sent_and_the_answers_follow_them(tmp_path: Path) -> None:
    requests = requests_of(tmp_path, {"x": "$inputs.pair"}, answers={"label": "/labels"})
    assert [json.loads(body)["x"] for body in requests.bodies] == [[[1, 2], [3, 4]], [[5, 6], [1, 2]]]
    assert (requests.method, requests.path, requests.n_rows) == ("POST", "/predict?v=2", (2, 2))
    assert requests.headers == (("Content-Type", "application/json"),)
    assert requests.expected is not None
    assert requests.expected.form == "json"
    assert {name: [each.tolist() for each in values] for name, values in requests.expected.outputs.items()} == {
        "label": [[0, 1], [2, 0]]
    }


def test_a_place_without_a_name_is_that_of_the_only_output(tmp_path: Path) -> None:
    one = replace(TABLE, expected={"label": TABLE.expected["label"]})
    requests = requests_of(tmp_path, {"x": "$rows"}, payloads=one, answers={"": "/y"})
    assert requests.expected is not None
    assert requests.expected.pointers == {"label": "/y"}


def test_without_an_answer_only_the_status_counts(tmp_path: Path) -> None:
    assert requests_of(tmp_path, {"x": "$rows"}).expected is None


WRONG: dict[str, tuple[object, dict[str, object], str]] = {
    "not JSON": ("{", {}, "is not JSON"),
    "empty": (" \n", {}, "is empty"),
    "a word for nothing": ({"x": "$rows", "y": "$row_s"}, {}, r"'\$row_s' stands for nothing"),
    "no such input": ({"x": "$inputs.height"}, {}, "names no input"),
    "one row of several": ({"x": "$row"}, {}, "requests carry 2"),
    "which output": ({"x": "$rows"}, {"answers": {"": "/y"}}, "label, score"),
    "no such output": ({"x": "$rows"}, {"answers": {"lable": "/y"}}, "no output 'lable'"),
    "no model": ({"x": "$rows"}, {"payloads": None}, "there is none"),
}


@pytest.mark.parametrize(("template", "changes", "said"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_named(template: object, changes: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        requests_of(tmp_path, template, **changes)  # type: ignore[arg-type]


def test_a_body_that_holds_what_it_holds_is_sent_to_the_letter(tmp_path: Path) -> None:
    text = '{ "amount": "$5",  "all": [1] }\n'
    requests = requests_of(tmp_path, text, payloads=None, answers={"": "/y"})
    assert requests.bodies == (text.encode(),)
    assert requests.n_rows is None
    assert requests.expected is not None
    assert (requests.expected.outputs, requests.expected.pointers) == ({}, {"": "/y"})


def test_a_file_of_lines_is_a_request_each(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"a":1}\n\n{"a":2}\n')
    service = replace(SERVICE, folder=str(tmp_path), request="log.jsonl")
    assert service_requests(service, None, rows_per_request=always(1)).bodies == (b'{"a":1}', b'{"a":2}')
    (tmp_path / "log.jsonl").write_text('{"a":1}\n{"a":\n')
    with pytest.raises(InputError) as caught:
        service_requests(service, None, rows_per_request=always(1))
    assert caught.value.where.endswith("log.jsonl:2")


def test_what_is_no_json_says_so_and_a_header_of_the_users_goes_first(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"\x89PNG")
    service = replace(SERVICE, folder=str(tmp_path), request="cat.png", method="PUT")
    requests = service_requests(service, None, rows_per_request=always(1))
    assert (requests.method, requests.headers) == ("PUT", (("Content-Type", "application/octet-stream"),))
    named = replace(service, headers=(("content-type", "image/png"),))
    assert service_requests(named, None, rows_per_request=always(1)).headers == (("content-type", "image/png"),)


def test_without_a_body_it_is_a_get() -> None:
    requests = service_requests(SERVICE, None, rows_per_request=always(1))
    assert (requests.method, requests.bodies, requests.headers) == ("GET", (b"",), ())


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://h:1", "/v2/models/m/infer"),
        ("http://h:1/", "/v2/models/m/infer"),
        ("http://h:1/serving/", "/serving/v2/models/m/infer"),
        ("http://h:1/v2/models/other/versions/3/infer", "/v2/models/other/versions/3/infer"),
    ],
)
@pytest.mark.parametrize("protocol", ["v2", "v2_binary"])
def test_v2_requests_go_below_the_address(protocol: str, url: str, path: str) -> None:
    service = replace(SERVICE, url=url, protocol=protocol)  # type: ignore[arg-type]
    requests = service_requests(service, TABLE, rows_per_request=always(1))
    assert requests.path == path
    assert requests.expected is not None
    assert set(requests.expected.outputs) == {"label", "score"}


def test_a_secret_reaches_the_wire_and_no_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "canary")
    service = replace(SERVICE, headers=(("Authorization", "Bearer $TOKEN"),))
    requests = service_requests(service, None, rows_per_request=always(1))
    assert requests.headers == (("Authorization", "Bearer canary"),)
    assert "canary" not in repr(requests)
