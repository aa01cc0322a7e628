"""The closed loop: callers of whom each waits for its answer, and thinks, before it asks again.

For comparison only. When the server stalls such callers stop asking, so the requests that would have met the stall are
never sent, and the latencies are kinder than those of any traffic that doesn't wait. The machinery is the open loop's;
only what falls due next is decided here, when an answer or its timeout comes.
"""

from dataclasses import replace

import numpy as np

from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.generator.open_loop import UNDECIDED, OpenLoop
from loadplan.load.messages.answers import NOT_KEPT
from loadplan.load.records import Outcome


class ClosedLoop(OpenLoop):
    """One run of callers; the order's due times are their first requests, and the payloads it holds go round."""

    def _decide(self, i: int, outcome: Outcome) -> None:
        super()._decide(i, outcome)
        again = self._order.again
        if again is None:
            raise ValueError("the order says nothing of callers who ask again")
        # The clock does not go back and all think for as long, so requests fall due in order as in a schedule.
        due = self._clock() + again.think_time_s
        if due < self._start + again.until_s:
            self._ask_at(due)

    def _ask_at(self, due: float) -> None:
        self._due.append(due)
        self._payload.append(int(self._order.payload[self._n % self._order.payload.size]))
        for times in (self._sent, self._first_byte, self._done):
            times.append(np.nan)
        self._outcome.append(UNDECIDED)
        self._status.append(0)
        self._answer.append(NOT_KEPT)
        self._n += 1
        self._n_open += 1

    def _result(self) -> LoopResult:
        self._order = replace(
            self._order,
            due_s=np.array(self._due) - self._start,
            payload=np.array(self._payload, dtype=np.int32),
        )
        return super()._result()
