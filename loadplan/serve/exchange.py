"""One inference request from its entry into the queue to its end, whichever wire it came by.

It ends once: with an answer, with a refusal, or forgotten because nobody waits for it. Times are seconds on the
monotonic clock.
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Protocol

from loadplan.inference import Tensors
from loadplan.serve.metrics import Counters
from loadplan.serve.request_log import RequestLog
from loadplan.serve.signature import InferRequest

_TIMER_STEP_S = 1e-3  # of the loop's timers


class Caller(Protocol):
    """Who asked, on their own wire. One of the last three methods is called, once."""

    def is_gone(self) -> bool:
        """Whether nobody waits for the answer any more."""

    def forget(self) -> None:
        """Nobody waits: nothing is sent."""

    def answer(self, request: InferRequest, outputs: Tensors) -> None:
        """Send the answer. Raises TypeError or KeyError, with nothing sent, when the wire can't hold the outputs."""

    def refuse(self, outcome: str, message: str) -> None:
        """Send an error; `outcome` is one of `metrics.OUTCOMES`."""


class Exchange:
    """A checked request that waits for its batch; see `batcher.Waiting`."""

    __slots__ = (
        "_caller",
        "_counters",
        "_expires_s",
        "_is_over",
        "_log",
        "_received_s",
        "_request",
        "_timer",
        "inputs",
        "is_dead",
        "n_rows",
    )

    def __init__(self, request: InferRequest, caller: Caller, *, counters: Counters, log: RequestLog | None) -> None:
        self.inputs = request.inputs
        self.n_rows = request.n_rows
        self.is_dead = caller.is_gone
        self._expires_s = math.inf
        self._request = request
        self._caller = caller
        self._counters = counters
        self._log = log
        self._is_over = False
        self._timer: asyncio.TimerHandle | None = None
        self._received_s = 0.0 if log is None else time.monotonic()

    def expire_in(self, seconds: float, loop: asyncio.AbstractEventLoop, on_expired: Callable[[], None]) -> None:
        """Refuse it when it has not begun to run after this time, and call `on_expired`.

        The loop's timer tells the client in time while others run or a window is open; it is a millisecond coarse
        either way, so the clock has the last word, here and before the request is computed.
        """
        self._expires_s = time.monotonic() + seconds
        self.is_dead = self._is_dead
        self._timer = loop.call_later(seconds, self._expire, loop, on_expired)

    def begin(self) -> None:
        """Its batch runs now: it is too late to expire."""
        if self._timer is not None:
            self._timer.cancel()

    def drop(self) -> None:
        """The client left, or its time was up, before its turn came."""
        if self._is_over:
            return
        if self._caller.is_gone():
            self._caller.forget()
            self._finish("disconnected")
        else:
            self._caller.refuse("expired", "the request's timeout had passed before its inference could begin")
            self._finish("expired")

    def _expire(self, loop: asyncio.AbstractEventLoop, on_expired: Callable[[], None]) -> None:
        early_s = self._expires_s - time.monotonic()
        if early_s > 0.0:
            self._timer = loop.call_later(early_s + _TIMER_STEP_S, self._expire, loop, on_expired)
            return
        self.drop()
        on_expired()

    def answer(self, outputs: Tensors) -> None:
        """Encode and send this request's rows."""
        try:
            self._caller.answer(self._request, outputs)
        except (TypeError, KeyError, AttributeError) as error:  # must not cost the others of its batch their answers
            self.fail(error)
            return
        self._finish("ok")

    def fail(self, error: Exception) -> None:
        """Tell the client that the model failed on its request."""
        reason = (str(error).splitlines() or [type(error).__name__])[0][:500]
        self._caller.refuse("failed", f"the model failed on this request: {reason}")
        self._finish("failed")

    def _is_dead(self) -> bool:
        return self._is_over or self._caller.is_gone() or self._expires_s <= time.monotonic()

    def _finish(self, outcome: str) -> None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        self._counters.n_by_outcome[outcome] += 1
        if self._log is not None:
            self._log.ended(self._request.id, outcome, n_rows=self.n_rows, since_s=self._received_s)
