"""Quantiles, means and how sure they are. One definition of a percentile in the whole project: nearest rank.

Samples are one-dimensional arrays in the order in which they were taken; the unit is the caller's.
A statistic of nothing, or of something that holds NaN, raises `InvalidMeasurement`: tools that return 0 let a gate
pass on no data.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InvalidMeasurement
from loadplan.lagged import lagged_products

Samples = NDArray[np.floating]
Truths = NDArray[np.bool_]  # counted as 0 and 1

_CLUSTERS_AT_LEAST = 2.0
_TAIL_Q, _FAR_RATIO = 0.99, 5.0  # a limit this many times the p99 is far from it
_USUAL_TAIL_Q = 0.9
_BATCHES_OF_HALF = 10
_SLOW_START_NEEDS, _SLOW_START_LEAST = 100, 5
_SLOW_START_RATIO = 1.5
_LAGS_AT_FIRST = 1024  # neighbours further apart seldom know of each other; a power of two, as transforms like it


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A two-sided confidence interval in the unit of its figure."""

    low: float
    high: float
    confidence_ratio: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is said of a set of samples; a percentile that they can't support is None."""

    n_samples: int
    mean: float
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p99_9: float | None
    max: float


def percentile(samples: Samples, q: float) -> float:
    """The nearest-rank percentile: the value at rank ceil(q n) of the sorted samples, 0 < q <= 1."""
    _require(samples, "a percentile")
    rank = _rank(q, samples.size)
    return float(np.partition(samples, rank - 1)[rank - 1])


def percentiles(samples: Samples, qs: Sequence[float]) -> list[float]:
    """`percentile` of many shares at once: the samples are sorted a single time."""
    _require(samples, "a percentile")
    ordered = np.sort(samples)
    return [float(ordered[_rank(q, samples.size) - 1]) for q in qs]


def n_samples_needed(q: float, *, confidence_ratio: float = 0.99) -> int:
    """Least n for which the q-quantile lies below the maximum with the confidence asked: ln(1 - c) / ln q.

    459 for p99 and 4,603 for p99.9 at 99 %, as in MLPerf LoadGen's early-stopping rule.
    """
    return math.ceil(math.log(1.0 - confidence_ratio) / math.log(q))


def supported_percentile(samples: Samples, q: float) -> float | None:
    """The percentile, or None where there are fewer samples than it needs."""
    return percentile(samples, q) if samples.size >= n_samples_needed(q) else None


def summarise(samples: Samples) -> Summary:
    """Mean, percentiles and maximum of samples in any order."""
    _require(samples, "a summary")
    return Summary(
        n_samples=int(samples.size),
        mean=float(samples.mean()),
        p50=supported_percentile(samples, 0.5),
        p90=supported_percentile(samples, 0.9),
        p95=supported_percentile(samples, 0.95),
        p99=supported_percentile(samples, 0.99),
        p99_9=supported_percentile(samples, 0.999),
        max=float(samples.max()),
    )


