"""What is driven: the embedded server, or a service of the user's own whose secrets stay in the environment."""

from pathlib import Path

import pytest

from loadplan.errors import InputError
from loadplan.scenario.credentials import fill_headers
from loadplan.scenario.reader import read_scenario
from loadplan.scenario.spec import Service

MODEL = "model: {source: sklearn, factory: m:build}\n"
REST = "traffic: {peak_rps: 300}\nobjectives: [{p99_ms: 50}]\n"


def read(folder: Path, target: str, *, before: str = MODEL) -> Service | None:
    path = folder / "shop.yaml"
    path.write_text(f"{before}{REST}target: {target}\n")
    return read_scenario(path).target


def refusal(folder: Path, target: str, *, before: str = MODEL) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, target, before=before)
    return caught.value.what


def test_by_default_the_embedded_server_is_driven(tmp_path: Path) -> None:
    assert read(tmp_path, "embedded") is None


def test_a_service_is_any_json_api_unless_it_says_its_protocol(tmp_path: Path) -> None:
    service = read(
        tmp_path,
        "{url: 'http://127.0.0.1:8080/predict', request: body.json, answer: /predictions, "
        "headers: {Authorization: Bearer $TOKEN}, allow_remote: [ml.example]}",
    )
    assert service == Service(
        url="http://127.0.0.1:8080/predict",
        protocol="json",
        folder=str(tmp_path),
        request="body.json",
        method=None,
        answers={"": "/predictions"},
        model="shop",
        headers=(("Authorization", "Bearer $TOKEN"),),
        allow_remote=("ml.example",),
    )


def test_each_of_several_outputs_has_its_place(tmp_path: Path) -> None:
    service = read(tmp_path, "{url: 'http://h/', answer: {label: /labels, score: /scores/0}}")
    assert service is not None
    assert service.answers == {"label": "/labels", "score": "/scores/0"}


def test_a_v2_server_may_know_the_model_by_another_name(tmp_path: Path) -> None:
    service = read(tmp_path, "{url: 'http://127.0.0.1:8000', protocol: v2_binary, model: shop-v3}")
    assert service is not None
    assert (service.protocol, service.model) == ("v2_binary", "shop-v3")


WRONG = {
    "another word": ("remote", "expected 'embedded', read 'remote'"),
    "no address": ("{protocol: v2}", "target.url: missing"),
    "an unknown protocol": ("{url: 'http://h', protocol: v3}", "v2_binary"),
    "https": ("{url: 'https://h/'}", "expected an address such as http://"),
    "a body for v2": ("{url: 'http://h', protocol: v2, request: b.json}", "means nothing to the protocol v2"),
    "a model for json": ("{url: 'http://h', model: m}", "means nothing to the protocol json"),
    "a place that is none": ("{url: 'http://h', answer: predictions}", "a JSON pointer, such as /predictions"),
    "a place of a kind that is none": ("{url: 'http://h', answer: [a]}", "expected text"),
    "one of several places that is none": ("{url: 'http://h', answer: {a: b}}", "answer.a: expected"),
    "a number for a header": ("{url: 'http://h', headers: {A: 5}}", "headers.A: expected text"),
    "a number for a header's name": ("{url: 'http://h', headers: {5: a}}", "5"),
    "a list of headers": ("{url: 'http://h', headers: [a]}", "target.headers: expected"),
    "a request elsewhere": ("{url: 'http://h', request: ../b.json}", "leads out of the scenario's folder"),
    "an unknown method": ("{url: 'http://h', method: FETCH}", "'POST'"),
    "a header of the connection": ("{url: 'http://h', headers: {Host: $H}}", "'Host' is not a header that can be set"),
    "a header that is none": ("{url: 'http://h', headers: {'a b': $H}}", "'a b' is not a header"),
    "a misspelt key": ("{url: 'http://h', requests: b.json}", "did you mean request?"),
}


@pytest.mark.parametrize(("target", "said"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_named(target: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(tmp_path, target)


def test_the_rows_of_v2_need_a_model(tmp_path: Path) -> None:
    assert "has none; add `model`" in refusal(tmp_path, "{url: 'http://h', protocol: v2}", before="")


def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    said = refusal(tmp_path, "{url: 'http://h', headers: {X-Api-Key: canary-1}}")
    said += refusal(tmp_path, "{url: 'http://me:canary-2@h/'}")
    assert "must come from the environment" in said
    assert "holds a user or password" in said
    assert "canary" not in said


def test_a_header_without_secrets_may_stand_in_the_file(tmp_path: Path) -> None:
    service = read(tmp_path, "{url: 'http://h', headers: {Accept: text/csv}}")
    assert service is not None
    assert service.headers == (("Accept", "text/csv"),)


def test_variables_are_filled_in_where_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "abc")
    given = [("Authorization", "Bearer $TOKEN"), ("X-A", "${TOKEN}d"), ("X-B", "5 $ or $5")]
    assert [value for _, value in fill_headers(given, where="here")] == ["Bearer abc", "abcd", "5 $ or $5"]


@pytest.mark.parametrize("value", [None, ""], ids=["not set", "empty"])
def test_a_variable_without_a_value_is_named(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None:
        monkeypatch.delenv("TOKEN", raising=False)
    else:
        monkeypatch.setenv("TOKEN", value)
    with pytest.raises(InputError, match="TOKEN") as caught:
        fill_headers([("X-Key", "$TOKEN")], where="the header")
    assert (caught.value.where, caught.value.fix) == ("the header X-Key", "set it first: export TOKEN=…")
