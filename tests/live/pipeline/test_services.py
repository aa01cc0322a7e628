"""From the address of a running service and its log to the answer, on three services written for the purpose."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadplan.errors import InputError, InvalidMeasurement
from loadplan.pipeline.quick_service import QuickServiceEnd, quick_service
from loadplan.scenario.reader import read_scenario
from loadplan.scenario.service_draft import ServiceQuestion
from tests.services.made_log import write_log

from .conftest import N_TRIES, Place, Said

ROOT = Path(__file__).parents[3]
RATES_RPS = (4.0, 10.0, 6.0)  # of the hours of the log; the busiest one is what machines are bought for
PLACE = ("--provider", "aws", "--region", "us-east-1")


@contextmanager
def running(module: str, **variables: str) -> Iterator[str]:
    """Address of the service, http://host:port."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.services.{module}"],
        env={**os.environ, **variables, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        assert process.stdin is not None
        process.stdin.close()


def asked(place: Place, *arguments: str) -> Said:
    """Again while neighbours spoil it, as a user would."""
    for _ in range(N_TRIES):
        said = place.loadplan(*arguments)
        if said.code != InvalidMeasurement.exit_code or "quieter" not in said.err:
            return said
    pytest.skip(f"neighbours spoiled the live runs {N_TRIES} times: {said.err}")


@pytest.fixture(scope="module")
def recommender() -> Iterator[str]:
    """Address of one that all short tests ask."""
    with running("recommender") as url:
        yield url


def drafted(url: str, log: Path) -> QuickServiceEnd:
    """As far as a scenario goes, which drives nothing."""
    question = ServiceQuestion(url=url, p99_s=0.08)
    return quick_service(question, logs=[log], peak_rps=None, results=log.parent / "results", until="scenario")


def test_the_log_gives_the_peak_and_the_path_and_the_draft_is_a_scenario(recommender: str, tmp_path: Path) -> None:
    write_log(tmp_path / "access.log", request="GET /recommend", rates_rps=(1.0, 3.0, 2.0))
    done = drafted(recommender, tmp_path / "access.log")
    scenario = read_scenario(done.scenario)
    assert scenario.target is not None
    assert scenario.target.url == f"{recommender}/recommend"
    # Health checks, one a minute, are in the log too; an hour of another alignment may hold a few more by chance.
    assert scenario.traffic.peak_rps == pytest.approx(3.0, rel=0.02)
    assert done.end.findings.scenario == scenario
    assert drafted(recommender, tmp_path / "access.log").scenario == done.scenario  # whoever asks again resumes


def test_the_log_of_another_service_is_found_out_before_anything_is_driven(recommender: str, tmp_path: Path) -> None:
    write_log(tmp_path / "access.log", request="GET /checkout", rates_rps=(0.2, 0.2))
    with pytest.raises(InputError, match="404") as by_log:
        drafted(recommender, tmp_path / "access.log")
    assert "/checkout" in by_log.value.where
    with pytest.raises(InputError, match=r"/recommend.*/checkout") as by_path:
        drafted(f"{recommender}/recommend", tmp_path / "access.log")
    assert "another service's log" in by_path.value.fix
    assert not (tmp_path / "results").exists()


def test_a_log_without_paths_counts_for_the_address_that_is_named(recommender: str, tmp_path: Path) -> None:
    log = tmp_path / "times.csv"
    log.write_text("timestamp\n" + "".join(f"{1_700_000_000 + i / 2}\n" for i in range(7201)))
    scenario = read_scenario(drafted(f"{recommender}/recommend", log).scenario)
    assert scenario.traffic.peak_rps == pytest.approx(2.0, rel=0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One of the services, its log and its limit."""

    module: str
    request: str
    p99_ms: str
    body: str | None = None  # a line for each


SAMPLES = [
    Sample(module="recommender", request="GET /recommend", p99_ms="80"),
    Sample(
        module="text_encoder",
        request="POST /encode",
        p99_ms="60",
        body="\n".join(json.dumps({"text": "word " * n}) for n in (5, 8, 12, 20, 30, 45, 70, 110)),
    ),
    Sample(module="tabular", request="POST /score", p99_ms="60", body=json.dumps({"rows": [[1.0, 2.0, 3.0]]})),
]


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.module)
def test_one_command_gives_an_answer_that_holds_live_and_not_at_a_quarter_more(sample: Sample, tmp_path: Path) -> None:
    place = Place(folder=tmp_path)
    write_log(tmp_path / "access.log", request=sample.request, rates_rps=RATES_RPS)
    body: tuple[str, ...] = ()
    if sample.body is not None:
        (tmp_path / "body.jsonl").write_text(sample.body)
        body = ("--body", "body.jsonl")
    with running(sample.module) as url:
        said = asked(
            place,
            *("quick", url, "--log", "access.log", "--p99-ms", sample.p99_ms, *body, *PLACE),
            *("--today", "aws/us-east-1/c7i.large/on_demand=4"),
        )
        assert said.code == 0, said.err
        labels = [line.split(" ")[0] for line in said.out.splitlines() if not line.startswith(" ")]
        wanted = ["assumed", "service", "demand", "buy", "bill", "today", "verified", "report", "next"]
        assert [label for label in labels if label in wanted] == wanted
        (run,) = (tmp_path / "results").glob("*/*-*")
        priced = place.loadplan("demand", "--daily-users", "9000000", "--run", str(run.relative_to(tmp_path)), "--json")
        assert all(float(doubt["usd_per_month_more"]) > 0.0 for doubt in priced.document["doubts"]), priced.err
        proof = asked(place, "verify", str(run.relative_to(tmp_path)), "--url", url, "--sharpness", "--json")
        assert proof.code == 0, proof.err
        assert proof.document["passed"]
        assert proof.document["sharpness"]["outcome"] == "missed"


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_service_that_fails_under_load_is_one_clear_message(tmp_path: Path) -> None:
    with running("recommender", FAILS_ABOVE="2") as url:
        said = asked(Place(folder=tmp_path), "quick", f"{url}/recommend", "--peak-rps", "20", "--p99-ms", "80")
    assert said.code == InvalidMeasurement.exit_code
    assert "failed" in said.err
    assert "500" in said.err


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_service_that_is_too_slow_alone_is_told_what_it_waits_for(tmp_path: Path) -> None:
    with running("recommender", FETCH_MS="120") as url:
        said = asked(Place(folder=tmp_path), "quick", f"{url}/recommend", "--peak-rps", "20", "--p99-ms", "80", *PLACE)
    assert said.code == 1, said.err
    assert "no number of machines mends that" in said.err
    assert "waits 1" in said.err  # 120 ms times the mean of exp(0.4 N) is 130 ms
    works_ms = re.search(r"works ([0-9.]+)", said.err)
    assert works_ms is not None, said.err
    assert 2.0 <= float(works_ms[1]) <= 6.0  # 3 ms on a core of its own at full speed
