"""Segments of users down the whole road: two classes with rows and objectives of their own, driven live."""

from pathlib import Path

import pytest

from loadplan.load.classes import class_runs
from loadplan.pipeline.artifacts import read_findings
from loadplan.store.run_folder import read_run_folder

from .conftest import Place, make_place

pytestmark = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(900)]

# Objectives that hold on the slowest offer however noisy this machine is.
CLASSES = (
    (
        "  peak_rps: 60\n",
        (
            "  peak_rps: 60\n"
            "  classes:\n"
            '    - {name: feed, share: 0.8, payload: "0"}\n'
            '    - {name: search, share: 0.2, payload: "1", rows_per_request: 8}\n'
        ),
    ),
    (
        "  - {p99_ms: 2000, max_failed_ratio: 0.01}\n",
        "  - {p99_ms: 2000, max_failed_ratio: 0.01}\n  - {class: search, p95_ms: 1500, max_failed_ratio: 0.01}\n",
    ),
)


def test_each_class_is_driven_predicted_and_judged_by_itself(tmp_path: Path) -> None:
    place: Place = make_place(tmp_path, changes=CLASSES)
    said = place.walk()
    assert said.code == 0, said.err
    found = read_findings(read_run_folder(Path(said.document["run"])))
    assert found.fit is not None
    assert found.payloads is not None
    assert found.verdict is not None
    assert found.verification is not None
    for run in (*(found.loads or ()), found.verification):
        assert run.n_rows is not None
        assert run.class_index is not None
        assert set(zip(run.class_index.tolist(), run.n_rows.tolist(), strict=True)) == {(0, 1), (1, 8)}
        assert sum(own.requests.n_requests for _, own in class_runs(run)) == run.requests.n_requests
    # Eight rows take longer than one, so the fit tells the classes apart.
    feed, search = found.fit.capacities[0].curve[0].classes
    assert (feed.name, search.name) == ("feed", "search")
    assert feed.p50_s < search.p50_s
    assert {one.class_name: one.outcome for one in found.verdict.attainments} == {None: "met", "search": "met"}
    assert [one["class"] for one in said.document["verify"]["objectives"]] == [None, "search"]
    of_feed, of_search = said.document["verify"]["classes"]
    assert of_feed["n_requests"] + of_search["n_requests"] == said.document["verify"]["n_requests"]
    assert "What did each segment of users meet?" in Path(said.document["report"]).read_text()


def test_a_segment_that_is_not_there_stops_the_road_before_anything_is_measured(tmp_path: Path) -> None:
    wrong = ((CLASSES[0][0], CLASSES[0][1].replace('payload: "1"', "payload: one")), CLASSES[1])
    said = make_place(tmp_path, changes=wrong).walk()
    assert said.code == 2, said.err
    assert said.document["what"] == "the model has no rows of the segment 'one'"
    assert "name one of 0, 1, 2" in said.document["fix"]
    assert not list(tmp_path.rglob("bench.parquet"))
