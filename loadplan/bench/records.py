"""What the micro-benchmark measured: samples of single inferences, cell by cell, and what they say."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from loadplan.bench.resources import StartReading
from loadplan.caveat import Caveat
from loadplan.execution import ExecutionConfig
from loadplan.machine import Machine
from loadplan.speed import ProbeResult

Times = NDArray[np.float64]


def _no_times() -> Times:
    return np.zeros(0)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class BenchCell:
    """One point of the grid."""

    execution: ExecutionConfig
    batch_size: int  # rows in one inference
    idle_gap_s: float = 0.0  # how long the process slept before each call; 0: one call right after the other
    length: int = 0  # positions of every row; 0: rows as they are, of one length or in the mix of the traffic

    @property
    def is_of_table(self) -> bool:
        """Whether it is part of a service time by batch size: calls in a row, of rows as they come."""
        return not (self.idle_gap_s or self.length)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRound:
    """One visit to a cell: the piece that is journalled as it is made."""

    cell: BenchCell
    i_round: int
    service_times_s: Times  # (n_calls,), single calls in order, robbed calls already dropped
    lost_ratio: float  # share of the visit's time that neighbours stole
    dropped_ratio: float  # share of the calls that were dropped for it, or made again where rows differ in length
    loop_times_s: Times = field(default_factory=_no_times)  # (n_loops,), seconds a call over loops without a clock
    calls_per_loop: int = 1
    clock_s: float = 0.0  # what reading the clock and keeping it adds to each single call
    n_preempted: int = 0  # times that the system took a core away from the process
    throttled_s: float | None = None  # how long a CPU quota stopped the process; None: none is counted
    frequency_hz: float | None = None  # mean clock of the usable cores at the end; None: the system doesn't tell
    # How far apart the cores were, by `between_cores`; None: only one thread was at work, or it could not be told.
    apart_ratio: float | None = None
    # Part of a call that copies inputs to a GPU and outputs back; None: the provider works on host memory, or on text.
    copy_in_s: float | None = None
    copy_out_s: float | None = None

    @property
    def mean_s(self) -> float:
        """Mean time of a call: of the loops, where short calls were looped."""
        return float(self.typical_times_s.mean())

    @property
    def typical_times_s(self) -> Times:
        """What medians and means rest on: the loops where there are any, single calls elsewhere."""
        return self.loop_times_s if self.loop_times_s.size else self.service_times_s

    @property
    def n_calls(self) -> int:
        """All calls that count."""
        return int(self.service_times_s.size + self.loop_times_s.size * self.calls_per_loop)

    @property
    def took_s(self) -> float:
        """About how long the visit lasted: its calls and the pauses between them."""
        n_singles = int(self.service_times_s.size)
        pauses_s = n_singles * self.cell.idle_gap_s
        return float(self.service_times_s.sum() + self.loop_times_s.sum() * self.calls_per_loop) + pauses_s


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSummary:
    """What the rounds of one cell say together; rounds that neighbours spoiled give way to the others.

    Of short calls minimum, median and mean are those of loops; percentiles always are of single calls.
    """

    cell: BenchCell
    n_samples: int  # calls
    n_effective: float  # how many independent samples the calls are worth, for the mean
    min_s: float
    median_s: float
    mean_s: float
    mean_s_low: float  # 95 % interval of the mean
    mean_s_high: float
    p90_s: float | None  # None where the samples can't support it
    p99_s: float | None
    is_noisy: bool  # the interval is wider than asked, or too much time was stolen
    copy_in_s: float | None = None  # mean part of a call that copies inputs to a device; None: nothing is copied
    copy_out_s: float | None = None  # the same of outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRun:
    """A finished sweep."""

    machine: Machine
    rounds: tuple[CellRound, ...]
    cells: tuple[CellSummary, ...]  # one call right after the other, rows as they are
    caveats: tuple[Caveat, ...]
    cold: tuple[CellSummary, ...] = ()  # calls after a pause: never part of a service time by batch size
    by_length: tuple[CellSummary, ...] = ()  # calls of rows of one length, nor are these
    starts: tuple[StartReading, ...] = ()  # of each column kept, a few: what `resources.column_resources` rests on
    probe: ProbeResult | None = None  # what the machine attains, whatever the model; None: it was not probed

    @property
    def clock_s(self) -> float:
        """What the clock's reading adds to each single call, hence to percentiles."""
        return float(np.median([visit.clock_s for visit in self.rounds])) if self.rounds else 0.0
