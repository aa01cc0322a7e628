"""Segments of users in a load run: who sends what, and that no average hides one. Figures worked out by hand."""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadplan.cli.documents import load_document
from loadplan.errors import InputError, InvalidMeasurement
from loadplan.load.classes import class_runs, run_of_class
from loadplan.load.generator.job import prepare_job
from loadplan.load.messages.requests import v2_binary_requests, v2_requests
from loadplan.load.messages.service_requests import service_requests
from loadplan.load.messages.v2_grpc import v2_grpc_requests
from loadplan.load.records import LoadRun, LoadSpec, LostTime, Outcome, PayloadClasses, RequestLog
from loadplan.load.table import load_columns, load_from_columns, load_metadata, to_frame
from loadplan.load.verdict import (
    clean_response_times_s,
    judge,
    judge_slo,
    latency_summary,
    objectives_missed,
    times_by_class,
)
from loadplan.machine import read_machine
from loadplan.scenario.arrivals import Callers, ConstantArrivals
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always
from loadplan.scenario.spec import RequestClass, Service
from loadplan.slo import LatencyLimit, Slo

SEGMENTS = ("web",) * 6 + ("kiosk",) * 4
X = np.arange(10, dtype=np.float32)[:, None]
PAYLOADS = PayloadSet(inputs={"x": X}, expected={"y": 2.0 * X}, segments=SEGMENTS, labels=None)
WEB = RequestClass(name="web", share=0.9, rows_per_request=always(1), segment="web")
KIOSK = RequestClass(name="kiosk", share=0.1, rows_per_request=always(3), segment="kiosk")
QUIET = LostTime(start_s=np.empty(0), length_s=np.empty(0))


def spec_of(*, rate_rps: float = 1_000.0, duration_s: float = 10.0) -> LoadSpec:
    return LoadSpec(
        name="mixed",
        purpose="ad_hoc",
        arrivals=ConstantArrivals(),
        offered_rate_rps=rate_rps,
        duration_s=duration_s,
        seed=3,
        timeout_s=1.0,
        setting=None,
    )


