"""How long a server process of each execution takes to open its model and to answer first: the bench's starts."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from loadplan.bench.resources import StartReading, column_resources
from loadplan.fit.records import ServiceTimeFit, StartTimes


def with_start_times(laws: Sequence[ServiceTimeFit], starts: Iterable[StartReading]) -> tuple[ServiceTimeFit, ...]:
    """The laws with how a process of each starts; None where none was started."""
    known = {
        column.execution: StartTimes(
            load_s=column.load_s.median,
            first_inference_s=column.first_inference_s.median,
            n_starts=column.load_s.n_samples,
        )
        for column in column_resources(starts)
    }
    return tuple(replace(law, start=known.get(law.execution)) for law in laws)
