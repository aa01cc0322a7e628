"""The queue, and the rule of one turn. The simulator of the fit follows this rule step by step; change both or none.

The rule is that of inference inline, in the event loop, which is the default and what every planned setting runs (see
`inference_runner`), for requests over HTTP. One turn of the loop is:

1. Poll the sockets; read, parse, check and enqueue *every* request that is there, in the order in which the kernel
   reports them: that of arrival, but for some that arrived in the same turn. A request that would make the queue longer
   than `max_queue_rows` is refused at once; an empty queue takes a request of any size.
2. Form *one* batch: whole requests in order of arrival, until the next one would make it larger than `max_batch_size`
   rows. A single request of more rows than that runs alone, in one inference of its own size. With a batch window,
   and fewer than `max_batch_size` rows waiting, there is no batch until the oldest request is `batch_window_s` old.
   Where requests differ in length and may not share a batch (`joining`), one of another length ends it as well; the
   simulator doesn't know that, and the export warns of it. Requests whose client has left or whose timeout has passed
   are taken out here, before they are computed.
3. Run the inference. The loop does nothing else until it returns.
4. Encode and send the answers, in order, each as soon as it is encoded. Then the next turn: poll the sockets again
   before the next batch, also when requests are still waiting.

How that order comes about: uvloop reads all ready sockets, and only then runs what they scheduled, first in, first
out. A request is enqueued by a task that was scheduled when it was read; after each read `end_of_reading` is
scheduled behind it. The last of these therefore runs when every request of this poll is enqueued, and starts step 2.

What does not follow it, and is simulated nowhere: a request over gRPC is read by gRPC's own thread and takes several
steps of the loop to be enqueued, so one that has come while others are enqueued may miss their batch; and its answer is
sent by that thread, after the answers of the turn. With inference in a thread turns go on while one runs, each
enqueueing and refusing, and the next batch is formed when it has ended: of all that is there then. `fit.simulate_fleet`
follows that rule, with the timeouts, for inference on a core of its own; on one core that both share nothing does.

Times are seconds on the monotonic clock.
"""

import asyncio
import time
from collections import deque
from functools import partial
from typing import Any, Protocol

import numpy as np

from loadplan.execution import ServingConfig
from loadplan.inference import Tensors
from loadplan.serve.inference_runner import Runner
from loadplan.serve.joining import Joining, ShapeKey
from loadplan.serve.metrics import Counters
from loadplan.serve.window_timer import WindowTimer


class Waiting(Protocol):
    """A request in the queue, as the batcher sees it."""

    @property
    def inputs(self) -> Tensors:
        """Checked tensors, rows first."""

    @property
    def n_rows(self) -> int:
        """Rows in each of the tensors."""

    def is_dead(self) -> bool:
        """Whether it need not be computed any more: nobody waits for the answer, or its time is up."""

    def drop(self) -> None:
        """Called instead of an answer when it is dead."""

    def begin(self) -> None:
        """Its batch is about to run."""

    def answer(self, outputs: Tensors) -> None:
        """Send the answer; `outputs` are this request's own rows."""

    def fail(self, error: Exception) -> None:
        """Send an error: the model could not run this request, alone."""