def effective_sample_size(samples: Samples | Truths) -> float:
    """How many independent samples these are worth: n / (1 + 2 Σ ρ_k).

    The autocorrelations ρ_k are summed while pairs of neighbours stay positive:
    Geyer's initial positive sequence (Practical Markov Chain Monte Carlo, 1992). Between 1 and n.
    """
    _require(samples, "an effective sample size")
    n = samples.size
    centred = np.subtract(samples, samples.mean(), dtype=np.float64)
    variance = float(centred @ centred) / n
    if n < 4 or variance == 0.0:
        return float(n)
    n_lags = _LAGS_AT_FIRST
    while True:
        rho = lagged_products(centred, n_lags)[: n // 2] / (n * variance)
        pairs = rho[0 : 2 * (rho.size // 2)].reshape(-1, 2).sum(axis=1)
        ends = np.flatnonzero(pairs <= 0.0)
        if ends.size or n_lags >= n // 2:
            break
        n_lags *= 8
    stop = int(ends[0]) if ends.size else pairs.size
    inefficiency = max(2.0 * float(pairs[:stop].sum()) - 1.0, 1.0)
    return max(1.0, n / inefficiency)


def mean_interval(samples: Samples, *, confidence_ratio: float = 0.95) -> Interval:
    """Student's t interval of the mean with the effective sample size in place of n.

    Raises InvalidMeasurement for fewer than two samples: one sample has no spread.
    """
    _require(samples, "an interval of the mean", n_least=2)
    n_effective = max(effective_sample_size(samples), 2.0)
    half = _t_quantile(n_effective - 1.0, confidence_ratio) * float(samples.std(ddof=1)) / math.sqrt(n_effective)
    mean = float(samples.mean())
    return Interval(low=mean - half, high=mean + half, confidence_ratio=confidence_ratio)


def quantile_interval(
    samples: Samples, q: float, *, confidence_ratio: float = 0.95, n_sections: int = 5
) -> Interval | None:
    """An interval of a quantile of times that stays right when neighbours depend on each other: sectioning.

    The samples, in order of time and not negative, are cut into k = `n_sections` stretches; with Q the quantile of
    all and Q_i that of stretch i, the half width is t · sqrt(Σ (Q_i - Q)² / (k (k - 1))) (Asmussen & Glynn, Stochastic
    Simulation, 2007, III.5); no quantile is below the least sample. On waiting times of a queue five stretches hold the
    true p99 more often than ten, because a stretch must be long beside the busy periods.

    None where the samples can't say: a stretch is shorter than 1 / (1 - q), so that its own quantile would be its
    maximum, or the values beyond the quantile came in so few clusters that their effective number, (1 - q) times the
    effective sample size of "is beyond Q", is below 2.
    """
    _require(samples, "an interval of a quantile")
    if samples.size // n_sections < round(1.0 / (1.0 - q), 9):
        return None
    whole = percentile(samples, q)
    if effective_sample_size(samples > whole) * (1.0 - q) < _CLUSTERS_AT_LEAST:
        return None
    parts = np.array([percentile(part, q) for part in np.array_split(samples, n_sections)])
    spread = math.sqrt(float(((parts - whole) ** 2).sum()) / (n_sections * (n_sections - 1)))
    half = _t_quantile(n_sections - 1.0, confidence_ratio) * spread
    return Interval(low=max(whole - half, float(samples.min())), high=whole + half, confidence_ratio=confidence_ratio)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareAbove:
    """The share of samples above a limit, and how sure it is."""

    share: float
    interval: Interval
    n_independent: float  # how many independent samples would say as much


def share_above(samples: Samples, limit: float, *, confidence_ratio: float = 0.95) -> ShareAbove:
    """The share of samples above a limit, with an interval that stays right when neighbours depend on each other.

    In a queue slow answers come in clusters, so n answers say as much about their share as n / d independent ones
    would, with d the design effect: n over the effective sample size of "is above". Clopper and Pearson's exact
    interval is taken of n / d trials (Korn & Graubard, Survey Methodology 24, 1998). A plain binomial bound lets 23 to
    35 % of the runs at the very boundary pass where 2.5 % should, batch means with Student's t 10 to 35 % while
    clusters are few.

    Few clusters above the limit say little of d, and by chance too little just where their share looks small. So d
    is never below that of the samples' own upper tenth, which is always seen. But a limit far above the whole tail is
    not where that tenth decides anything: idle servers have slow and fast minutes of a fraction of a millisecond, which
    would leave a limit of seconds unclear for ever. There d is that of "is above" alone. At the boundary itself no run
    is that far from it. Samples stand in order of time; infinity stands for what was never answered.
    """
    _require(samples, "an interval of a share")
    indicators = [samples > limit]
    if limit < _FAR_RATIO * percentile(samples, _TAIL_Q):
        indicators.append(samples > percentile(samples, _USUAL_TAIL_Q))
    is_above = indicators[0]
    n_independent = min(map(effective_sample_size, indicators))
    share = float(is_above.mean())
    tail = 0.5 - confidence_ratio / 2.0
    from scipy.special import betaincinv

    x = share * n_independent
    low = float(betaincinv(x, n_independent - x + 1.0, tail)) if share > 0.0 else 0.0
    high = float(betaincinv(x + 1.0, n_independent - x, 1.0 - tail)) if share < 1.0 else 1.0
    interval = Interval(low=low, high=high, confidence_ratio=confidence_ratio)
    return ShareAbove(share=share, interval=interval, n_independent=n_independent)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioTest:
    """How many times as large one mean is as another, and how likely so much is where nothing changed."""

    ratio: float
    interval: Interval  # of the ratio
    p_value: float  # of a ratio this far outside the span that is allowed, on either side


def ratio_test(base: Samples, head: Samples, *, allowed_ratio: float = 0.0) -> RatioTest:
    """Whether the mean of `head` is outside 1/(1 + a) to 1 + a times the mean of `base`, with a = `allowed_ratio`.

    Welch's test on the logarithms (Welch, The generalization of "Student's" problem, Biometrika 34, 1947), in which a
    ratio is a difference and a mean the geometric one; with d the difference of the means, v_i = s_i² / n_i and n_i the
    effective sample size, t = (|d| - ln(1 + a)) / sqrt(v_1 + v_2) on (v_1 + v_2)² / Σ v_i² / (n_i - 1) degrees of
    freedom. The p-value is twice the upper tail, at most 1.

    Raises:
        InvalidMeasurement: when one of them has fewer than two samples, or one that is not above 0.
    """
    difference = _log_mean(head) - _log_mean(base)
    variances = [_variance_of_log_mean(samples) for samples in (base, head)]
    variance = math.fsum(v for v, _ in variances)
    if variance == 0.0:
        p_value = 0.0 if abs(difference) > math.log1p(allowed_ratio) else 1.0
        ratio = math.exp(difference)
        return RatioTest(ratio=ratio, interval=Interval(low=ratio, high=ratio), p_value=p_value)
    from scipy.special import stdtr

    freedom = variance**2 / math.fsum(v**2 / n for v, n in variances)
    error = math.sqrt(variance)
    half = _t_quantile(freedom, 0.95) * error
    beyond = (abs(difference) - math.log1p(allowed_ratio)) / error
    return RatioTest(
        ratio=math.exp(difference),
        interval=Interval(low=math.exp(difference - half), high=math.exp(difference + half)),
        p_value=min(1.0, 2.0 * float(stdtr(freedom, -beyond))),
    )


def half_test(samples: Samples) -> RatioTest | None:
    """The mean of the second half of a run over that of the first, and how likely so much is in a steady state.

    `ratio_test` on ten batch means of each half, so that what neighbours share is in the spread: one long stall is one
    batch, not a trend. Of M/M/1 queues at up to 90 % utilisation 1 to 4 % fall below 0.03; a change by 2 % does in nine
    of ten cases from 5,000 samples on, where their standard deviation is a tenth of their mean.

    None for fewer than a hundred samples, which say too little. Raises InvalidMeasurement for one that is not above 0.
    """
    if samples.size < 2 * _BATCHES_OF_HALF * 5:
        return None
    means = np.array([part.mean() for part in np.array_split(samples, 2 * _BATCHES_OF_HALF)])
    return ratio_test(means[:_BATCHES_OF_HALF], means[_BATCHES_OF_HALF:])


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowStart:
    """So many first samples are slower than the rest."""

    n_samples: int
    ratio: float  # of their median to that of the rest


def slow_start(samples: Samples) -> SlowStart | None:
    """How many first samples are slower than all that come behind them; None where none stand out.

    They end where MSER cuts: at the d, up to a third of n, for which the variance of the logarithms from d on, over
    their number, is least (White, An effective truncation heuristic for bias reduction in simulation output,
    Simulation 69, 1997). They stand out where their median is at least one and a half times that of every stretch as
    long behind them. Of steady M/M/1 queues at up to 90 % utilisation 4 % have such a start at most.

    None for fewer than a hundred samples. Raises InvalidMeasurement for one that is not above 0.
    """
    if samples.size < _SLOW_START_NEEDS:
        return None
    _log_mean(samples)  # refuses what has no logarithm
    logs = np.log(samples)
    left = np.arange(samples.size, 0, -1)
    means = np.cumsum(logs[::-1])[::-1] / left
    squares = np.cumsum(logs[::-1] ** 2)[::-1] / left
    cut = int(np.argmin(((squares - means**2) / left)[: samples.size // 3]))
    if cut < _SLOW_START_LEAST:
        return None
    first = percentile(samples[:cut], 0.5)
    n_stretches = samples.size // cut - 1
    behind = samples[cut : cut * (n_stretches + 1)].reshape(n_stretches, cut)
    if first < _SLOW_START_RATIO * float(np.median(behind, axis=1).max()):
        return None
    return SlowStart(n_samples=cut, ratio=first / percentile(samples[cut:], 0.5))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p-values of a family of tests, adjusted so that all below α hold together: Holm's step-down procedure.

    Sorted ascending, p_(i) becomes the largest of (m - j + 1) p_(j) over j ≤ i, at most 1 (Holm, A Simple Sequentially
    Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6, 1979).
    """
    adjusted, worst = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        worst = max(worst, (len(p_values) - rank) * p_values[i])
        adjusted[i] = min(1.0, worst)
    return tuple(adjusted)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankTest:
    """Where the middle of paired differences lies, and how likely they are where it is no more than was said."""

    middle: float  # Hodges and Lehmann's: the median of all means of two
    interval: Interval  # of the middle; an end that so few differences can't bound is infinite
    p_value: float  # one-sided: of differences this far above


def signed_rank_test(differences: Samples, *, above: float = 0.0, confidence_ratio: float = 0.9) -> RankTest:
    """Whether paired differences lie above a value: Wilcoxon's signed-rank test with its exact distribution.

    The ranks of |d_i - above| are summed over the positive ones. Where each difference is as likely to be that far
    below as above, each of the 2^n ways to deal the signs is as likely as any other; the p-value is the share of those
    whose sum is as large (Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1, 1945). Ties share
    their ranks, which keeps that true. No law is assumed of the noise, and one wild pair moves a rank, not a mean. The
    interval inverts the test: its ends are the c-th means of two from either side (Hodges & Lehmann, 1963).
    """
    _require(differences, "a test of paired differences")
    n = differences.size
    shifted = differences - above
    magnitudes, inverse, counts = np.unique(np.abs(shifted), return_inverse=True, return_counts=True)
    doubled = (2 * np.cumsum(counts) - counts + 1)[inverse]  # twice the mean rank of each, so whole
    doubled[magnitudes[inverse] == 0.0] = 0
    sums = _ways(doubled.tolist())
    p_value = float(sums[int(doubled[shifted > 0.0].sum()) :].sum() / 2.0**n)
    i, j = np.triu_indices(n)
    means = np.sort((differences[i] + differences[j]) / 2.0)
    tail = np.cumsum(_ways(list(range(1, n + 1)))) / 2.0**n
    c = int(np.count_nonzero(tail <= 0.5 - confidence_ratio / 2.0 + 1e-12))
    low, high = (float(means[c - 1]), float(means[means.size - c])) if c else (-math.inf, math.inf)
    return RankTest(
        middle=float(np.median(means)),
        interval=Interval(low=low, high=high, confidence_ratio=confidence_ratio),
        p_value=p_value,
    )


def _ways(weights: Sequence[int]) -> NDArray[np.float64]:
    """How many subsets of the weights sum to 0, 1, 2 and so on."""
    ways = np.zeros(sum(weights) + 1)
    ways[0] = 1.0
    for weight in weights:
        ways[weight:] = ways[weight:] + ways[: ways.size - weight]
    return ways


def _rank(q: float, n: int) -> int:
    return max(1, math.ceil(round(q * n, 9)))


def _log_mean(samples: Samples) -> float:
    _require(samples, "a ratio of means", n_least=2)
    if not bool((samples > 0.0).all()):
        raise InvalidMeasurement(
            what="a ratio of means needs samples above 0",
            where="the measurement",
            fix="look at why something took no time",
        )
    return float(np.log(samples).mean())


def _variance_of_log_mean(samples: Samples) -> tuple[float, float]:
    """The variance of the mean of the logarithms, and its degrees of freedom."""
    logs = np.log(samples)
    n_effective = max(effective_sample_size(logs), 2.0)
    return float(logs.var(ddof=1)) / n_effective, n_effective - 1.0


def _t_quantile(degrees_of_freedom: float, confidence_ratio: float) -> float:
    from scipy.special import stdtrit  # a tenth of a second that most commands never need

    return float(stdtrit(degrees_of_freedom, 0.5 + confidence_ratio / 2.0))


def _require(samples: Samples | Truths, what: str, *, n_least: int = 1) -> None:
    if samples.size < n_least:
        raise InvalidMeasurement(
            what=f"{what} needs at least {n_least} samples, there are {samples.size}",
            where="the measurement",
            fix="measure longer, or look at why nothing was recorded",
        )
    if np.isnan(samples).any():
        raise InvalidMeasurement(
            what=f"{what} can't be had of {int(np.isnan(samples).sum())} samples that are NaN",
            where="the measurement",
            fix="leave out what was not measured, and say so",
        )
