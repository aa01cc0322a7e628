"""Two timed servers and their generator: whatever neighbours do to the times, every answer is right, and none early."""

from pathlib import Path

import numpy as np
import pytest

from loadplan.load.records import LoadSpec, Outcome
from loadplan.scenario.arrivals import PoissonArrivals
from tests.accuracy.design import full_design, only
from tests.accuracy.replicas import prepare_pair
from tests.accuracy.runs import setting_of
from tests.accuracy.timed import BATCH_S, ROW_S


@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_both_replicas_answer_rightly_and_no_sooner_than_their_timer(tmp_path: Path) -> None:
    design = only(full_design(), ["replicas"])
    pair = prepare_pair(tmp_path, design.subjects[0], design)
    for cell in pair.benched.cells:
        assert cell.min_s >= BATCH_S + ROW_S * cell.cell.batch_size
    assert prepare_pair(tmp_path, design.subjects[0], design).benched.cells == pair.benched.cells  # kept
    assert pair.drive_replicas is not None
    for one in design.fleets[1:3]:
        spec = LoadSpec(
            name=one.name,
            purpose="steady",
            arrivals=PoissonArrivals(),
            offered_rate_rps=100.0,
            duration_s=1.0,
            seed=3,
            timeout_s=5.0,
            setting=setting_of(pair.scenario, one.max_batch_size),
        )
        log = pair.drive_replicas(one, spec).requests
        assert log.n_requests > 50
        assert (log.outcome == np.uint8(Outcome.OK)).all()
        assert (log.done_s - log.sent_s).min() >= BATCH_S + ROW_S
