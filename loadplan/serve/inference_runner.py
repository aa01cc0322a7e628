"""Where an inference runs: in the event loop itself, or in a thread while the loop reads on.

Handing a batch to a thread and back costs 42 to 55 microseconds, as much as all the HTTP work of a small request, and
on one core nothing is gained meanwhile; so inline is the default, and the only one that the simulator knows and that
plans are made for. But while a long inference runs inline nobody is accepted, read, refused or told whether the server
is ready. `auto` takes the thread where a full batch takes `WORTH_A_THREAD_S` or more when it is measured at the start:
there the hand-over is below 1 % of it. Times are seconds on the monotonic clock.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Final, Literal, Protocol

from loadplan.inference import Tensors

WORTH_A_THREAD_S: Final = 5e-3

InferencePlace = Literal["inline", "thread"]
Infer = Callable[[Tensors], Tensors]
# Takes the inputs together as late as may be: joining is work too, and belongs where the inference runs.
Gather = Callable[[], Tensors]
# What came of it: outputs and the seconds that they took, or an error.
OnEnd = Callable[[Tensors | Exception, float], None]


class Runner(Protocol):
    """Runs one inference at a time."""

    @property
    def running_since_s(self) -> float | None:
        """When the inference that runs now began; None when none runs, or none that the loop could see."""

    def start(self, gather: Gather, on_end: OnEnd) -> None:
        """Run one; `on_end` is called in the event loop, perhaps before this returns."""


class InlineRunner:
    """In the event loop: nothing else happens until it returns."""

    running_since_s: float | None = None

    def __init__(self, infer: Infer) -> None:
        self._infer = infer

    def start(self, gather: Gather, on_end: OnEnd) -> None:
        """Run it, and say how it ended."""
        on_end(*_attempt(self._infer, gather))


class ThreadRunner:
    """In one thread of its own, which a hanging inference can't keep the process from ending."""

    def __init__(self, infer: Infer, loop: asyncio.AbstractEventLoop) -> None:
        self.running_since_s: float | None = None
        self._infer = infer
        self._loop = loop
        self._asked: queue.SimpleQueue[tuple[Gather, OnEnd]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="inference", daemon=True).start()

    def start(self, gather: Gather, on_end: OnEnd) -> None:
        """Hand it over."""
        self.running_since_s = time.monotonic()
        self._asked.put((gather, on_end))

    def _work(self) -> None:
        while True:
            gather, on_end = self._asked.get()
            outputs, seconds = _attempt(self._infer, gather)
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile, and nobody waits
                self._loop.call_soon_threadsafe(self._ended, on_end, outputs, seconds)

    def _ended(self, on_end: OnEnd, outputs: Tensors | Exception, seconds: float) -> None:
        self.running_since_s = None
        on_end(outputs, seconds)


def choose_place(asked: Literal["inline", "thread", "auto"], full_batch_s: float) -> InferencePlace:
    """Where to run a model whose full batch takes so long."""
    if asked == "auto":
        return "thread" if full_batch_s >= WORTH_A_THREAD_S else "inline"
    return asked


def _attempt(infer: Infer, gather: Gather) -> tuple[Tensors | Exception, float]:
    try:
        inputs = gather()
        started_s = time.perf_counter()
        outputs = infer(inputs)
        return outputs, time.perf_counter() - started_s
    except Exception as error:  # whatever the runtime raises is the answer to these requests
        return error, 0.0
