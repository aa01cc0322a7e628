"""A load run is the same after parquet, and readable as a table."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from loadplan.caveat import Caveat
from loadplan.errors import InputError
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.load.records import (
    LoadRun,
    LoadSpec,
    LoadVerdict,
    LostTime,
    Outcome,
    RequestLog,
    ServerWatch,
    WatchedSeries,
)
from loadplan.load.table import load_columns, load_from_columns, load_metadata, to_frame
from loadplan.machine import read_machine
from loadplan.scenario.arrivals import PoissonArrivals
from loadplan.store.codec import read_columns, write_columns

NAN = float("nan")
RUN = LoadRun(
    spec=LoadSpec(
        name="idle",
        purpose="idle",
        arrivals=PoissonArrivals(),
        offered_rate_rps=3.0,
        duration_s=1.0,
        seed=5,
        timeout_s=1.0,
        setting=Setting(execution=ExecutionConfig(variant="fp32"), serving=ServingConfig()),
    ),
    url="http://127.0.0.1:1/v2",
    machine=read_machine(),
    requests=RequestLog(
        due_s=np.array([0.1, 0.2, 0.3]),
        sent_s=np.array([0.1, 0.25, NAN]),
        first_byte_s=np.array([0.12, NAN, NAN]),
        done_s=np.array([0.13, NAN, NAN]),
        outcome=np.array([Outcome.OK, Outcome.TIMED_OUT, Outcome.NOT_SENT], dtype=np.uint8),
        status=np.array([200, 0, 0], dtype=np.int16),
        payload=np.array([2, 0, 1], dtype=np.int32),
    ),
    lost=LostTime(
        start_s=np.array([0.2]), length_s=np.array([0.05]), worker=np.array([1], dtype=np.int32), n_workers=2
    ),
    verdict=LoadVerdict(
        valid=False,
        invalid_reasons=("only 2 of 3",),
        achieved_rate_rps=2.0,
        throughput_rps=1.0,
        late_ratio=0.5,
        clean_ratio=0.9,
        n_failed=2,
        saturation_ratio=0.0,
    ),
    caveats=(Caveat(code="load.timed_out", what="1 request", fix="wait", number=1.0),),
    payload_rows=np.array([1, 400, 7], dtype=np.int32),
)


def test_a_run_is_the_same_after_parquet(tmp_path: Path) -> None:
    write_columns(tmp_path / "idle.parquet", load_columns(RUN), metadata=load_metadata(RUN))
    back = load_from_columns(*read_columns(tmp_path / "idle.parquet"))
    assert back.payload_rows is not None
    assert back.payload_rows.dtype == np.int32
    assert back.payload_rows.tolist() == [1, 400, 7]
    for original, other in ((RUN.requests, back.requests), (RUN.lost, back.lost)):
        for field in fields(original):
            first, second = (np.asarray(getattr(one, field.name)) for one in (original, other))
            assert first.dtype == second.dtype
            np.testing.assert_array_equal(first, second)
    assert replace(back, requests=RUN.requests, lost=RUN.lost, payload_rows=RUN.payload_rows) == RUN


def test_a_run_of_requests_that_nobody_looked_into_has_no_rows(tmp_path: Path) -> None:
    unknown = replace(RUN, payload_rows=None)
    write_columns(tmp_path / "idle.parquet", load_columns(unknown), metadata=load_metadata(unknown))
    back = load_from_columns(*read_columns(tmp_path / "idle.parquet"))
    assert back.n_rows is None
    assert "n_rows" not in to_frame(back)


def test_what_the_server_did_meanwhile_is_kept_with_its_gaps_and_reasons(tmp_path: Path) -> None:
    memory = WatchedSeries(name="rss_bytes", values=np.array([5.0, NAN]), absent_reason=None)
    waiting = WatchedSeries(name="waiting", values=None, absent_reason="GET /metrics answered 404")
    watch = ServerWatch(processes="python (pid 5)", at_s=np.array([1.0, 2.0]), series=(memory, waiting))
    watched = replace(RUN, server=watch)
    write_columns(tmp_path / "idle.parquet", load_columns(watched), metadata=load_metadata(watched))
    back = load_from_columns(*read_columns(tmp_path / "idle.parquet")).server
    assert back is not None
    assert back.at_s.tolist() == [1.0, 2.0]
    assert back.series[0].values is not None
    np.testing.assert_array_equal(back.series[0].values, [5.0, NAN])
    assert back.series[1] == waiting


def test_a_table_of_something_else_is_refused() -> None:
    columns = load_columns(RUN)
    del columns["due_s"]
    with pytest.raises(InputError, match="lacks due_s"):
        load_from_columns(columns, load_metadata(RUN))
    with pytest.raises(InputError, match=r"lacks loadplan\.load/1"):
        load_from_columns(load_columns(RUN), {})


def test_the_frame_names_the_outcomes_and_has_no_response_time_without_an_answer() -> None:
    frame = to_frame(RUN)
    assert frame["outcome"].tolist() == ["ok", "timed_out", "not_sent"]
    assert frame["n_rows"].tolist() == [7, 1, 400]
    assert frame["response_time_s"][0] == pytest.approx(0.03)
    assert frame["response_time_s"].isna().tolist() == [False, True, True]
