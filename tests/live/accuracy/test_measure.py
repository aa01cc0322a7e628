"""The measuring of `make accuracy` on a real model, server and generator, as small as it can be: nightly."""

from dataclasses import replace
from pathlib import Path

import pytest

from loadplan.scenario.arrivals import GammaArrivals
from tests.accuracy.__main__ import measure, write
from tests.accuracy.design import Configuration, Design, full_design, only, saturations_of
from tests.accuracy.table import Circumstances


def tiny_design() -> Design:
    """Two configurations of the smallest model, once."""
    subject = full_design().subject("small")
    return Design(
        subjects=(subject,),
        configurations=(
            Configuration(subject="small", max_batch_size=8, load_ratio=0.3),
            Configuration(subject="small", max_batch_size=8, load_ratio=0.5, arrivals=GammaArrivals(cv=2.0)),
        ),
        saturations=saturations_of(subject),
        capacities=(),
        decisions=(),
        n_rounds=1,
        n_more_rounds=0,
        clean_s=0.2,
        run_s=1.0,
        saturated_s=0.5,
        bench_s=3.0,
    )


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_two_configurations_are_predicted_and_measured_and_a_second_walk_drives_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    design = tiny_design()

    found = measure(design, tmp_path, deadline_s=None)
    said = capsys.readouterr().out

    if any(case.truth.rate_rps is None or case.predicted is None for case in found.cases):
        pytest.skip(f"neighbours spoiled what this needs: {said[-600:]}")
    for case in found.cases:
        assert case.truth.n_repeats == 1
        assert case.truth.floors[0] is None  # one repeat has no distance from itself
        assert case.utilisation_ratio is not None
        assert len(case.of_rounds) == 1
        # Not how near it comes, which takes a quiet machine: that both are of one and the same server.
        assert case.predicted is not None
        assert case.truth.latencies_s[0] is not None
        assert 0.2 < case.predicted.p50_s / case.truth.latencies_s[0] < 5.0
    assert measure(design, tmp_path, deadline_s=None) == found
    assert "requests/s" not in capsys.readouterr().out
    about = Circumstances(commit="c0ffee", machine="a test's", date="2026-01-01", is_try=False, asked=("small",))
    write(found, about, tmp_path / "results")
    text = (tmp_path / "results" / "accuracy.md").read_text()
    assert "**A PART** of the design: asked for small" in text
    assert "small-mb8-cv2-50" in text
    assert (tmp_path / "results" / "accuracy.svg").read_text().count("<circle") >= 2


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_two_replicas_are_predicted_and_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = only(full_design(), ["replicas"])
    fleets = tuple(one for one in whole.fleets if one.max_batch_size == 4)
    quick = {"n_rounds": 1, "n_more_rounds": 0, "clean_s": 0.2, "run_s": 1.0, "saturated_s": 1.0}
    design = replace(whole, fleets=fleets, **quick)  # type: ignore[arg-type]

    found = measure(design, tmp_path, deadline_s=None)
    said = capsys.readouterr().out

    assert [case.name for case in found.fleets] == [one.name for one in fleets]
    if any(case.truth.rate_rps is None or case.predicted is None for case in found.fleets):
        pytest.skip(f"neighbours spoiled what this needs: {said[-600:]}")
    for case in found.fleets:
        assert case.truth.latencies_s[0] is not None
        assert case.predicted is not None
        assert case.truth.latencies_s[0] >= 5.25e-3  # no answer comes before its timer
        assert 0.5 < case.predicted.p50_s / case.truth.latencies_s[0] < 2.0
