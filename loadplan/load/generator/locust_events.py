"""Tells Locust of requests that have ended, so that its statistics and its web page show the run.

An event costs Locust about 20 µs, so the loop tells of a few at each of its pauses, and of the rest after the last
answer: above some hundred requests a second Locust's figures lag behind, and catch up in the end. They are Locust's
own, rounded to two digits, and a wrong answer of status 200 counts as right in them; loadplan reads none of them.
"""

import time
from collections.abc import Callable

from loadplan.load.generator.loop_order import LoopOrder
from loadplan.load.generator.open_loop import OpenLoop
from loadplan.load.records import Outcome

_AT_A_PAUSE = 10
_AT_THE_END = 500
_LIMIT_AT_THE_END_S = 5.0  # some hundred thousand requests


class UnansweredRequest(Exception):
    """A request that did not get its right answer; the text is what became of it."""


class LocustEvents:
    """Fires one `request` event for each request, in the order of due times."""

    def __init__(self, order: LoopOrder, fire: Callable[..., object]) -> None:
        self._fire = fire
        self._timeout_s = order.timeout_s
        self._next = 0
        self._method, self._path = _named(order)

    def tell_some(self, loop: OpenLoop, *, at_most: int = _AT_A_PAUSE) -> int:
        """Tell of the next requests that have ended, up to the first that has not; how many."""
        n_told = 0
        while n_told < at_most and self._next < loop.n_requests:
            ended = loop.ended(self._next)
            if ended is None:
                break
            self._tell(*ended)
            self._next += 1
            n_told += 1
        return n_told

    def tell_rest(self, loop: OpenLoop, pause: Callable[[], object]) -> None:
        """Tell of all others, as far as a few seconds go; the run is over."""
        give_up_s = time.monotonic() + _LIMIT_AT_THE_END_S
        while self.tell_some(loop, at_most=_AT_THE_END) and time.monotonic() < give_up_s:
            pause()

    def _tell(self, outcome: Outcome, response_time_s: float | None) -> None:
        self._fire(
            request_type=self._method,
            name=self._path,
            response_time=1e3 * (self._timeout_s if response_time_s is None else response_time_s),
            response_length=0,  # nobody counts the bytes
            exception=None if outcome is Outcome.OK else UnansweredRequest(outcome.name.lower().replace("_", " ")),
            context={},
        )


def _named(order: LoopOrder) -> tuple[str, str]:
    """Method and path, as Locust groups its figures; the query is left out, for it may hold a key."""
    if order.wire != "http/1.1" or not order.messages:
        return order.wire, "request"
    method, path, _ = order.messages[0].split(b" ", 2)
    return method.decode("ascii", "replace"), path.decode("ascii", "replace").partition("?")[0]
