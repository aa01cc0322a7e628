"""Is the answer right? Every answer of a run is looked at, most of them only by a hash while the clock runs.

Servers answer the same payload with the same few bytes, so distinct answers are numbered while the run lasts and
judged once, after it. Where answers never repeat (a server that adds an id of its own), the memory for them runs out
and further ones are judged at once: slower, but none goes unseen.
"""

from collections.abc import Callable

import numpy as np
import orjson
from numpy.typing import NDArray

from loadplan.load.requests import ExpectedAnswers

Judge = Callable[[int, bytes], bool]

NOT_KEPT = -1  # the number of a request that has no answer to judge
_JUDGED_WRONG, _JUDGED_RIGHT = 0, 1

_MAX_KEPT_BYTES = 64 << 20  # 150,000 answers of a small classifier


class AnswerBook:
    """Numbers the distinct answers to each payload and judges them in the end."""

    __slots__ = ("_judge", "_kept", "_n_bytes_left")

    def __init__(self, judge: Judge, *, max_kept_bytes: int = _MAX_KEPT_BYTES) -> None:
        self._judge = judge
        self._kept: dict[tuple[int, bytes], int] = {}
        self._n_bytes_left = max_kept_bytes

    def number(self, payload: int, body: bytes) -> int:
        """The number of this answer to this payload; the same bytes get the same number."""
        known = self._kept.get((payload, body))
        return self._new(payload, body) if known is None else known

    def right_by_number(self) -> NDArray[np.bool_]:
        """Whether the answer with each number was right."""
        return np.array([False, True, *(self._judge(payload, body) for payload, body in self._kept)])

    def _new(self, payload: int, body: bytes) -> int:
        self._n_bytes_left -= len(body) + 150  # the entry's own size: tuple, bytes header, dictionary slot
        if self._n_bytes_left < 0:
            return _JUDGED_RIGHT if self._judge(payload, body) else _JUDGED_WRONG
        number = len(self._kept) + 2
        self._kept[payload, body] = number
        return number


def v2_judge(expected: ExpectedAnswers) -> Judge:
    """How answers of the Open Inference Protocol v2 are judged.

    An answer is right when it has every expected output in the expected shape, floats lie within
    abs + rel · |expected|, and whole numbers and text are the same.
    """

    def is_right(payload: int, body: bytes) -> bool:
        outputs = _v2_outputs(body)
        return outputs is not None and all(
            _matches(outputs.get(name), values[payload], expected) for name, values in expected.outputs.items()
        )

    return is_right


def _v2_outputs(body: bytes) -> dict[str, dict[str, object]] | None:
    try:
        return {output["name"]: output for output in orjson.loads(body)["outputs"]}
    except (orjson.JSONDecodeError, KeyError, TypeError):  # not JSON, no outputs, or not what the protocol says
        return None


def _matches(output: dict[str, object] | None, right: NDArray[np.generic], expected: ExpectedAnswers) -> bool:
    if output is None or output.get("shape") != list(right.shape):
        return False
    try:
        values = np.asarray(output.get("data")).ravel()
        if right.dtype.kind == "f":
            limit = expected.abs_tolerance + expected.rel_tolerance * np.abs(right.ravel().astype(np.float64))
            error = np.abs(values.astype(np.float64) - right.ravel().astype(np.float64))
            return bool((error <= limit).all())  # NaN is never within a limit
    except (TypeError, ValueError):  # ragged lists, nulls, too few or too many values, or words
        return False
    return values.tolist() == right.ravel().tolist()
