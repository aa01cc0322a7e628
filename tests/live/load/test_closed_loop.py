"""Callers who wait for their answers, against fake servers with a known law; for comparison, and never a proof."""

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from loadplan.cli.app import run_command_line
from loadplan.errors import InputError
from loadplan.load.driver import run_load
from loadplan.load.messages.requests import PreparedRequests, plain_requests
from loadplan.load.records import LoadRun, LoadSpec, Outcome
from loadplan.machine import Machine
from loadplan.scenario.arrivals import Callers

if TYPE_CHECKING:
    from tests.live.load.conftest import StartFake

Drive = Callable[..., LoadRun]


@pytest.fixture
def compare(make_spec: Callable[..., LoadSpec], machine: Machine) -> Drive:
    """`compare(url, requests, n_callers=4)` is a closed loop of a second."""

    def drive(url: str, requests: PreparedRequests, *, n_callers: int, think_time_s: float = 0.0) -> LoadRun:
        spec = make_spec(rate_rps=1.0, duration_s=1.0, timeout_s=3.0)
        callers = Callers(n_callers=n_callers, think_time_s=think_time_s)
        return run_load(
            replace(spec, arrivals=callers, offered_rate_rps=float("nan")),
            url=url,
            requests=requests,
            machine=machine,
            core=None,
        )

    return drive


def test_each_caller_asks_again_when_it_has_its_answer_and_has_thought(
    start_fake: "StartFake", compare: Drive, doubling: PreparedRequests
) -> None:
    fake = start_fake(service_s=0.05)
    run = compare(fake.url, doubling, n_callers=4, think_time_s=0.05)
    log = run.requests
    assert (log.outcome == Outcome.OK).all()
    assert len(fake.stamps()[0]) == log.n_requests
    # A round takes 100 ms at the least, so each of four callers comes to ten requests in a second at most.
    assert 12 <= log.n_requests <= 40
    assert run.spec.offered_rate_rps == log.n_requests
    assert (log.due_s < 1.0).all()
    assert (np.diff(log.due_s) >= 0.0).all()
    # First requests spread over the think time; every other falls due 50 ms after some answer.
    np.testing.assert_allclose(log.due_s[:4], [0.0, 0.0125, 0.025, 0.0375], atol=1e-6)
    for due_s in log.due_s[4:]:
        assert np.abs(log.done_s + 0.05 - due_s).min() < 0.002
    # Never more under way than there are callers.
    for at_s in log.sent_s:
        assert np.count_nonzero((log.due_s <= at_s) & (log.done_s > at_s)) <= 4
    # Each of the 40 payloads before any comes again: the answer to each was compared with its own.
    assert np.unique(log.payload).size == log.n_requests


def test_a_stall_is_hidden_by_callers_who_wait_and_that_is_said(start_fake: "StartFake", compare: Drive) -> None:
    """An open loop of as many requests would have hundreds in this stall; here each caller meets it once."""
    run = compare(start_fake(service_s=0.002, stall_at_s=0.2, stall_s=0.5).url, plain_requests("/"), n_callers=3)
    slow = run.requests.response_time_s > 0.4
    assert slow.sum() == 3
    assert run.requests.n_requests > 100
    caveat, *_ = run.caveats
    assert caveat.code == "load.closed_loop"
    assert "for comparison only" in caveat.what


def test_a_caller_gives_up_after_the_timeout_and_goes_on(
    start_fake: "StartFake", make_spec: Callable[..., LoadSpec], machine: Machine
) -> None:
    spec = replace(
        make_spec(rate_rps=1.0, duration_s=1.0, timeout_s=0.2), arrivals=Callers(n_callers=2, think_time_s=0.0)
    )
    url = start_fake(odd="silent", odd_share=0.2, service_s=0.01).url
    run = run_load(spec, url=url, requests=plain_requests("/"), machine=machine, core=None)
    outcomes = run.requests.outcome
    assert set(outcomes.tolist()) == {Outcome.OK, Outcome.TIMED_OUT}
    assert np.count_nonzero(outcomes == Outcome.TIMED_OUT) >= 3


