"""Is the answer right? Every answer of a run is looked at, most of them only by a hash while the clock runs.

Servers answer the same payload with the same few bytes, so distinct answers are numbered while the run lasts and
judged once, after it. Where answers never repeat (a server that adds an id of its own), the memory for them runs out
and further ones are judged at once: slower, but none goes unseen.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

# Whether this is the right answer to the payload: its number, the body, and the length of the JSON that begins the
# body where binary tensors follow it (-1: the server said none).
Judge = Callable[[int, bytes, int], bool]

NOT_KEPT = -1  # the number of a request that has no answer to judge
_JUDGED_WRONG, _JUDGED_RIGHT = 0, 1

_MAX_KEPT_BYTES = 64 << 20  # 150,000 answers of a small classifier


class AnswerBook:
    """Numbers the distinct answers to each payload and judges them in the end."""

    __slots__ = ("_judge", "_kept", "_n_bytes_left")

    def __init__(self, judge: Judge, *, max_kept_bytes: int = _MAX_KEPT_BYTES) -> None:
        self._judge = judge
        self._kept: dict[tuple[int, bytes, int], int] = {}
        self._n_bytes_left = max_kept_bytes

    def number(self, payload: int, body: bytes, n_json_bytes: int) -> int:
        """The number of this answer to this payload; the same bytes get the same number."""
        key = (payload, body, n_json_bytes)
        known = self._kept.get(key)
        return self._new(key) if known is None else known

    def right_by_number(self) -> NDArray[np.bool_]:
        """Whether the answer with each number was right."""
        return np.array([False, True, *(self._judge(*key) for key in self._kept)])

    def _new(self, key: tuple[int, bytes, int]) -> int:
        self._n_bytes_left -= len(key[1]) + 160  # the entry's own size: tuple, bytes header, dictionary slot
        if self._n_bytes_left < 0:
            return _JUDGED_RIGHT if self._judge(*key) else _JUDGED_WRONG
        number = len(self._kept) + 2
        self._kept[key] = number
        return number
