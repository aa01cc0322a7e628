"""The whole road for a model without a scenario."""

from pathlib import Path

import pytest

from loadplan.errors import InvalidMeasurement
from tests.faults.model_flips import plain, save

from .conftest import N_TRIES, Place, Said

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]


def asked(place: Place) -> Said:
    """Again while neighbours spoil it, as a user would."""
    for _ in range(N_TRIES):
        said = place.loadplan(
            *("quick", "tiny.onnx", "--peak-rps", "60", "--p99-ms", "2000"),
            *("--provider", "aws", "--region", "us-east-1", "--today", "aws/us-east-1/c7i.large/on_demand=40"),
        )
        if said.code != InvalidMeasurement.exit_code:
            return said
    pytest.skip(f"neighbours spoiled the live runs {N_TRIES} times: {said.err}")


def test_a_model_alone_gets_an_answer_that_says_first_what_was_assumed(tmp_path: Path) -> None:
    save(plain(), tmp_path / "tiny.onnx")
    said = asked(Place(folder=tmp_path))
    assert said.code == 0, said.err
    labels = [line.split(" ")[0] for line in said.out.splitlines() if not line.startswith(" ")]
    assert [label for label in labels if label in {"assumed", "demand", "buy", "bill", "verified", "next"}] == [
        *("assumed", "demand", "buy", "bill", "verified", "next")
    ]
    assert "rows are made up" in said.out.splitlines()[0]
    assert "then `loadplan run results/tiny.yaml`" in said.out.splitlines()[-1]
    (page,) = (tmp_path / "results" / "tiny").glob("*/report.html")
    assert "no rows were given, so they were made up" in page.read_text().lower()
    assert "loadplan run results/tiny.yaml" in page.read_text()