@pytest.fixture
def url() -> Iterator[str]:
    """Somewhere that listens, which is all that making a job ready looks at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def mixed_run(*, kiosk_s: float = 0.1, n: int = 60_000, n_failed_kiosk: int = 0) -> LoadRun:
    """One request in a hundred is of the kiosk: `kiosk_s` where all others take 10 ms, give or take a tenth."""
    rng = np.random.default_rng(1)
    payload = (np.arange(n) % 100 == 0).astype(np.int32)
    due_s = np.arange(n) / 1_000.0
    done_s = due_s + np.where(payload == 1, kiosk_s, 0.01) * rng.uniform(0.9, 1.1, n)
    outcome = np.full(n, Outcome.OK, dtype=np.uint8)
    outcome[np.flatnonzero(payload == 1)[:n_failed_kiosk]] = Outcome.HTTP_ERROR
    log = RequestLog(
        due_s=due_s,
        sent_s=due_s,
        first_byte_s=done_s,
        done_s=done_s,
        outcome=outcome,
        status=np.full(n, 200, dtype=np.int16),
        payload=payload,
    )
    spec = spec_of(duration_s=n / 1_000.0)
    return LoadRun(
        spec=spec,
        url="http://127.0.0.1:1/",
        machine=read_machine(),
        requests=log,
        lost=QUIET,
        verdict=judge(spec, log, QUIET),
        caveats=(),
        payload_rows=np.array([1, 3], dtype=np.int32),
        classes=PayloadClasses(
            names=("web", "kiosk"), shares=(0.99, 0.01), of_payload=np.array([0, 1], dtype=np.int16)
        ),
    )


def slo(limit_s: float, class_name: str | None, *, max_failed_ratio: float = 0.01) -> Slo:
    return Slo(
        limits=(LatencyLimit(quantile=0.95, limit_s=limit_s),), max_failed_ratio=max_failed_ratio, class_name=class_name
    )


@pytest.mark.parametrize("build", [v2_requests, v2_binary_requests, v2_grpc_requests])
def test_each_class_sends_as_many_rows_of_its_own_segment_as_it_is_to(build) -> None:  # type: ignore[no-untyped-def]
    made = build(PAYLOADS, model="m", rows_per_request=always(1), classes=(WEB, KIOSK))
    assert made.classes.names == ("web", "kiosk")
    for i, (rows, values) in enumerate(((1, set(range(6))), (3, set(range(6, 10))))):
        own = np.flatnonzero(made.classes.of_payload == i)
        assert {made.n_rows[k] for k in own} == {rows}
        sent = {float(x) / 2.0 for k in own for x in made.expected.outputs["y"][k].ravel()}
        assert sent == values


def test_a_segment_that_the_rows_lack_is_named_with_those_they_have() -> None:
    with pytest.raises(InputError, match="no rows of the segment 'app'") as caught:
        v2_requests(PAYLOADS, model="m", rows_per_request=always(1), classes=(replace(WEB, segment="app"),))
    assert "kiosk, web" in caught.value.fix
    assert "class web" in caught.value.where


def test_the_seed_draws_each_request_s_class_by_its_share_and_its_payload_within_it(url: str) -> None:
    made = v2_requests(PAYLOADS, model="m", rows_per_request=always(1), classes=(WEB, KIOSK))
    assert made.classes is not None
    order = prepare_job(spec_of(), url=url, requests=made).order
    n_kiosk = int(np.count_nonzero(made.classes.of_payload[order.payload] == 1))
    assert abs(n_kiosk - 1_000) < 5 * np.sqrt(10_000 * 0.1 * 0.9)  # binomial
    # Within a class each payload is sent as often as the others.
    for i in (0, 1):
        counts = np.bincount(order.payload)[made.classes.of_payload == i]
        assert counts.max() - counts.min() <= 1
    again = prepare_job(spec_of(), url=url, requests=made).order
    other = prepare_job(replace(spec_of(), seed=4), url=url, requests=made).order
    assert np.array_equal(order.payload, again.payload)
    assert not np.array_equal(order.payload, other.payload)
    assert np.array_equal(order.due_s, other.due_s)  # constant: classes move no arrival


def test_requests_of_one_kind_are_drawn_as_ever(url: str) -> None:
    """Whole rounds of all payloads, from the seed's second stream."""
    made = v2_requests(PAYLOADS, model="m", rows_per_request=always(1))
    order = prepare_job(spec_of(duration_s=0.025), url=url, requests=made).order
    rng = np.random.default_rng(3).spawn(2)[1]
    expected = np.concatenate([rng.permutation(10) for _ in range(3)])[:25]
    assert np.array_equal(order.payload, expected)


def test_callers_who_wait_ask_by_the_shares_too(url: str) -> None:
    made = v2_requests(PAYLOADS, model="m", rows_per_request=always(1), classes=(WEB, KIOSK))
    spec = replace(spec_of(), arrivals=Callers(n_callers=2, think_time_s=0.1))
    order = prepare_job(spec, url=url, requests=made).order
    assert order.due_s.size == 2
    assert made.classes is not None
    is_kiosk = made.classes.of_payload[order.payload] == 1
    assert np.mean(is_kiosk) == pytest.approx(KIOSK.share / (WEB.share + KIOSK.share), rel=0.25)


def test_every_due_request_is_of_exactly_one_class_and_the_denominator_of_its_own() -> None:
    run = mixed_run(n_failed_kiosk=30)
    parts = dict(class_runs(run))
    assert {name: own.requests.n_requests for name, own in parts.items()} == {"web": 59_400, "kiosk": 600}
    assert sum(own.requests.n_requests for own in parts.values()) == run.requests.n_requests
    assert {name: own.verdict.n_failed for name, own in parts.items()} == {"web": 0, "kiosk": 30}
    assert sum(own.verdict.throughput_rps for own in parts.values()) == pytest.approx(run.verdict.throughput_rps)
    assert parts["kiosk"].spec.offered_rate_rps == pytest.approx(10.0)
    # 30 of 60,000 are one in 2,000; 30 of 600 are one in 20.
    assert objectives_missed(run, [slo(0.2, None)]) is None
    missed = objectives_missed(run, [slo(0.2, "kiosk")])
    assert missed is not None
    assert "kiosk: 30 of 600 requests failed" in missed.what


