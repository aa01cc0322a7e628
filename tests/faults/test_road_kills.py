"""The whole road under SIGKILL: what was finished is kept, nobody is left behind, and the same command ends it."""

import json
import random
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadplan.errors import InvalidMeasurement
from tests.live.pipeline.conftest import Place, environment, make_place

STAGES = ["scenario", "export", "bench", "load", "fit", "plan", "verify", "report"]
N_RANDOM_KILLS = 20


def start(place: Place) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        place.command("run", place.scenario, "-o", place.results),
        cwd=place.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(process: "subprocess.Popen[str]") -> None:
    """SIGKILL to the command alone, as the system's memory killer does; its children must notice by themselves."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=5.0)
    assert alive == []


def finished(place: Place) -> dict[str, Any]:
    """The finished stages of the one run folder, by name: when, and with which artefacts."""
    manifests = list(place.results.glob("tiny/*/manifest.json"))
    if not manifests:
        return {}
    (manifest,) = manifests
    return {stage["stage"]: stage for stage in json.loads(manifest.read_text())["record"]["stages"]}


def assert_kept(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Everything that was finished stays as it was: same moment, same hashes."""
    for stage, entry in before.items():
        assert after[stage] == entry, stage


def end(place: Place, last: str = STAGES[-1]) -> None:
    """The same command once more, to its end or to a stage: every one until then is done."""
    said = place.walk("--until", last)
    assert said.code == 0, said.err
    assert set(finished(place)) >= set(STAGES[: STAGES.index(last) + 1])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("stages", "last"),
    [
        (("export", "bench"), "bench"),  # live runs and fit take longest: killed among them by night
        pytest.param(tuple(STAGES[:-1]), STAGES[-1], marks=pytest.mark.nightly),
    ],
    ids=["two", "all"],
)
def test_killed_after_a_stage_the_same_command_goes_on_and_measures_nothing_twice(
    tmp_path: Path, stages: tuple[str, ...], last: str
) -> None:
    place = make_place(tmp_path)
    killed_after: list[str] = []
    for stage in stages:
        before = finished(place)
        process = start(place)
        assert process.stderr is not None
        wanted = f"{stage:<9} done: "
        while not (line := process.stderr.readline()).startswith(wanted):
            if not line:  # neighbours spoiled the live runs: a user gives the same command again
                process.communicate()
                assert process.returncode == InvalidMeasurement.exit_code
                process = start(place)
                assert process.stderr is not None
        kill(process)
        assert process.returncode == -signal.SIGKILL
        killed_after.append(wanted.split(maxsplit=1)[0])
        assert_kept(before, finished(place))
        assert set(finished(place)) >= set(killed_after)
    kept = finished(place)
    end(place, last)
    assert_kept(kept, finished(place))


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_killed_at_random_instants_the_same_command_ends_with_what_was_finished_untouched(tmp_path: Path) -> None:
    place = make_place(tmp_path)
    draw = random.Random(7)
    n_killed = 0
    while n_killed < N_RANDOM_KILLS:
        before = finished(place)
        process = start(place)
        try:
            process.wait(draw.uniform(0.2, 14.0))
        except subprocess.TimeoutExpired:
            kill(process)
            n_killed += 1
            assert_kept(before, finished(place))
        else:
            process.communicate()
            end(place)
            shutil.rmtree(place.results)
    end(place)