@pytest.mark.parametrize(("n_callers", "think_time_s"), [(0, 0.0), (2, 1.0), (2, -0.1)])
def test_callers_who_would_ask_nothing_are_refused(
    start_fake: "StartFake", compare: Drive, n_callers: int, think_time_s: float
) -> None:
    with pytest.raises(InputError, match="ask nothing"):
        compare(start_fake().url, plain_requests("/"), n_callers=n_callers, think_time_s=think_time_s)


@pytest.fixture
def loadplan(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """`loadplan load …` in this process, for starting another takes seconds: exit code, output and messages."""
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.getsignal(kind) for kind in kinds]

    def run(*arguments: str) -> tuple[int, str, str]:
        code = run_command_line(["load", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    yield run
    for kind, handler in zip(kinds, handlers, strict=True):
        signal.signal(kind, handler)


def test_the_command_line_labels_it_as_a_comparison(
    start_fake: "StartFake", loadplan: Callable[..., tuple[int, str, str]]
) -> None:
    url = start_fake(service_s=0.3).url
    _, out, _ = loadplan(f"{url}/", "--callers", "2", "--think-time", "10ms", "--duration", "1s", "--json")
    said = json.loads(out)
    assert (said["loop"], said["n_callers"], said["think_time_s"]) == ("closed", 2, 0.01)
    assert said["offered_rate_rps"] is None
    assert "no rate of their own" in said["offered_rate_rps_reason"]
    assert [caveat["code"] for caveat in said["caveats"]] == ["load.closed_loop"]


def test_a_recording_is_driven_as_it_was(
    start_fake: "StartFake", loadplan: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    recorded = tmp_path / "log.csv"
    recorded.write_text("t\n7.0\n7.25\n7.25\n7.5\n9.0\n")
    fake = start_fake(service_s=0.05)
    _, out, _ = loadplan(f"{fake.url}/", "--trace", str(recorded), "--duration", "1s", "--json")
    said = json.loads(out)
    assert (said["loop"], said["arrivals"]) == ("open", "replay of log.csv as recorded")
    assert (said["n_requests"], said["offered_rate_rps"]) == (4, 4.0)
    arrivals = np.array(fake.stamps()[0])
    # Neighbours may delay a request, and never send it early.
    assert (arrivals - arrivals[0] > np.array([0.0, 0.25, 0.25, 0.5]) - 0.02).all()


def test_a_stretch_busier_than_the_whole_recording_is_told(
    start_fake: "StartFake", loadplan: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    recorded = tmp_path / "log.csv"
    recorded.write_text("t,count\n0,100\n100,1000\n200,100\n300,100\n")
    _, out, _ = loadplan(f"{start_fake().url}/", "--trace", str(recorded), "--rate", "50", "--duration", "1s", "--json")
    said = json.loads(out)
    (caveat,) = (caveat for caveat in said["caveats"] if caveat["code"] == "load.stretch")
    # Once round takes 26 s, and 6.5 of them are busy: a second comes at 15 or at 154 per second, or at some of both.
    assert caveat["number"] == pytest.approx(said["n_requests"] / 50.0)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--callers", "2", "--rate", "5"), "leave out --rate"),
        (("--think-time", "10ms", "--rate", "5"), "add --callers N"),
        (("--rate", "5", "--cv", "2"), "add --arrivals gamma"),
        (("--rate", "5", "--arrivals", "markov"), "markov needs the key busy_ratio"),
        (("--rate", "5", "--trace", "/nowhere.csv"), "there is no such file"),
        (("--trace", "/nowhere.csv", "--arrivals", "poisson"), "leave out --arrivals"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    loadplan: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...], expected: str
) -> None:
    code, _, err = loadplan("http://127.0.0.1:9/", *arguments)
    assert code == 2
    assert expected in err
