"""A scenario small enough to be walked in half a minute, and one finished walk of it for all tests to look at."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from loadplan.errors import InvalidMeasurement
from tests.live.cli.conftest import forks, in_a_fork

__all__ = ["forks"]

SCENARIO = """\
schema: 1
name: tiny
model:
  source: sklearn
  factory: tiny_model:build
traffic:
  peak_rps: 60
objectives:
  - {p99_ms: 2000, max_failed_ratio: 0.01}
serving: {threads: [1], max_batch_size: [1, 8], batch_window_ms: [0]}
bench: {batch_sizes: [1, 4, 8], budget_s: 2}
load: {duration_s: 1, seed: 3}
plan:
  providers: [aws]
  regions: [us-east-1]
  spare_replicas: 1
  headroom_ratio: 0.5
"""
MODEL = """\
import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from loadplan.export.source import TrainedModel


def build() -> TrainedModel:
    iris = load_iris()
    rows = iris.data.astype(np.float32)
    estimator = LogisticRegression(max_iter=500).fit(rows, iris.target)
    return TrainedModel(estimator=estimator, rows=rows, labels=iris.target, segments=tuple(map(str, iris.target)))
"""


N_TRIES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder with a scenario and its model."""

    folder: Path
    forks: "subprocess.Popen[str] | None" = None  # commands are forked from it; None: each is started anew

    @property
    def scenario(self) -> Path:
        return self.folder / "tiny.yaml"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "loadplan", *map(str, arguments)]

    def loadplan(self, *arguments: str | Path) -> Said:
        """Run a command to its end."""
        if self.forks is not None:
            forked = in_a_fork(self.forks, arguments, cwd=self.folder, said=self.folder)
            return Said(code=forked.returncode, out=forked.stdout, err=forked.stderr)
        done = subprocess.run(
            self.command(*arguments), cwd=self.folder, env=environment(), capture_output=True, text=True, check=False
        )
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    def walk(self, *options: str | Path) -> Said:
        """The whole road, as a machine asks for it; again while neighbours spoil it, as a user would."""
        for _ in range(N_TRIES):
            said = self._walk(*options)
            if said.code != InvalidMeasurement.exit_code:
                return said
        # Nothing here can make a machine quiet; that a spoiled run is called invalid has tests of its own.
        pytest.skip(f"neighbours spoiled the live runs {N_TRIES} times: {said.err}")

    def _walk(self, *options: str | Path) -> Said:
        return self.loadplan("run", self.scenario, "-o", self.results, "--json", *options)


def environment() -> dict[str, str]:
    root = str(Path(__file__).parents[3])
    return {**os.environ, "PYTHONPATH": root}


def make_place(folder: Path, *, changes: Sequence[tuple[str, str]] = (), model: str = MODEL) -> Place:
    text = SCENARIO
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "tiny.yaml").write_text(text)
    (folder / "tiny_model.py").write_text(model)
    return Place(folder=folder)


@pytest.fixture(scope="session")
def first_walk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Said]:
    """One whole walk."""
    place = make_place(tmp_path_factory.mktemp("walked"))
    return place, place.walk()


@pytest.fixture(scope="module")
def walked(first_walk: tuple[Place, Said], forks: "subprocess.Popen[str]") -> tuple[Place, Said]:
    """The same walk, for commands that take a second less each."""
    place, said = first_walk
    return replace(place, forks=forks), said
