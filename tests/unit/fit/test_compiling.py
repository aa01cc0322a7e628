"""What is compiled ahead is what a fit needs: a process that simulates fleets afterwards adds nothing to the cache."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadplan.fit.compiling import SERVICES, compiled_meanwhile

ROOT = Path(__file__).parents[3]
# Two replicas of two processes that lose one, with delays and retries: like what was compiled ahead in type alone.
FLEETS = """
import numpy as np
from loadplan.execution import ServingConfig
from loadplan.fit.compile_process import FREE
from loadplan.fit.fleet_records import Fleet, Loss, Retries
from loadplan.fit.simulate import draw, scale, simulate
from loadplan.fit.simulate_fleet import draw_fleet, offer, scale_fleet, simulate_fleet
rng = np.random.default_rng(1)
sent_s, n_rows, service_s = np.sort(rng.random(500)), rng.integers(1, 4, 500), np.linspace(0.0, 0.01, 40)
serving = ServingConfig(max_batch_size=8, batch_window_s=0.001, n_server_processes=2)
simulate(
    sent_s, n_rows, service_s=service_s, overhead=FREE, serving=serving,
    noise=scale(draw(rng), FREE, service_spread_ratio=0.1),
)
fleet = Fleet(
    n_replicas=2, balancing="per_connection", serving=serving, service_s=service_s, overhead=FREE,
    losses=(Loss(replica=0, at_s=0.5, detected_after_s=0.1, noticed_after_s=0.1, back_after_s=0.2),),
    retries=Retries(n_most=1, backoff_s=0.1), timeout_s=0.2,
)
noise = scale_fleet(draw_fleet(rng, n_processes=4), FREE, service_spread_ratio=0.1)
simulate_fleet(offer(sent_s, n_rows, before_s=rng.random(500), after_s=rng.random(500)), fleet, noise)
"""


@pytest.mark.nightly  # compiles everything
def test_what_simulates_afterwards_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with compiled_meanwhile():
        pass
    compiled = {path.name for path in tmp_path.rglob("*.nbc")}
    assert compiled
    subprocess.run([sys.executable, "-c", FLEETS], check=True, env=dict(os.environ))
    assert {path.name for path in tmp_path.rglob("*.nbc")} == compiled


SERVICE = """
import numpy as np
from loadplan.fit.black_box.simulate import draw_luck, simulate_service
from loadplan.fit.black_box.structures import ServiceLaw, ServiceStructure
structure = ServiceStructure(sharing="turns", n_slots=None, n_cores=4)
law = ServiceLaw(structure=structure, request_s=1e-3, row_s=1e-5, cpu_cv=0.3, delays_s=(0.01, 0.02))
simulate_service(law, np.arange(500) * 1e-3, np.arange(500) + 1, draw_luck(500, np.random.default_rng(1)))
"""


@pytest.mark.nightly  # compiles everything
def test_what_simulates_a_service_afterwards_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with compiled_meanwhile(SERVICES):
        pass
    compiled = {path.name for path in tmp_path.rglob("*.nbc")}
    assert compiled
    subprocess.run([sys.executable, "-c", SERVICE], check=True, env=dict(os.environ))
    assert {path.name for path in tmp_path.rglob("*.nbc")} == compiled


def test_what_fails_beside_a_compiler_is_told_and_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Kept(subprocess.Popen[bytes]):
        def __init__(self, *args: object, **kwargs: object) -> None:
            started.append(self)
            super().__init__(*args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", Kept)
    with pytest.raises(ValueError, match="beside"), compiled_meanwhile():
        raise ValueError("beside")
    assert started[0].returncode is not None
