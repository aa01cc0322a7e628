"""Overhead profiles in the user's cache folder."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from loadplan.fit.records import CapacityFit, OverheadFit
from loadplan.machine import read_machine
from loadplan.pipeline.overhead_cache import cache_folder, keep_profile, payload_bytes, read_profile, server_of
from loadplan.scenario.arrivals import PoissonArrivals
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always

SERVER = {"loadplan": "1", "python": "3", "uvicorn": "0"}
LAW = OverheadFit(
    request_s=1e-4,
    response_s=2e-5,
    batch_s=3e-5,
    wake_s=1e-5,
    transfer_s=1e-5,
    cold_ratio=0.5,
    spread_ratio=0.3,
    stall_s=1e-4,
    stall_rate_per_s=6.0,
    residuals=(),
)


@pytest.fixture
def fit() -> CapacityFit:
    return CapacityFit(
        machine=read_machine(),
        basis="simulated",
        arrivals=PoissonArrivals(),
        rows_per_request=always(1),
        service_times=(),
        overhead=LAW,
        plausible=(replace(LAW, request_s=2e-4),),
        capacities=(),
        seed=1,
        caveats=(),
    )


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "loadplan"


def test_what_a_fit_left_is_found_by_the_next_one_like_it(fit: CapacityFit, cache: Path) -> None:
    assert cache_folder() == cache
    assert read_profile(SERVER, fit.machine, 256.0) is None
    keep_profile(fit, server=SERVER, n_bytes=256.0, run="digits-1")
    found = read_profile(SERVER, fit.machine, 250.0)
    assert found is not None
    assert (found.overhead, found.plausible, found.run) == (fit.overhead, fit.plausible, "digits-1")
    assert read_profile(SERVER, fit.machine, 1024.0) is None
    assert read_profile({**SERVER, "loadplan": "2"}, fit.machine, 256.0) is None


def test_a_damaged_profile_is_none(fit: CapacityFit, cache: Path) -> None:
    keep_profile(fit, server=SERVER, n_bytes=256.0, run="digits-1")
    (path,) = (cache / "overhead").iterdir()
    path.write_text(path.read_text().replace("digits-1", "digits-2"))
    assert read_profile(SERVER, fit.machine, 256.0) is None


def test_a_cache_that_can_not_be_written_is_done_without(fit: CapacityFit, cache: Path) -> None:
    cache.write_text("a file where the folder would be")
    keep_profile(fit, server=SERVER, n_bytes=256.0, run="digits-1")
    assert read_profile(SERVER, fit.machine, 256.0) is None


def test_a_request_is_as_large_as_its_rows_tensors() -> None:
    inputs = {"a": np.zeros((10, 64), dtype=np.float32), "b": np.zeros((10, 1), dtype=np.int64)}
    payloads = cast("PayloadSet", SimpleNamespace(inputs=inputs, n_rows=10))
    assert payload_bytes(payloads, always(3)) == 3 * (64 * 4 + 8)


def test_the_server_is_what_runs_it() -> None:
    assert server_of({**SERVER, "plotly": "6"}) == SERVER