def test_what_each_class_waited_is_told_without_a_run_of_its_own() -> None:
    """Every hundredth of 60,000 requests is of the kiosk; 30 of its 600 failed, and 50 others timed out after 1 s."""
    run = mixed_run(n_failed_kiosk=30)
    outcome = run.requests.outcome.copy()
    outcome[np.arange(3_000, 8_000, 100)] = Outcome.TIMED_OUT
    web, kiosk = times_by_class(replace(run, requests=replace(run.requests, outcome=outcome)))
    assert (web.name, web.n_requests, web.n_failed, web.times_s.size) == ("web", 59_400, 0, 59_400)
    assert (kiosk.name, kiosk.n_requests, kiosk.n_failed, kiosk.times_s.size) == ("kiosk", 600, 80, 570)
    assert web.times_s.max() <= 0.0111
    assert kiosk.times_s.min() >= 0.0899
    assert np.count_nonzero(kiosk.times_s == 1.0) == 50
    assert kiosk.summary is not None
    assert kiosk.summary.n_samples == 570


def test_a_class_whose_requests_all_failed_has_no_summary_and_an_invalid_run_no_times() -> None:
    (web, kiosk) = times_by_class(mixed_run(n_failed_kiosk=600))
    assert web.summary is not None
    assert kiosk.summary is None
    run = mixed_run()
    invalid = replace(run, verdict=replace(run.verdict, valid=False, invalid_reasons=("paused",)))
    assert [(one.n_requests, one.times_s.size, one.summary) for one in times_by_class(invalid)] == [
        (59_400, 0, None),
        (600, 0, None),
    ]
    assert list(times_by_class(replace(run, classes=None))) == []


def test_a_tenant_of_one_percent_that_is_ten_times_as_slow_fails_where_the_total_passes() -> None:
    run = mixed_run()
    (of_all,), (of_web,), (of_kiosk,) = (judge_slo(run, slo(0.02, name)) for name in (None, "web", "kiosk"))
    assert (of_all.outcome, of_web.outcome, of_kiosk.outcome) == ("met", "met", "missed")
    assert (of_kiosk.n_due, of_kiosk.n_within, of_kiosk.class_name) == (600, 0, "kiosk")
    assert objectives_missed(run, [slo(0.02, None), slo(0.02, "web")]) is None
    failure = objectives_missed(run, [slo(0.02, None), slo(0.02, "kiosk")])
    assert failure is not None
    assert failure.exit_code == 1
    assert "kiosk: 0.00% of 600 requests were within 20 ms" in failure.what


def test_a_class_has_a_p99_from_459_answers_on_and_says_so_below() -> None:
    few, enough = (run_of_class(mixed_run(n=n), "kiosk") for n in (45_800, 45_900))
    assert (few.requests.n_requests, enough.requests.n_requests) == (458, 459)
    small, large = latency_summary(few), latency_summary(enough)
    assert small is not None
    assert large is not None
    assert small.p99 is None
    assert large.p99 == pytest.approx(0.11, abs=0.003)
    kiosk = load_document(mixed_run(n=45_800), None, None, None)["classes"][1]  # type: ignore[index]
    assert kiosk["response_time_s"]["p99_reason"] == "needs 459 samples"


def test_an_objective_of_a_class_of_which_nothing_was_due_can_not_be_judged() -> None:
    run = mixed_run()
    nobody = replace(run, requests=run_of_class(run, "web").requests)
    with pytest.raises(InvalidMeasurement, match="no request of the class kiosk was due"):
        judge_slo(nobody, slo(0.02, "kiosk"))
    assert load_document(nobody, None, None, None, objectives=[slo(0.02, "kiosk")])["objectives"] == []
    with pytest.raises(InputError, match="no class app; its classes: web, kiosk"):
        run_of_class(run, "app")


