"""The timing process as its parent sees it: started when first needed, after a crash or a hang, and for every round.

Where the system and its allocator put a session's weights, a process's stack and the library's code is drawn once a
process and session, and it moves the time of a call of 20 µs by some 2 %, which no number of calls in one process would
show. So no process visits a cell twice: each visit draws anew, and the interval over the visits holds what a server,
whose process and session live long, may find (many worker processes, as in pyperf: Stinner, "My journey to stable
benchmark, part 3", 2016; Kalibera & Jones, Rigorous Benchmarking in Reasonable Time, ISMM 2013, for levels of
repetition). It costs a start, some 0.3 s, a round.

It runs wherever the system puts it, on every core that this process may use: one thread stays where it is on a quiet
machine, several must not share a core, and a pinned one could not step aside for a neighbour.
"""

import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from loadplan.bench.handoff import BenchJob, Visit
from loadplan.bench.records import BenchCell
from loadplan.scenario.payload_file import save_payloads
from loadplan.scenario.payloads import PayloadSet
from loadplan.store import codec


class WorkerProcess:
    """Visits cells in a child process; use it in a `with` block, whose end stops the child."""

    def __init__(
        self,
        models: Mapping[str, Path],
        *,
        payloads: PayloadSet,
        cells: tuple[BenchCell, ...],
        visit_limit_s: float,
        folder: Path,
    ) -> None:
        save_payloads(folder / "payloads.npz", payloads)
        self._cells = {cell: i for i, cell in enumerate(cells)}
        self._job = codec.dumps(
            BenchJob(
                models={variant: str(path) for variant, path in models.items()},
                payloads=str(folder / "payloads.npz"),
                cells=cells,
            )
        )
        self._visit_limit_s = visit_limit_s
        self._log = folder / "worker.log"
        self._process: subprocess.Popen[str] | None = None
        self._visited: set[BenchCell] = set()  # by this process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def visit(self, cell: BenchCell, i_round: int) -> Visit:
        """Have one cell timed, by a process that has not timed it before; a crash and a hang are answers too."""
        if cell in self._visited:
            self._stop()
        process = self._running()
        self._visited.add(cell)
        assert process.stdin is not None  # noqa: S101 -- both pipes were asked for
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(f"{self._cells[cell]} {i_round}\n")
            process.stdin.flush()
        except BrokenPipeError:
            return self._ended(process)
        readable, _, _ = select.select([process.stdout], [], [], self._visit_limit_s)
        if not readable:
            self._stop()
            return Visit(failure=f"no answer within {self._visit_limit_s:g} s", process_ended=True)
        line = process.stdout.readline()
        return codec.loads(line, Visit, where="the benchmark worker") if line.endswith("\n") else self._ended(process)

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None:
            with self._log.open("w") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "loadplan.bench.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,  # Ctrl-C reaches the runner alone, which then ends the worker
                )
            assert self._process.stdin is not None  # noqa: S101
            self._process.stdin.write(self._job + "\n")
        return self._process

    def _ended(self, process: "subprocess.Popen[str]") -> Visit:
        code = process.wait()
        self._stop()
        how = f"crashed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        said = self._log.read_text(errors="replace").strip().splitlines()
        return Visit(failure=f"the worker {how}{f': {said[-1][:200]}' if said else ''}", process_ended=True)

    def _stop(self) -> None:
        if self._process is None:
            return
        self._visited.clear()
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except BrokenPipeError:  # what was still to be written is for nobody
                pass
        self._process = None
