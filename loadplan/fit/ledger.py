"""What became of earlier predictions: how often their intervals held what was measured, and by how much they must grow.

Every live verification adds its quantiles to the ledger of the results folder, and a later fit may learn from it. The
decision a reader would question is the rule: with e = |ln(measured / predicted)| and h the half-width of the predicted
interval on the side of the miss, in logarithms and before any widening, the factor is the ⌈0.9 (n + 1)⌉-th smallest of
the n ratios e / h, and never below 1. Intervals stretched by it hold the next value in 90 % of cases, whatever the law
of the errors, as long as the next case is like those before (split conformal prediction with normalised scores:
Papadopoulos, Gammerman and Vovk, Normalized nonconformity measures for regression conformal prediction, 2008). That
order statistic exists from n = 9 on; fewer entries widen nothing, and many good ones never narrow anything. Seconds.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from loadplan.stats import Interval, percentile

WANTED_COVERAGE_RATIO = 0.9
N_ENTRIES_LEAST = 9  # the least n with ⌈0.9 (n + 1)⌉ ≤ n
_HALF_WIDTH_LEAST = 1e-3  # in logarithms; an interval of no width would have to grow without end
_BETWEEN = {0.95: (0.5, 0.99)}  # quantiles whose factor lies between those of two others where a ledger has none of it


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One quantile of one live run that the fit had not seen, as predicted and as measured."""

    written_at: str  # UTC, ISO 8601
    run: str  # the run folder, inside the results folder
    machine: str  # fingerprint
    cpu_model: str
    variant: str
    provider: str
    n_threads: int
    max_batch_size: int
    batch_window_s: float
    offered_rate_rps: float
    utilisation_ratio: float  # share of the usable capacity
    quantile: float
    predicted_s: float
    predicted_s_low: float
    predicted_s_high: float
    widening: float  # by which factor an earlier ledger had stretched that interval; 1: by none
    measured_s: float
    measured_s_low: float | None  # None: the run is too short to tell
    measured_s_high: float | None
    noise_floor_ratio: float | None  # half of the measured interval, as a share of the value: no prediction is held
    # to less
    clean_ratio: float  # share of the run in which no neighbour had the generator's core

    @property
    def error_ratio(self) -> float:
        """Above 0: predicted too long."""
        return self.predicted_s / self.measured_s - 1.0

    @property
    def is_covered(self) -> bool:
        """Whether the measured value lies in the interval that was predicted."""
        return self.predicted_s_low <= self.measured_s <= self.predicted_s_high

    @property
    def stretch(self) -> float:
        """How many times as wide, before any widening, the interval must be to just hold the measured value."""
        off = math.log(self.measured_s / self.predicted_s)
        end_s = self.predicted_s_high if off > 0.0 else self.predicted_s_low
        half_width = abs(math.log(end_s / self.predicted_s)) / self.widening
        return abs(off) / max(half_width, _HALF_WIDTH_LEAST)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFigure:
    """What the entries of one quantile say together."""

    quantile: float
    n_entries: int
    n_covered: int
    bias_ratio: float  # median of predicted / measured - 1; above 0: predicted too long
    error_ratio: float  # median of its absolute value
    widening: float  # factor on the half-width in logarithms, at least 1

    @property
    def coverage_ratio(self) -> float:
        """Share of the entries whose interval held what was measured."""
        return self.n_covered / self.n_entries

    @property
    def is_enough(self) -> bool:
        """Whether there are enough entries to widen anything."""
        return self.n_entries >= N_ENTRIES_LEAST


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFindings:
    """What a ledger says, and which one it was."""

    sha256: str  # of its whole lines
    figures: tuple[LedgerFigure, ...]  # by quantile, ascending

    def widening_of(self, quantile: float) -> float:
        """The factor of a quantile; 1 where the ledger says nothing of it, but for a p95, which older ones lack."""
        own = next((figure.widening for figure in self.figures if figure.quantile == quantile), None)
        if own is not None:
            return own
        return math.sqrt(math.prod(self.widening_of(other) for other in _BETWEEN.get(quantile, ())))


def judge_ledger(entries: Iterable[LedgerEntry], *, sha256: str) -> LedgerFindings:
    """Coverage, bias and the factor of every quantile in a ledger."""
    by_quantile: dict[float, list[LedgerEntry]] = {}
    for entry in entries:
        by_quantile.setdefault(entry.quantile, []).append(entry)
    return LedgerFindings(
        sha256=sha256, figures=tuple(_figure(quantile, by_quantile[quantile]) for quantile in sorted(by_quantile))
    )


def widened(middle: float, interval: Interval, factor: float) -> Interval:
    """The interval with both ends `factor` times as far from the middle, in logarithms; never narrower.

    A low end of 0 stays: nothing is known to lie above it.
    """
    if factor <= 1.0 or middle <= 0.0:
        return interval
    low, high = (middle * (end / middle) ** factor for end in (interval.low, interval.high))
    return Interval(low=low, high=high, confidence_ratio=interval.confidence_ratio)


def _figure(quantile: float, entries: Sequence[LedgerEntry]) -> LedgerFigure:
    errors = np.array([entry.error_ratio for entry in entries])
    return LedgerFigure(
        quantile=quantile,
        n_entries=len(entries),
        n_covered=sum(entry.is_covered for entry in entries),
        bias_ratio=float(np.median(errors)),
        error_ratio=float(np.median(np.abs(errors))),
        widening=_widening([entry.stretch for entry in entries]),
    )


def _widening(stretches: Sequence[float]) -> float:
    n = len(stretches)
    if n < N_ENTRIES_LEAST:
        return 1.0
    # ⌈q (n + 1)⌉ of n by the nearest rank is the quantile q (n + 1) / n.
    return max(1.0, percentile(np.array(stretches), WANTED_COVERAGE_RATIO * (n + 1) / n))