def test_the_document_of_a_run_has_its_classes_and_one_of_a_single_kind_is_as_it_was() -> None:
    run = mixed_run(n_failed_kiosk=6)
    said = json.loads(json.dumps(load_document(run, None, None, None, objectives=[slo(0.02, "kiosk")])))
    web, kiosk = said["classes"]
    assert (web["name"], web["share"], web["n_requests"], web["n_failed"]) == ("web", 0.99, 59_400, 0)
    assert (kiosk["n_requests"], kiosk["n_failed"], kiosk["failures"]) == (600, 6, {"HTTP 200": 6})
    assert kiosk["response_time_s"]["p50"] == pytest.approx(0.1, rel=0.02)
    assert [(one["class"], one["outcome"]) for one in said["objectives"]] == [("kiosk", "missed")]
    assert not {"classes", "objectives"} & set(load_document(replace(run, classes=None), None, None, None))


def test_classes_stand_in_the_file_and_come_back(tmp_path: Path) -> None:
    run = mixed_run(n=1_000)
    columns = load_columns(run)
    assert int(columns["class_index"].sum()) == 10
    back = load_from_columns(columns, load_metadata(run))
    assert back.classes is not None
    assert back.classes.names == ("web", "kiosk")
    assert back.class_index is not None
    assert np.array_equal(back.class_index, columns["class_index"])
    assert to_frame(back)["class"].value_counts().to_dict() == {"web": 990, "kiosk": 10}
    assert "class_index" not in load_columns(replace(run, classes=None))


def service_of(folder: Path, request: str | None = None) -> Service:
    return Service(
        url="http://127.0.0.1:1/predict",
        protocol="json",
        folder=str(folder),
        request=request,
        method=None,
        answers={},
        model="",
        headers=(),
        allow_remote=(),
    )


def test_classes_of_a_service_send_bodies_of_their_own_or_the_targets(tmp_path: Path) -> None:
    (tmp_path / "usual.json").write_text('{"n": 1}')
    (tmp_path / "large.jsonl").write_text('{"n": 100}\n{"n": 200}\n')
    web = RequestClass(name="web", share=0.9, rows_per_request=always(1))
    upload = replace(web, name="upload", share=0.1, body="large.jsonl")
    made = service_requests(service_of(tmp_path, "usual.json"), None, rows_per_request=always(1), classes=(web, upload))
    assert made.bodies == (b'{"n": 1}', b'{"n": 100}', b'{"n": 200}')
    assert made.classes is not None
    assert made.classes.of_payload.tolist() == [0, 1, 1]
    with pytest.raises(InputError, match="some classes send a body and others none"):
        service_requests(service_of(tmp_path), None, rows_per_request=always(1), classes=(web, upload))
    with pytest.raises(InputError, match="holds no rows of the model"):
        service_requests(service_of(tmp_path), None, rows_per_request=always(1), classes=(replace(web, segment="a"),))


def test_a_body_of_a_class_has_no_place_where_the_request_is_filled_with_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('{"instances": "$rows"}')
    (tmp_path / "own.json").write_text("{}")
    classes = (WEB, replace(KIOSK, segment=None, body="own.json"))
    service = service_of(tmp_path, "rows.json")
    with pytest.raises(InputError, match="is filled with rows of the model"):
        service_requests(service, PAYLOADS, rows_per_request=always(1), classes=classes)
    made = service_requests(service, PAYLOADS, rows_per_request=always(1), classes=(WEB, KIOSK))
    assert made.n_rows is not None
    assert made.n_rows[-1] == 3


def test_the_clean_windows_of_a_class_are_those_that_were_clean_for_every_worker() -> None:
    """Of two workers the second lost 50 ms, in which the first sent requests too: half a second is looked at."""
    run = mixed_run(n=500)
    lost = LostTime(
        start_s=np.array([0.2]), length_s=np.array([0.05]), worker=np.array([1], dtype=np.int32), n_workers=2
    )
    own = run_of_class(replace(run, lost=lost), "web")
    assert clean_response_times_s(own).size == 495 - 99  # one of five windows, with 99 requests of the web
