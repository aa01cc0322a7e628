"""How one line of a summary is written: a label, then the text."""

from loadplan.caveat import Caveat
from loadplan.fit.records import PredictedLatency
from loadplan.report.view import ms


def with_interval(predicted: PredictedLatency) -> str:
    """Such as `2.9 ms (2.1 ms to 4 ms)`."""
    interval = predicted.p99_interval
    return f"{ms(predicted.p99_s)} ({ms(interval.low)} to {ms(interval.high)})"


def doubt_text(caveat: Caveat) -> str:
    """What is doubtful, and the code under which docs/doubts.md explains it."""
    return f"{caveat.what} [{caveat.code}]"


def line(label: str, text: str) -> str:
    """The label padded, so that texts stand below each other."""
    return f"{label:<9} {text}"
