"""What a machine attained when it was probed (`probe`): data that a plan reads without measuring anything."""

from dataclasses import dataclass

from loadplan.stats import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedFigure:
    """One figure over several visits, in its own unit."""

    mean: float
    interval: Interval  # of the mean
    n_samples: int  # visits


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What a machine attained. Gigaflops count a multiply-add as two, gigabytes count 1e9 bytes read or written."""

    n_threads: int  # threads and cores of the figures for all
    gflops_one_thread: ProbedFigure
    gflops_all_threads: ProbedFigure
    gb_per_s_one_core: ProbedFigure
    gb_per_s_all_cores: ProbedFigure
    turns_per_s: ProbedFigure  # a fixed piece of integer work with many branches, on one core
    lost_ratio: ProbedFigure  # share of a spinning core's time that went to somebody else
