"""Readiness is shown by a real inference: servers that only report their own opinion say "ready" while dead.

Where inference runs in the event loop, the probe gets no answer at all while one hangs, which every prober takes for
"not ready". Where it runs in a thread, the loop sees how long the present one has been running. Of several processes
behind one port a probe meets one, and speaks for that. Times are seconds on the monotonic clock.
"""

import time
from collections.abc import Callable, Mapping

import numpy as np

from loadplan.execution import TensorSpec
from loadplan.inference import Tensors
from loadplan.serve.inference_runner import Infer

# Probes more frequent than this share an answer, or watching a server would load it.
_FRESH_S = 0.5
# An inference that runs for longer than this, and than so many times a full batch took at the start, hangs.
_HANGS_AFTER_S = 1.0
_HANGS_AFTER_BATCHES = 10.0


class Readiness:
    """Runs one row through the session that serves, at most every half second."""

    def __init__(
        self,
        infer: Infer,
        row: Tensors,
        *,
        full_batch_s: float = 0.0,
        running_since_s: Callable[[], float | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._infer = infer
        self._row = row
        self._running_since_s = running_since_s
        self._hangs_after_s = max(_HANGS_AFTER_S, _HANGS_AFTER_BATCHES * full_batch_s)
        self._clock = clock
        self._checked_s = -_FRESH_S
        self._is_ready = False
        self.is_stopping = False  # set when the server has been asked to stop

    def is_ready(self) -> bool:
        """Whether the model answers now."""
        now_s = self._clock()
        since_s = self._running_since_s()
        if since_s is not None and now_s - since_s > self._hangs_after_s:
            return False  # one more inference might hang as well
        if now_s - self._checked_s >= _FRESH_S:
            self._is_ready = self._try()
            self._checked_s = self._clock()
        return self._is_ready and not self.is_stopping

    def _try(self) -> bool:
        try:
            self._infer(self._row)
        except Exception:  # whatever the runtime raises: the model does not answer
            return False
        return True


def blank_rows(inputs: tuple[TensorSpec, ...], n_rows: int, *, text: Mapping[str, str]) -> Tensors:
    """Zeros of the model's own shapes, for warming up and probing; axes of any length get length 1.

    Text inputs get the `text` that the model knows under their name, for it may refuse unknown words; else none.
    """
    return {
        spec.name: np.full(
            (n_rows, *(1 if axis is None else axis for axis in spec.shape[1:])),
            text.get(spec.name, "") if spec.dtype == "object" else 0,
            dtype=spec.dtype,
        )
        for spec in inputs
    }
