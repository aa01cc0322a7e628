import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import gammainc, kolmogorov

from loadplan.errors import InputError
from loadplan.scenario.arrivals import (
    Arrivals,
    ConstantArrivals,
    GammaArrivals,
    IntervalCounts,
    MarkovArrivals,
    PoissonArrivals,
    ProfileArrivals,
    ProfileStep,
    ReplayArrivals,
    RequestTimes,
    TraceArrivals,
)
from loadplan.scenario.traffic import replayed_rate_rps, schedule
from loadplan.store import codec

POISSON = PoissonArrivals()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A record with arrivals in it, as runs and fits have them."""

    arrivals: Arrivals


def draw(arrivals: Arrivals, *, rate_rps: float, duration_s: float, seed: int) -> NDArray[np.float64]:
    return schedule(arrivals, rate_rps=rate_rps, duration_s=duration_s, rng=np.random.default_rng(seed))


def ks_p_value(gaps: NDArray[np.float64], cdf: NDArray[np.float64]) -> float:
    """Kolmogorov and Smirnov's test; `cdf` is the law's distribution function at the sorted gaps."""
    n = len(gaps)
    steps = np.arange(n + 1) / n
    distance = max(np.max(steps[1:] - cdf), np.max(cdf - steps[:-1]))
    return float(kolmogorov(math.sqrt(n) * distance))


def test_constant_arrivals_are_evenly_spaced_from_the_start() -> None:
    due_s = draw(ConstantArrivals(), rate_rps=4.0, duration_s=2.0, seed=0)
    assert due_s.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]


@pytest.mark.parametrize(
    ("arrivals", "shape"),
    [(POISSON, 1.0), (GammaArrivals(cv=2.0), 0.25), (GammaArrivals(cv=0.5), 4.0)],
    ids=["poisson", "bursty", "regular"],
)
def test_gaps_follow_their_law_for_every_seed(arrivals: Arrivals, shape: float) -> None:
    p_values = []
    for seed in range(100):
        gaps_s = np.sort(np.diff(draw(arrivals, rate_rps=50.0, duration_s=40.0, seed=seed)))
        p_values.append(ks_p_value(gaps_s, gammainc(shape, gaps_s * shape * 50.0)))
    assert sum(p < 0.01 for p in p_values) <= 5


@pytest.mark.parametrize(
    ("arrivals", "cv"),
    [(PoissonArrivals(), 1.0), (GammaArrivals(cv=2.0), 2.0), (GammaArrivals(cv=0.5), 0.5)],
)
def test_counts_vary_as_the_law_says(arrivals: Arrivals, cv: float) -> None:
    # The index of dispersion (variance over mean of the counts) of a renewal process tends to cv².
    due_s = draw(arrivals, rate_rps=1000.0, duration_s=2000.0, seed=3)
    counts, _ = np.histogram(due_s, bins=2000, range=(0.0, 2000.0))
    assert counts.var() / counts.mean() == pytest.approx(cv**2, rel=0.15)
    assert counts.mean() == pytest.approx(1000.0, rel=0.01)


def test_a_bursty_run_starts_like_any_other_stretch() -> None:
    # A fresh gap at the start would put (cv² - 1) / 2 = 7.5 arrivals too many into the first second.
    first_second = [len(draw(GammaArrivals(cv=4.0), rate_rps=100.0, duration_s=1.0, seed=s)) for s in range(2000)]
    standard_error = np.std(first_second) / math.sqrt(len(first_second))
    assert abs(np.mean(first_second) - 100.0) < 4.0 * standard_error
    assert standard_error < 1.5


@pytest.mark.parametrize("arrivals", [POISSON, GammaArrivals(cv=3.0)], ids=["poisson", "gamma"])
def test_the_same_seed_draws_the_same_times_and_another_seed_others(arrivals: Arrivals) -> None:
    first, again, other = (draw(arrivals, rate_rps=100.0, duration_s=10.0, seed=seed) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "arrivals",
    [POISSON, GammaArrivals(cv=100.0), ConstantArrivals()],
    ids=["poisson", "extremely bursty", "constant"],
)
def test_times_ascend_within_the_run(arrivals: Arrivals) -> None:
    due_s = draw(arrivals, rate_rps=500_000.0, duration_s=4.0, seed=1)
    assert np.all(np.diff(due_s) >= 0.0)
    assert due_s[0] >= 0.0
    assert due_s[-1] < 4.0


BUSY = MarkovArrivals(busy_ratio=4.0, busy_share=0.2, mean_busy_s=2.0)
RAMP = ProfileArrivals(
    steps=(
        ProfileStep(for_s=2.0, share=0.0, to_share=1.0),
        ProfileStep(for_s=3.0, share=1.0, to_share=1.0),
        ProfileStep(for_s=1.0, share=0.0, to_share=0.0),
        ProfileStep(for_s=4.0, share=0.5, to_share=0.25),
    )
)
RECORDED = RequestTimes(file="a.csv", times_s=(0.0, 1.0, 1.0, 5.0), length_s=8.0)
COUNTED = IntervalCounts(file="b.csv", interval_s=10.0, counts=(3, 0, 5))


def test_a_profile_holds_what_each_of_its_steps_says() -> None:
    # At 100 requests/s: 100 on the way up, 300 at the top, none, and 150 on the way down; the second round is the same.
    edges_s = [0.0, 2.0, 5.0, 6.0, 10.0]
    counts = np.zeros(8)
    n_seeds = 400
    for seed in range(n_seeds):
        due_s = draw(RAMP, rate_rps=100.0, duration_s=20.0, seed=seed)
        counts += np.histogram(due_s, bins=[*edges_s, *(10.0 + edge for edge in edges_s[1:])])[0]
    expected = np.array([100.0, 300.0, 0.0, 150.0] * 2)
    # Each mean count strays by sqrt(expected / seeds).
    assert (np.abs(counts / n_seeds - expected) <= 4.5 * np.sqrt(expected / n_seeds)).all()


def test_requests_on_a_ramp_grow_dense_as_it_rises() -> None:
    # On a ramp from nothing the integral of the rate is (t / 2)², so its root is uniform.
    ramp = ProfileArrivals(steps=(ProfileStep(for_s=2.0, share=0.0, to_share=1.0),))
    uniform = np.sort((draw(ramp, rate_rps=5000.0, duration_s=2.0, seed=1) / 2.0) ** 2)
    assert ks_p_value(uniform, uniform) > 0.01


def test_a_run_longer_than_the_profile_begins_it_again_and_a_shorter_one_cuts_it() -> None:
    on_off = ProfileArrivals(
        steps=(ProfileStep(for_s=1.0, share=1.0, to_share=1.0), ProfileStep(for_s=1.0, share=0.0, to_share=0.0))
    )
    due_s = draw(on_off, rate_rps=1000.0, duration_s=5.5, seed=3)
    assert set(np.floor(due_s).tolist()) == {0.0, 2.0, 4.0}
    assert draw(on_off, rate_rps=1000.0, duration_s=0.5, seed=3).max() < 0.5


def test_busy_and_quiet_periods_come_to_the_mean_rate() -> None:
    # The rate of one run strays by the luck of its periods: sqrt(dispersion / count), 4.5 % here.
    rates = [draw(BUSY, rate_rps=50.0, duration_s=400.0, seed=seed).size / 400.0 for seed in range(200)]
    assert np.mean(rates) == pytest.approx(50.0, rel=0.02)


def test_a_run_of_busy_and_quiet_periods_starts_like_any_other_stretch() -> None:
    first_second = [draw(BUSY, rate_rps=50.0, duration_s=1.0, seed=seed).size for seed in range(4000)]
    assert np.mean(first_second) == pytest.approx(50.0, abs=4.0 * float(np.std(first_second)) / math.sqrt(4000))
    # One in five starts busy, at 200 requests/s, and nearly all of those stay so for the second.
    assert np.mean(np.array(first_second) > 100) == pytest.approx(0.2, abs=0.05)


def test_the_same_seed_draws_the_same_busy_periods_at_every_rate() -> None:
    # The busy time does not shrink with the rate: twice the rate is twice the requests in the same seconds.
    slow, fast = (
        np.histogram(draw(BUSY, rate_rps=rate_rps, duration_s=200.0, seed=6), bins=200, range=(0.0, 200.0))[0]
        for rate_rps in (200.0, 400.0)
    )
    assert np.corrcoef(slow, fast)[0, 1] > 0.97
    assert fast.sum() == pytest.approx(2.0 * slow.sum(), rel=0.03)


def test_a_replay_is_the_recording_itself_whatever_rate_and_seed() -> None:
    replay = ReplayArrivals(recording=RECORDED)
    for seed, rate_rps in ((0, 1.0), (1, 99.0)):
        assert draw(replay, rate_rps=rate_rps, duration_s=8.0, seed=seed).tolist() == [0.0, 1.0, 1.0, 5.0]
    assert draw(replay, rate_rps=1.0, duration_s=5.0, seed=0).tolist() == [0.0, 1.0, 1.0]
    assert replayed_rate_rps(RECORDED, duration_s=5.0) == 0.6


def test_counts_are_replayed_to_the_last_one_spread_over_their_interval() -> None:
    due_s = draw(ReplayArrivals(recording=COUNTED), rate_rps=1.0, duration_s=30.0, seed=0)
    assert np.histogram(due_s, bins=[0.0, 10.0, 20.0, 30.0])[0].tolist() == [3, 0, 5]
    assert len(set(due_s.tolist())) == 8


def test_a_run_longer_than_what_is_replayed_is_refused() -> None:
    with pytest.raises(InputError, match=r"a\.csv is 8 s long, and the run 9 s"):
        draw(ReplayArrivals(recording=RECORDED), rate_rps=1.0, duration_s=9.0, seed=0)


def test_a_trace_is_the_recording_in_a_circle_with_its_clock_at_the_rate_asked_for() -> None:
    # 4 requests in 8 s; at 2 per second the clock runs four times as fast: a round takes 2 s, its gaps ¼, 0, 1 and ¾ s.
    due_s = draw(TraceArrivals(recording=RECORDED), rate_rps=2.0, duration_s=20.0, seed=5)
    assert due_s.size == 40
    gaps = np.round(np.diff(due_s), 9).tolist()
    start = gaps.index(0.0) - 1 if gaps.index(0.0) else 3
    circle = [0.25, 0.0, 1.0, 0.75]
    assert gaps[start:] == (circle * 10)[: len(gaps) - start]
    assert due_s[0] != draw(TraceArrivals(recording=RECORDED), rate_rps=2.0, duration_s=20.0, seed=6)[0]


def test_a_trace_of_counts_keeps_them_whatever_the_rate() -> None:
    due_s = draw(TraceArrivals(recording=COUNTED), rate_rps=80.0, duration_s=10.0, seed=5)
    # A round of 8 requests takes 0.1 s, and whatever the place at which it starts, each holds them all.
    rounds = np.histogram(due_s, bins=100, range=(0.0, 10.0))[0]
    assert due_s.size == pytest.approx(800, abs=8)
    assert np.median(rounds) == 8


@pytest.mark.parametrize("process", ["poisson", "markov"])
def test_workers_that_take_every_second_request_send_the_one_schedule(process: str) -> None:
    due_s = draw(PoissonArrivals() if process == "poisson" else BUSY, rate_rps=100.0, duration_s=60.0, seed=9)
    assert np.sort(np.concatenate([due_s[0::2], due_s[1::2]])).tolist() == due_s.tolist()


def test_workers_with_schedules_of_their_own_are_poisson_together() -> None:
    p_values = []
    for seed in range(100):
        halves = [draw(POISSON, rate_rps=25.0, duration_s=40.0, seed=2 * seed + worker) for worker in (0, 1)]
        gaps_s = np.sort(np.diff(np.sort(np.concatenate(halves))))
        p_values.append(ks_p_value(gaps_s, gammainc(1.0, gaps_s * 50.0)))
    assert sum(p < 0.01 for p in p_values) <= 5


positive = st.floats(min_value=0.05, max_value=20.0)
share = st.floats(min_value=0.0, max_value=1.0)
steps = st.lists(st.builds(ProfileStep, for_s=positive, share=share, to_share=share), min_size=1, max_size=5).filter(
    lambda steps: max(max(step.share, step.to_share) for step in steps) > 0.0
)
markovs = st.tuples(st.floats(min_value=0.01, max_value=0.9), share, positive).map(
    lambda drawn: MarkovArrivals(
        busy_share=drawn[0], busy_ratio=1.001 + drawn[1] * (1.0 / drawn[0] - 1.001), mean_busy_s=drawn[2]
    )
)
recordings = st.one_of(
    st.lists(st.floats(min_value=0.0, max_value=50.0), min_size=2, max_size=30).map(
        lambda times: RequestTimes(
            file="x", times_s=(0.0, *np.cumsum(sorted(times)).tolist()), length_s=float(sum(times)) + 1.0
        )
    ),
    st.lists(st.integers(min_value=0, max_value=9), min_size=1, max_size=30)
    .filter(any)
    .map(lambda counts: IntervalCounts(file="x", interval_s=0.7, counts=tuple(counts))),
)
laws: st.SearchStrategy[Arrivals] = st.one_of(
    st.just(ConstantArrivals()),
    st.just(PoissonArrivals()),
    st.builds(GammaArrivals, cv=st.floats(min_value=0.1, max_value=20.0)),
    markovs,
    st.builds(ProfileArrivals, steps=steps.map(tuple)),
    st.builds(TraceArrivals, recording=recordings),
)


@given(arrivals=laws, rate_rps=st.floats(min_value=0.1, max_value=300.0), duration_s=positive, seed=st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_whatever_the_law_times_ascend_within_the_run_and_the_seed_decides(
    arrivals: Arrivals, rate_rps: float, duration_s: float, seed: int
) -> None:
    due_s = draw(arrivals, rate_rps=rate_rps, duration_s=duration_s, seed=seed)
    assert (np.diff(due_s) >= 0.0).all()
    assert ((due_s >= 0.0) & (due_s < duration_s)).all()
    assert np.array_equal(due_s, draw(arrivals, rate_rps=rate_rps, duration_s=duration_s, seed=seed))


@given(arrivals=laws)
@settings(max_examples=50, deadline=None)
def test_every_law_is_kept_and_read_without_loss(arrivals: Arrivals) -> None:
    kept = codec.dumps(Kept(arrivals=arrivals))
    assert codec.loads(kept, Kept, where="here") == Kept(arrivals=arrivals)


def test_a_short_run_may_have_no_arrival() -> None:
    counts = [len(draw(POISSON, rate_rps=1.0, duration_s=0.5, seed=seed)) for seed in range(2000)]
    assert np.mean(np.array(counts) == 0) == pytest.approx(math.exp(-0.5), abs=0.05)


@pytest.mark.parametrize(
    ("arrivals", "rate_rps", "duration_s"),
    [
        (POISSON, 0.0, 1.0),
        (POISSON, math.nan, 1.0),
        (POISSON, 1.0, math.inf),
        (GammaArrivals(cv=0.0), 1.0, 1.0),
        (replace(BUSY, busy_ratio=5.1), 1.0, 1.0),
        (replace(BUSY, busy_ratio=1.0), 1.0, 1.0),
        (replace(BUSY, busy_share=1.0), 1.0, 1.0),
        (replace(BUSY, mean_busy_s=math.inf), 1.0, 1.0),
        (ProfileArrivals(steps=()), 1.0, 1.0),
        (ProfileArrivals(steps=(ProfileStep(for_s=0.0, share=1.0, to_share=1.0),)), 1.0, 1.0),
        (ProfileArrivals(steps=(ProfileStep(for_s=1.0, share=0.0, to_share=0.0),)), 1.0, 1.0),
    ],
)
def test_an_impossible_schedule_is_refused(arrivals: Arrivals, rate_rps: float, duration_s: float) -> None:
    with pytest.raises(InputError, match=r"arrivals|busy"):
        draw(arrivals, rate_rps=rate_rps, duration_s=duration_s, seed=0)
