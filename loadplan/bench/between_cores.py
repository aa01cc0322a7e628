"""How far apart the cores are, by a ball between two of them: whether the system moved them.

The cores of a virtual machine lie wherever its host puts them: now beside each other on one cache, now on two parts of
the chip. A session of one thread doesn't notice. Two threads hand each other every layer: a call of 31 µs took 42 µs
for as long as the host kept the cores apart, some 5 to 30 s, and nothing inside the machine tells, neither stolen time
nor context switches. What tells is a line of memory that goes to another core and back, 0.1 µs on one cache and 0.4 µs
across two; on hardware of one's own that never changes.

Both players are Python, so the time is told in turns that one of them takes alone, whatever the clock's frequency: some
2.3 on one cache, some 4 across two. Run as a module it is the other player, who steps on the core that its standard
input names, and ends with it.
"""

import mmap
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

_N_STRETCHES, _N_EXCHANGES = 21, 20
# Of the stretches the lower quartile counts: in others a neighbour or an interrupt held the ball.
_QUARTILE = _N_STRETCHES // 4
# Looks for the ball before a player gives up: some 20 ms, for the other may have lost its core.
_LOOKS_MOST = 400_000
_OTHERS_MOST = 7


class BetweenCores:
    """The two players; use it in a `with` block. With fewer than two cores there is nobody to play with."""

    def __init__(self, cores: Sequence[int]) -> None:
        self._cores = tuple(cores[: 1 + _OTHERS_MOST])
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if len(self._cores) > 1:
            memory = os.memfd_create("loadplan-ball")
            os.ftruncate(memory, mmap.PAGESIZE)
            self._ball = memoryview(mmap.mmap(memory, mmap.PAGESIZE)).cast("q")
            self._process = subprocess.Popen(
                [sys.executable, "-m", "loadplan.bench.between_cores", str(memory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[memory],
            )
            os.close(memory)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def apart_ratio(self) -> float | None:
        """From the first core to the farthest of up to seven others and back, in turns alone; None: nobody answers."""
        if self._process is None:
            return None
        allowed = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {self._cores[0]})
            trips = [trip for core in self._cores[1:] if (trip := self._play(core)) is not None]
        except OSError:  # the cores were taken away, or the other player has ended
            return None
        finally:
            os.sched_setaffinity(0, allowed)
        return max(trips, default=None)

    def _play(self, core: int) -> float | None:
        assert self._process is not None  # noqa: S101 -- both pipes were asked for
        assert self._process.stdin is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        self._ball[0] = 0
        self._process.stdin.write(f"{core}\n".encode())
        self._process.stdin.flush()
        self._process.stdout.readline()  # the other stands on its core
        together_s = _serve(self._ball, answer=1)
        self._process.stdout.readline()
        if together_s is None:
            return None
        alone_s = _serve(self._ball, answer=0)  # throws it up and catches it
        return None if alone_s is None else together_s / alone_s


def main() -> None:
    """Answer every ball until standard input ends."""
    ball = memoryview(mmap.mmap(int(sys.argv[1]), mmap.PAGESIZE)).cast("q")
    for core in iter(sys.stdin.readline, ""):
        os.sched_setaffinity(0, {int(core)})
        _say("ready")
        _answer(ball)
        _say("done")


def _serve(ball: memoryview, *, answer: int) -> float | None:
    """Seconds of an exchange, by the lower quartile of the stretches; None: an answer never came."""
    clock_ns = time.perf_counter_ns
    stretches_ns = []
    k = 1
    for _ in range(_N_STRETCHES):
        begin_ns = clock_ns()
        for _ in range(_N_EXCHANGES):
            ball[0] = k
            looks = 0
            while ball[0] != k + answer:
                looks += 1
                if looks > _LOOKS_MOST:
                    return None
            k += 2
        stretches_ns.append(clock_ns() - begin_ns)
    return sorted(stretches_ns)[_QUARTILE] / _N_EXCHANGES * 1e-9


def _answer(ball: memoryview) -> None:
    k = 1
    for _ in range(_N_STRETCHES * _N_EXCHANGES):
        looks = 0
        while ball[0] != k:
            looks += 1
            if looks > _LOOKS_MOST:
                return
        ball[0] = k + 1
        k += 2


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
