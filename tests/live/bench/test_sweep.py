"""Real sweeps: ONNX Runtime in its own process, tiny models, and everything that can go wrong with them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from loadplan.bench.grid import IDLE_GAPS_S
from loadplan.bench.records import BenchCell, CellRound
from loadplan.bench.runner import BenchRequest, run_bench
from loadplan.errors import EnvironmentFault, InvalidMeasurement
from loadplan.store.codec import dumps
from loadplan.store.journal import Journal

MakeRequest = Callable[..., BenchRequest]


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "loadplan.bench.worker" in child.cmdline()]


def ended(process: psutil.Process) -> bool:
    """Wait until it runs no more, without taking its exit code from whoever started it."""
    give_up_s = time.monotonic() + 10.0
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < give_up_s:
            time.sleep(0.01)
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return True


def stop_after(n: int) -> tuple[list[CellRound], Callable[[CellRound], None]]:
    kept: list[CellRound] = []

    def keep(visit: CellRound) -> None:
        kept.append(visit)
        if len(kept) == n:
            raise KeyboardInterrupt

    return kept, keep


def test_every_cell_is_visited_twice_though_the_budget_is_spent(make_request: MakeRequest) -> None:
    request = make_request("good", "other", batch_sizes=(1, 4, 64))
    run = run_bench(request)
    assert [cell.cell for cell in run.cells] == list(request.cells)
    assert [(visit.cell, visit.i_round) for visit in run.rounds] == [(c, i) for c in request.cells for i in (0, 1)]
    assert all(visit.service_times_s.size >= 3 and visit.service_times_s.min() > 0.0 for visit in run.rounds)
    assert all(cell.min_s <= cell.median_s and cell.mean_s_low <= cell.mean_s <= cell.mean_s_high for cell in run.cells)
    assert run.machine == request.machine
    assert workers() == []


def test_a_budget_is_used_and_then_the_sweep_ends(make_request: MakeRequest) -> None:
    heard: list[tuple[float, str]] = []
    run = run_bench(
        make_request("good", batch_sizes=(1, 2), budget_s=1.0), on_progress=lambda *said: heard.append(said)
    )
    assert all(cell.n_samples > 0 for cell in run.cells)
    assert all(0.0 <= ratio <= 1.0 for ratio, _ in heard)
    assert "of 2 cells known to ±2 %" in heard[-1][1]


def test_rounds_are_interleaved_over_the_cells(make_request: MakeRequest) -> None:
    order: list[BenchCell] = []
    request = make_request("good", batch_sizes=(1, 2, 3, 4, 5, 6))
    run_bench(request, on_record=lambda visit: order.append(visit.cell))
    assert set(order[:6]) == set(order[6:]) == set(request.cells)
    assert order[:6] != order[6:]
    assert order[:6] != list(request.cells)


def test_no_process_visits_a_cell_twice_so_that_the_interval_holds_what_differs_between_processes(
    make_request: MakeRequest,
) -> None:
    seen: list[tuple[BenchCell, int]] = []

    def keep(visit: CellRound) -> None:
        (worker,) = workers()
        seen.append((visit.cell, worker.pid))

    run_bench(make_request("good", batch_sizes=(1, 2)), on_record=keep)
    assert len(seen) == len(set(seen)) == 4
    assert len({number for _, number in seen}) == 2


def test_an_interrupted_sweep_goes_on_from_what_was_recorded(make_request: MakeRequest) -> None:
    request = make_request("good", batch_sizes=(1, 2, 3))
    kept, keep = stop_after(4)
    with pytest.raises(KeyboardInterrupt):
        run_bench(request, on_record=keep)
    assert workers() == []
    more: list[CellRound] = []
    run = run_bench(request, done=kept, on_record=more.append)
    assert len(more) == 2
    assert all(any(visit is found for found in run.rounds) for visit in [*kept, *more])
    assert [visit.i_round for visit in run.rounds] == [0, 1] * 3


def test_a_sweep_that_was_killed_repeats_at_most_the_visit_it_was_making(
    models: dict[str, Path], make_request: MakeRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from conftest import request_for
from loadplan.bench.runner import run_bench
from loadplan.store.journal import Journal
journal = Journal(Path({str(tmp_path / "journal")!r}), "key")
models = {{"good": Path({str(models["good"])!r})}}
request = request_for(models, "good", batch_sizes=(1, 2), n_sessions=(1, 2), with_pauses=True)
def keep(visit):
    journal.append(visit)
    print("kept", flush=True)
run_bench(request, on_record=keep)
"""
    env = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=env) as killed:
        assert killed.stdout is not None
        for _ in range(5):
            killed.stdout.readline()
        killed.kill()
    (left_behind,) = temporary.glob("loadplan-*")
    os.utime(left_behind, (1, 1))  # long ago
    kept = Journal(tmp_path / "journal", "key").entries(CellRound)
    assert 5 <= len(kept) < 16
    more: list[CellRound] = []
    request = make_request("good", batch_sizes=(1, 2), n_sessions=(1, 2), with_pauses=True)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    run = run_bench(request, done=kept, on_record=more.append)
    assert list(temporary.glob("loadplan-*")) == []
    # Four cells in a row and four after pauses, two visits to each: none of those that were kept was made again.
    assert len(kept) + len(more) == 16
    assert [(visit.cell, visit.i_round) for visit in run.rounds] == [(c, i) for c in request.cells for i in (0, 1)]
    assert {dumps(visit) for visit in kept} <= {dumps(visit) for visit in run.rounds}


