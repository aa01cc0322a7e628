"""How fast a server can start on each file: how long ONNX Runtime takes to open a session, optimising included.

The decision a reader would question: the files are opened in turn, round after round, so that a drift of the machine's
speed can't pass for a difference between them; the first round fills caches and isn't counted. A server that starts on
a fresh machine reads the file from its disk as well.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from loadplan.execution import ExecutionConfig
from loadplan.export.artifact import ExportedModel, OpeningTime
from loadplan.inference import open_session

_ROUNDS_COUNTED = 5


def timed(models: Sequence[ExportedModel], folder: Path) -> list[ExportedModel]:
    """The same models with the seconds that each one's file in this folder took to open."""
    names = [model.variant for model in models]
    rounds = [{name: _opened_s(folder / f"{name}.onnx", name) for name in names} for _ in range(_ROUNDS_COUNTED + 1)]
    return [replace(model, opening=_summary([times_s[model.variant] for times_s in rounds[1:]])) for model in models]


def _summary(times_s: Sequence[float]) -> OpeningTime:
    return OpeningTime(
        n_samples=len(times_s), median_s=statistics.median(times_s), low_s=min(times_s), high_s=max(times_s)
    )


def _opened_s(path: Path, variant: str) -> float:
    begin_s = time.perf_counter()
    session = open_session(path, ExecutionConfig(variant=variant))
    end_s = time.perf_counter()
    del session  # giving it back is no part of it
    return end_s - begin_s
