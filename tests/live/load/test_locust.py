"""Locust stays Locust: its page on a run of loadplan's, and loadplan's user in a locustfile of one's own."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from loadplan.errors import InvalidMeasurement
from loadplan.load.crew.together import Launch
from loadplan.load.driver import run_load
from loadplan.load.messages.requests import plain_requests
from loadplan.load.records import LoadSpec
from loadplan.machine import Machine

if TYPE_CHECKING:
    from tests.live.load.conftest import StartFake

ROOT = Path(__file__).parents[3]
MakeSpec = Callable[..., LoadSpec]


def example() -> str:
    """The locustfile that the documentation shows."""
    (found,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "locust.md").read_text(), flags=re.DOTALL)
    return str(found)


def locust(folder: Path, locustfile: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "locustfile.py").write_text(locustfile)
    (folder / "body.json").write_text("{}")
    command = [sys.executable, "-m", "locust", "-f", "locustfile.py", "--headless", "--users", "1", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    paths = os.pathsep.join([str(ROOT), *filter(None, [environment.get("PYTHONPATH")])])
    return subprocess.run(
        command, cwd=folder, env=environment | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )


def test_the_documented_locustfile_sends_its_schedule_and_locust_counts_it(
    start_fake: "StartFake", tmp_path: Path
) -> None:
    fake = start_fake(odd="503", odd_share=0.1)
    mine = (
        example().replace("127.0.0.1:8080", f"127.0.0.1:{fake.port}").replace("duration_s = 60.0", "duration_s = 1.0")
    )
    done = locust(tmp_path, mine, "--json")
    n_sent = len(fake.stamps()[0])
    assert 60 < n_sent < 140  # 100 requests, give or take four deviations
    (counted,) = json.loads(done.stdout)
    assert (counted["method"], counted["name"]) == ("POST", "/v2/models/model/infer")
    assert counted["num_requests"] == n_sent
    assert counted["num_failures"] == int(n_sent * 0.1)
    verdict = re.search(r"loadplan: (INVALID|valid; (\d+) of (\d+) failed)", done.stderr)
    assert verdict is not None
    if verdict[1] == "INVALID":  # on a machine whose neighbours took the core
        assert done.returncode == 3
    else:
        assert (int(verdict[2]), int(verdict[3])) == (int(n_sent * 0.1), n_sent)
        assert done.returncode == 1  # Locust's own for a run with failures


@pytest.mark.nightly
def test_a_host_that_is_not_loopback_is_refused_in_a_locustfile_too(tmp_path: Path) -> None:
    done = locust(tmp_path, example().replace("127.0.0.1:8080", "192.0.2.1:80"))
    assert done.returncode == 1
    assert "load goes only to loopback" in done.stderr


def test_the_page_shows_the_run_and_ends_with_it(
    start_fake: "StartFake", make_spec: MakeSpec, machine: Machine, free_port: int
) -> None:
    seen: list[dict[str, Any]] = []

    def look(done_ratio: float) -> None:
        if done_ratio > 0.6:
            with urlopen(f"http://127.0.0.1:{free_port}/stats/requests", timeout=10) as answer:
                seen.append(json.load(answer))

    fake = start_fake()
    run = run_load(
        make_spec(rate_rps=100.0, duration_s=2.0),
        url=f"{fake.url}/",
        requests=plain_requests("/predict?key=secret", body=b"x"),
        machine=machine,
        core=None,
        launch=Launch(web_port=free_port),
        on_progress=look,
    )
    assert run.verdict.n_failed == 0
    assert len(fake.stamps()[0]) == run.requests.n_requests  # the page took none and added none
    (shown,) = (entry for entry in seen[-1]["stats"] if entry["name"] != "Aggregated")
    assert (shown["method"], shown["name"]) == ("POST", "/predict")
    assert 0 < shown["num_requests"] <= run.requests.n_requests
    with pytest.raises(OSError, match="refused"):
        urlopen(f"http://127.0.0.1:{free_port}/", timeout=10)


@pytest.mark.nightly
def test_a_run_that_is_stopped_in_the_page_is_no_measurement(
    start_fake: "StartFake", make_spec: MakeSpec, machine: Machine, free_port: int
) -> None:
    def stop(done_ratio: float) -> None:
        if done_ratio > 0.05:
            with suppress(OSError, HTTPException):  # stopping ends the page as well
                urlopen(f"http://127.0.0.1:{free_port}/stop", data=b"", timeout=10).close()

    with pytest.raises(InvalidMeasurement, match="the test was stopped"):
        run_load(
            make_spec(rate_rps=100.0, duration_s=30.0),
            url=start_fake().url,
            requests=plain_requests("/"),
            machine=machine,
            core=None,
            launch=Launch(web_port=free_port),
            on_progress=stop,
        )
