"""What the micro-benchmark measured: samples of single inferences, cell by cell, and what they say."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadplan.caveat import Caveat
from loadplan.execution import ExecutionConfig
from loadplan.machine import Machine


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class BenchCell:
    """One point of the grid."""

    execution: ExecutionConfig
    batch_size: int  # rows in one inference


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRound:
    """One visit to a cell: the piece that is journalled as it is made."""

    cell: BenchCell
    i_round: int
    service_times_s: NDArray[np.float64]  # (n_calls,), single calls in order, robbed calls already dropped
    lost_ratio: float  # share of the visit's time that neighbours stole
    dropped_ratio: float  # share of the calls that were dropped for it, or made again where rows differ in length


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSummary:
    """What the rounds of one cell say together; rounds that neighbours spoiled give way to the others."""

    cell: BenchCell
    n_samples: int
    n_effective: float  # how many independent samples the calls are worth, for the mean
    min_s: float
    median_s: float
    mean_s: float
    mean_s_low: float  # 95 % interval of the mean
    mean_s_high: float
    p90_s: float | None  # None where the samples can't support it
    p99_s: float | None
    is_noisy: bool  # the interval is wider than asked, or too much time was stolen


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRun:
    """A finished sweep."""

    machine: Machine
    rounds: tuple[CellRound, ...]
    cells: tuple[CellSummary, ...]
    caveats: tuple[Caveat, ...]