def test_a_finished_sweep_is_not_measured_again(make_request: MakeRequest) -> None:
    request = make_request("good", batch_sizes=(1, 2))
    done: list[CellRound] = []
    first = run_bench(request, on_record=done.append)
    more: list[CellRound] = []
    again = run_bench(request, done=done, on_record=more.append)
    assert more == []
    assert again.cells == first.cells


def test_rounds_of_cells_that_are_not_asked_for_are_left_out(make_request: MakeRequest) -> None:
    done: list[CellRound] = []
    run_bench(make_request("good", batch_sizes=(1, 2)), on_record=done.append)
    run = run_bench(make_request("good", batch_sizes=(2,)), done=done)
    assert [cell.cell.batch_size for cell in run.cells] == [2]


@pytest.mark.parametrize("crash", [signal.SIGSEGV, signal.SIGKILL], ids=["segmentation fault", "killed for memory"])
def test_a_crash_of_the_runtime_costs_one_cell(make_request: MakeRequest, crash: signal.Signals) -> None:
    n_seen = 0

    def crash_after_two(visit: CellRound) -> None:
        nonlocal n_seen
        n_seen += 1
        if n_seen == 2:  # of the first round, whose third visit is by the same process
            (worker,) = workers()
            worker.send_signal(crash)
            ended(worker)  # so that the next visit is the one that meets it

    # The same batch size throughout: after a crash larger ones would be left out as well.
    run = run_bench(make_request("good", "other", "batch_of_4", batch_sizes=(4,)), on_record=crash_after_two)
    assert len(run.cells) == 2
    (caveat,) = [caveat for caveat in run.caveats if caveat.code == "bench.cell_failed"]
    assert f"crashed by {crash.name}" in caveat.what
    assert all(visit.service_times_s.size for visit in run.rounds)
    assert workers() == []


def test_after_a_hang_the_worker_is_replaced_and_larger_batches_are_not_tried(make_request: MakeRequest) -> None:
    request = make_request("good", "endless", batch_sizes=(1,), visit_limit_s=6.0)
    run = run_bench(request)
    assert [cell.cell.execution.variant for cell in run.cells] == ["good"]
    (caveat,) = [caveat for caveat in run.caveats if caveat.code == "bench.cell_failed"]
    assert "endless with 1 thread was not measured at 1 batch size (1): no answer within 6 s" in caveat.what
    assert workers() == []


def test_a_batch_size_that_the_model_rejects_does_not_keep_others_from_being_measured(
    make_request: MakeRequest,
) -> None:
    run = run_bench(make_request("batch_of_4", batch_sizes=(1, 4, 8)))
    assert [cell.cell.batch_size for cell in run.cells] == [4]
    rejected = [caveat.what for caveat in run.caveats if caveat.code == "bench.cell_failed"]
    assert len(rejected) == 2
    assert all("invalid dimensions" in what and "Expected: 4" in what for what in rejected)


