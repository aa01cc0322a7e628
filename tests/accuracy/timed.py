"""The embedded server with a timer for an inference: its answers are the model's, and no sooner than a law allows.

While the timer runs, the core is free. So two such servers share a core as if each had a machine of its own, but for
the work on requests, which waits where both have some; and two cores are enough for two replicas and their generator.

`python -m tests.accuracy.timed serve JSON` serves, `… time JSON` times inferences as a visit of the benchmark does, in
a process of its own.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.summary import by_cell, summarise_cell
from loadplan.child_process import die_with_parent, stop
from loadplan.errors import EnvironmentFault
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.inference import Session, Tensors, example_text, open_session, run
from loadplan.machine import Machine
from loadplan.serve.config import ServeConfig, ServerReady
from loadplan.serve.inference_runner import Infer
from loadplan.serve.readiness import blank_rows
from loadplan.serve.server import serve

# Long beside the work on requests, so that two servers rarely want their core at once.
BATCH_S, ROW_S = 5e-3, 0.25e-3
_ROOT = Path(__file__).parents[2]
_N_VISITS, _N_CALLS = 3, 60
_STOP_GRACE_S = 5.0


def by_timer(session: Session) -> Infer:
    """Inferences that end when the timer does: BATCH_S, and ROW_S for each row."""

    def infer(inputs: Tensors) -> Tensors:
        ends_s = time.monotonic() + BATCH_S + ROW_S * len(next(iter(inputs.values())))
        outputs = run(session, inputs)
        time.sleep(max(0.0, ends_s - time.monotonic()))
        return outputs

    return infer


@contextmanager
def start_timed(model: Path, *, setting: Setting, name: str, core: int) -> Iterator[str]:
    """Serve a model so on this core; the URL. Raises EnvironmentFault where the server doesn't start."""
    asked = {"model": str(model), "name": name, "core": core, "serving": asdict(setting.serving)}
    process = subprocess.Popen(
        [*_program("serve"), json.dumps(asked)],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise EnvironmentFault(
                what="the timed server ended before it was ready", where=str(model), fix="read its last lines above"
            )
        yield json.loads(line)["url"]
    finally:
        stop(process, grace_s=_STOP_GRACE_S)
        assert process.stdout is not None
        process.stdout.close()


def timed_bench(
    model: Path, execution: ExecutionConfig, *, sizes: Sequence[int], machine: Machine, core: int
) -> BenchRun:
    """What a benchmark would have measured of such inferences on this core: a few visits, each a process of its own.

    A timer loses nothing to neighbours but the moment at which it is noticed, and that is in the times.
    """
    rounds = []
    for i_round in range(_N_VISITS):
        for size, times_s in zip(sizes, _visit(model, sizes, core), strict=True):
            rounds.append(
                CellRound(
                    cell=BenchCell(execution=execution, batch_size=size),
                    i_round=i_round,
                    service_times_s=np.array(times_s),
                    lost_ratio=0.0,
                    dropped_ratio=0.0,
                )
            )
    cells = tuple(summarise_cell(visits) for visits in by_cell(rounds).values())
    return BenchRun(machine=machine, rounds=tuple(rounds), cells=cells, caveats=())


def _visit(model: Path, sizes: Sequence[int], core: int) -> list[list[float]]:
    asked = {"model": str(model), "core": core, "sizes": list(sizes)}
    done = subprocess.run(
        [*_program("time"), json.dumps(asked)], cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True
    )
    times_s: list[list[float]] = json.loads(done.stdout)
    return times_s


def _program(mode: str) -> list[str]:
    return [sys.executable, "-m", "tests.accuracy.timed", mode]


# In the processes


def _serve(asked: dict[str, Any]) -> None:
    config = ServeConfig(
        model=Path(asked["model"]),
        name=asked["name"],
        execution=ExecutionConfig(variant=Path(asked["model"]).stem),
        serving=ServingConfig(**asked["serving"]),
        cores=(asked["core"],),
    )
    serve(config, on_ready=_tell, infer_with=by_timer)


def _tell(ready: ServerReady) -> None:
    sys.stdout.write(json.dumps({"url": ready.url}) + "\n")
    sys.stdout.flush()


def _time(asked: dict[str, Any]) -> None:
    os.sched_setaffinity(0, {asked["core"]})
    session = open_session(Path(asked["model"]), ExecutionConfig(variant=Path(asked["model"]).stem))
    infer, text = by_timer(session), example_text(session)
    times_s = []
    for size in asked["sizes"]:
        rows = blank_rows(session.inputs, size, text=text)
        infer(rows)
        times_s.append([_took_s(infer, rows) for _ in range(_N_CALLS)])
    sys.stdout.write(json.dumps(times_s))


def _took_s(infer: Infer, rows: Tensors) -> float:
    began_s = time.perf_counter()
    infer(rows)
    return time.perf_counter() - began_s


_MODES: dict[str, Callable[[dict[str, Any]], None]] = {"serve": _serve, "time": _time}

if __name__ == "__main__":
    die_with_parent()
    _MODES[sys.argv[1]](json.loads(sys.argv[2]))
