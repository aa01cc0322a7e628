"""Lines of JSON on standard error: what became of the server, and of requests where asked for.

A line costs as much as a small inference, so requests are logged one in so many, and by default none. No line holds
values, headers or addresses; the `id` is the client's own, cut to a length. A server whose log can't be written serves
on: nobody who reads the log must be able to stop it.
"""

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import orjson

_ID_MOST: Final = 200  # characters


class EventLog:
    """Writes one event a line, each written whole."""

    def __init__(self, common: Mapping[str, object]) -> None:
        self._descriptor = sys.stderr.fileno()
        self._common = common  # fields of every line

    def write(self, event: str, **fields: object) -> None:
        """One line."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "event": event, **self._common, **fields}
        with contextlib.suppress(OSError):
            os.write(self._descriptor, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


class RequestLog:
    """Logs the end of every n-th request, and of each that the model failed on, of these one a second at most."""

    def __init__(self, events: EventLog, *, every_nth: int) -> None:
        self._events = events
        self._every_nth = every_nth  # 0: none but failures
        self._n_ended = 0
        self._next_failure_s = 0.0
        self._n_held_back = 0

    def ended(self, identity: str | None, outcome: str, *, n_rows: int, since_s: float) -> None:
        """A request that was received at `since_s`, on the monotonic clock, has ended."""
        self._n_ended += 1
        now_s = time.monotonic()
        is_sampled = self._every_nth > 0 and self._n_ended % self._every_nth == 0
        if outcome == "failed" and not is_sampled:
            if now_s < self._next_failure_s:
                self._n_held_back += 1
                return
            self._next_failure_s = now_s + 1.0
        elif not is_sampled:
            return
        fields: dict[str, object] = {} if identity is None else {"id": identity[:_ID_MOST]}
        if self._n_held_back:
            fields["n_failures_held_back"] = self._n_held_back
            self._n_held_back = 0
        self._events.write("request", outcome=outcome, n_rows=n_rows, seconds=round(now_s - since_s, 6), **fields)
