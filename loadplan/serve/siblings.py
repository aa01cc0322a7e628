"""What the processes of one server tell each other: their counters, in a folder that they share.

Each writes its own file ten times a second, which costs a thousandth of a core; so a scrape that one of them answers
holds the others' figures of a tenth of a second ago, and nobody is asked while an inference keeps him busy.
"""

import os
from collections import Counter
from pathlib import Path

import orjson

from loadplan.serve.metrics import Counters


class Siblings:
    """The counters of all processes of one server, seen from one of them."""

    def __init__(self, folder: Path, counters: Counters, *, index: int, max_batch_size: int) -> None:
        self._path = folder / f"{index}.json"
        self._counters = counters
        self._max_batch_size = max_batch_size

    def publish(self) -> None:
        """Write this process's counters for the others."""
        own = self._counters
        state = {
            "n_received": own.n_received,
            "n_by_outcome": own.n_by_outcome,
            "batch_rows": list(own.batch_rows.items()),
            "inference_s": own.inference_s,
            "queued_rows": own.queued_rows,
        }
        draft = self._path.with_suffix(".new")
        draft.write_bytes(orjson.dumps(state))
        os.replace(draft, self._path)  # noqa: PTH105 -- a reader finds a whole file at every moment

    def counters(self) -> list[Counters]:
        """What the others have counted."""
        return [self._read(path) for path in sorted(self._path.parent.glob("*.json")) if path != self._path]

    def _read(self, path: Path) -> Counters:
        state = orjson.loads(path.read_bytes())
        counters = Counters(self._max_batch_size)
        counters.n_received = state["n_received"]
        counters.n_by_outcome = state["n_by_outcome"]
        counters.batch_rows = Counter(dict(state["batch_rows"]))
        counters.inference_s = state["inference_s"]
        counters.queued_rows = state["queued_rows"]
        return counters