def test_a_batch_that_does_not_fit_into_the_memory_is_marked_and_the_rest_is_measured(
    make_request: MakeRequest,
) -> None:
    run = run_bench(make_request("good", "hungry", batch_sizes=(1, 64, 128)))
    measured = [(cell.cell.execution.variant, cell.cell.batch_size) for cell in run.cells]
    assert measured == [("good", 1), ("good", 64), ("good", 128), ("hungry", 1)]
    said = [caveat.what for caveat in run.caveats if caveat.code == "bench.cell_failed"]
    assert any(
        "hungry with 1 thread was not measured at 1 batch size (64): it does not fit into" in what for what in said
    )
    assert all("fit into the memory" in what for what in said)


def test_sessions_side_by_side_are_cells_of_their_own(make_request: MakeRequest) -> None:
    run = run_bench(make_request("good", batch_sizes=(1, 64), n_sessions=(1, 2)))
    found = [(cell.cell.execution.n_sessions, cell.cell.batch_size) for cell in run.cells]
    assert found == [(1, 1), (1, 64), (2, 1), (2, 64)]
    for visit in run.rounds:
        is_alone = visit.cell.execution.n_sessions == 1
        assert bool(visit.loop_times_s.size) == is_alone  # 64 rows of a tiny model take far less than 1 ms
        # Both sessions' calls count: as many of each, but for those that a neighbour robbed.
        assert visit.service_times_s.size >= 5 * visit.cell.execution.n_sessions * (1.0 - visit.dropped_ratio)
        assert visit.clock_s > 0.0


def test_calls_after_pauses_stand_apart_from_those_in_a_row(make_request: MakeRequest) -> None:
    run = run_bench(make_request("good", batch_sizes=(2, 1), with_pauses=True))
    assert [(cell.cell.batch_size, cell.cell.idle_gap_s) for cell in run.cells] == [(2, 0.0), (1, 0.0)]
    assert [(cell.cell.batch_size, cell.cell.idle_gap_s) for cell in run.cold] == [(1, gap_s) for gap_s in IDLE_GAPS_S]
    paused = [visit for visit in run.rounds if visit.cell.idle_gap_s]
    assert all(visit.loop_times_s.size == 0 for visit in paused)
    assert all(visit.took_s >= visit.service_times_s.size * visit.cell.idle_gap_s for visit in paused)


def test_answers_that_are_not_numbers_are_no_measurement(make_request: MakeRequest) -> None:
    run = run_bench(make_request("good", "not_a_number", batch_sizes=(1, 2)))
    assert {cell.cell.execution.variant for cell in run.cells} == {"good"}
    (caveat,) = [caveat for caveat in run.caveats if caveat.code == "bench.cell_failed"]
    assert "2 batch sizes (1, 2): the output 'y' holds NaN or infinity" in caveat.what


@pytest.mark.parametrize(("variant", "said"), [("not_a_number", "NaN"), ("broken", "can't load the model")])
def test_where_nothing_can_be_measured_the_reason_is_told(make_request: MakeRequest, variant: str, said: str) -> None:
    with pytest.raises(InvalidMeasurement) as caught:
        run_bench(make_request(variant, batch_sizes=(1, 2)))
    assert said in caught.value.what


def test_a_provider_that_is_not_there_is_a_fault_of_the_environment(make_request: MakeRequest) -> None:
    with pytest.raises(EnvironmentFault, match="NoSuch"):
        run_bench(make_request("good", provider="NoSuch"))


def test_a_budget_too_small_for_any_figure_is_refused_with_one_that_would_do(make_request: MakeRequest) -> None:
    request = make_request("good", batch_sizes=(1, 2), budget_s=1.0)
    slow = CellRound(
        cell=request.cells[0], i_round=0, service_times_s=np.full(5, 20.0), lost_ratio=0.0, dropped_ratio=0.0
    )
    with pytest.raises(InvalidMeasurement) as caught:
        run_bench(request, done=[slow])
    # One visit took 100 s and a few instants; two to each of two cells take a little more than 400 s.
    assert "1 visit took 100 s" in caught.value.what
    assert "set bench.budget_s to 401" in caught.value.fix


def test_the_worker_ends_with_a_parent_that_was_killed(models: dict[str, Path], tmp_path: Path) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from conftest import request_for
request = request_for({{"good": Path({str(models["good"])!r})}}, "good", budget_s=60.0)
from loadplan.bench.runner import run_bench
run_bench(request, on_record=lambda visit: print("visited", flush=True))
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=dict(os.environ)) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        # Each visit is of a worker of its own, and between two of them there is none for a moment.
        while not (workers := psutil.Process(parent.pid).children()):
            time.sleep(0.01)
        parent.kill()
    assert ended(workers[0])