class Batcher:
    """A bounded queue of rows in front of one inference session. Belongs to one event loop."""

    def __init__(self, runner: Runner, serving: ServingConfig, *, counters: Counters, joining: Joining) -> None:
        self._runner = runner
        self._max_batch_size = serving.max_batch_size
        self._window_s = serving.batch_window_s
        self._max_queue_rows = serving.max_queue_rows
        self._counters = counters
        self._joining = joining
        self._queue: deque[tuple[Waiting, float]] = deque()  # with the time of arrival
        self._failed: deque[Waiting] = deque()  # of a batch that failed: each is to run by itself
        self._is_running = False
        self._loop = asyncio.get_running_loop()
        self._n_turns_due = 0
        self._timer = WindowTimer(self._loop, self.request_turn) if self._window_s > 0.0 else None

    @property
    def is_full(self) -> bool:
        """Whether not even one more row may wait."""
        return self._counters.queued_rows >= self._max_queue_rows

    def has_room(self, n_rows: int) -> bool:
        """Whether a request of this many rows may wait; an empty queue takes one of any size."""
        waiting = self._counters.queued_rows
        return waiting == 0 or waiting + n_rows <= self._max_queue_rows

    def enqueue(self, waiting: Waiting) -> None:
        """Put a request into the queue; `drop`, `answer` or `fail` will be called on it."""
        self._counters.queued_rows += waiting.n_rows
        self._queue.append((waiting, time.monotonic()))
        if self._n_turns_due == 0:
            self.request_turn()

    def request_turn(self) -> None:
        """Start a turn's batch once all that is scheduled now has run. Call after scheduling requests."""
        self._n_turns_due += 1
        self._loop.call_soon(self._end_of_reading)

    def _end_of_reading(self) -> None:
        self._n_turns_due -= 1
        if self._n_turns_due == 0 and not self._is_running and (self._queue or self._failed):
            self._take_turn()

    def _take_turn(self) -> None:
        if self._failed:
            self._run([self._failed.popleft()])
            return
        self._take_out_the_dead()
        if self._timer is not None and self._queue and self._counters.queued_rows < self._max_batch_size:
            due_s = self._queue[0][1] + self._window_s
            if time.monotonic() < due_s:
                self._timer.wake_at(due_s)
                return
        batch = self._next_batch()
        if batch:
            self._run(batch)

    def _next_batch(self) -> list[Waiting]:
        batch: list[Waiting] = []
        n_rows = 0
        key: ShapeKey | None = None
        while self._queue:
            waiting = self._queue[0][0]
            if batch and (n_rows + waiting.n_rows > self._max_batch_size or key != self._joining.key(waiting.inputs)):
                break
            if not batch:
                key = self._joining.key(waiting.inputs)
            batch.append(self._dequeue())
            n_rows += waiting.n_rows
            self._take_out_the_dead()
        return batch

    def _take_out_the_dead(self) -> None:
        """Those at the head of the queue whose client has left or whose timeout has passed."""
        while self._queue and self._queue[0][0].is_dead():
            self._dequeue().drop()

    def _dequeue(self) -> Waiting:
        waiting, _ = self._queue.popleft()
        self._counters.queued_rows -= waiting.n_rows
        return waiting

    def _run(self, batch: list[Waiting]) -> None:
        for waiting in batch:
            waiting.begin()
        self._is_running = True
        self._runner.start(partial(self._gather, batch), partial(self._ended, batch))

    def _gather(self, batch: list[Waiting]) -> Tensors:
        return batch[0].inputs if len(batch) == 1 else self._joining.join([waiting.inputs for waiting in batch])

    def _ended(self, batch: list[Waiting], outputs: Tensors | Exception, seconds: float) -> None:
        self._is_running = False
        n_rows = sum(waiting.n_rows for waiting in batch)
        if isinstance(outputs, Exception):
            self._fail(batch, outputs)
        elif len(batch) > 1 and not _has_rows(outputs, n_rows):
            self._fail(batch, ValueError("the model did not answer with one row for each row of the batch"))
        else:
            self._counters.inference_s += seconds
            self._counters.batch_rows[n_rows] += 1
            _divide(batch, outputs)
        if self._queue or self._failed:
            self.request_turn()

    def _fail(self, batch: list[Waiting], error: Exception) -> None:
        """After a failed batch each request runs by itself, so that only the bad one fails."""
        if len(batch) == 1:
            batch[0].fail(error)
        else:
            self._failed.extend(batch)


def _divide(batch: list[Waiting], outputs: Tensors) -> None:
    if len(batch) == 1:
        batch[0].answer(outputs)
        return
    first = 0
    for waiting in batch:
        last = first + waiting.n_rows
        waiting.answer({name: output[first:last] for name, output in outputs.items()})
        first = last


def _has_rows(outputs: Tensors, n_rows: int) -> bool:
    """Only outputs with one row per input row can be divided among the requests of a batch."""
    return all(_n_rows(output) == n_rows for output in outputs.values())


def _n_rows(output: np.ndarray[Any, Any]) -> int:
    return len(output) if output.ndim else 0
