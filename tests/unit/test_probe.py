"""The probe's arithmetic in virtual time, and one short real probe."""

from dataclasses import replace

import numpy as np
import pytest

from loadplan.machine import read_machine
from loadplan.probe import Work, attained_rates, probe_machine
from loadplan.speed import ProbedFigure


class VirtualTime:
    """A clock that stands still but for the work that is done, and a little at each reading."""

    def __init__(self, *, reading_ns: int = 100) -> None:
        self.now_ns, self.reading_ns, self.calls = 0, reading_ns, ""

    def clock_ns(self) -> int:
        self.now_ns += self.reading_ns
        return self.now_ns

    def work(self, name: str, duration_s: float, *, amount: float = 1.0) -> Work:
        def call() -> None:
            self.calls += name
            self.now_ns += round(duration_s * 1e9)

        return Work(call=call, amount=amount)


def test_a_rate_is_the_amount_of_a_call_over_its_time() -> None:
    time = VirtualTime(reading_ns=10_000)
    works = {"a": time.work("a", 1e-3, amount=5.0), "b": time.work("b", 4e-3, amount=1.0)}
    rates = attained_rates(works, budget_s=0.3, clock_ns=time.clock_ns)
    # A call ends with one reading of the clock, which takes 10 µs here.
    np.testing.assert_allclose(rates["a"], 5.0 / 1.01e-3)
    np.testing.assert_allclose(rates["b"], 1.0 / 4.01e-3)
    assert not rates["lost"].any()


def test_the_works_take_turns_about_ten_times() -> None:
    time = VirtualTime()
    works = {name: time.work(name, 1e-3) for name in "abc"}
    rates = attained_rates(works, budget_s=0.4, clock_ns=time.clock_ns)
    visits = "".join(name for name, before in zip(time.calls[3:], f" {time.calls[3:]}", strict=False) if name != before)
    assert visits == "abc" * 10
    assert {values.size for values in rates.values()} == {10}


def test_a_slow_machine_gets_three_visits_of_one_call_whatever_the_budget() -> None:
    time = VirtualTime()
    rates = attained_rates({"a": time.work("a", 2.0)}, budget_s=0.1, clock_ns=time.clock_ns)
    assert time.calls == "a" * 4  # one to warm up
    assert rates["a"].size == 3


def test_a_call_that_was_robbed_does_not_count() -> None:
    time = VirtualTime()
    durations = iter([1e-3] * 8 + [9e-3] + [1e-3] * 1000)

    def call() -> None:
        time.now_ns += round(next(durations) * 1e9)

    rates = attained_rates({"a": Work(call=call, amount=1.0)}, budget_s=0.6, clock_ns=time.clock_ns)
    np.testing.assert_allclose(rates["a"], 1000.0, rtol=1e-3)


def test_lost_time_is_the_share_of_gaps_that_no_reading_takes_by_itself() -> None:
    """Readings 0.2 ms apart, each fifth one 1 ms: 1 ms of 1.8 ms is lost."""
    time, n_readings = VirtualTime(reading_ns=200_000), 0

    def clock_ns() -> int:
        nonlocal n_readings
        n_readings += 1
        time.now_ns += 800_000 * (n_readings % 5 == 0)
        return time.clock_ns()

    rates = attained_rates({}, budget_s=1.0, clock_ns=clock_ns)
    assert rates["lost"].mean() == pytest.approx(1.0 / 1.8, abs=0.01)


def test_this_machine_attains_something_and_says_how_surely() -> None:
    # A small cache keeps the test's arrays small; what they tell then is not the memory.
    machine = replace(read_machine(), l3_cache_bytes=1 << 20)
    result = probe_machine(machine, budget_s=0.3)
    assert result.n_threads == machine.n_usable_cores
    rates = (
        result.gflops_one_thread,
        result.gflops_all_threads,
        result.gb_per_s_one_core,
        result.gb_per_s_all_cores,
        result.turns_per_s,
    )
    assert all(figure.mean > 0.0 for figure in rates)
    assert 0.0 <= result.lost_ratio.mean <= 1.0
    for figure in (*rates, result.lost_ratio):
        assert isinstance(figure, ProbedFigure)
        assert figure.interval.low <= figure.mean <= figure.interval.high
        assert figure.n_samples >= 3


def test_one_core_needs_no_second_measurement() -> None:
    machine = replace(read_machine(), n_usable_cores=1, l3_cache_bytes=1 << 20)
    result = probe_machine(machine, budget_s=0.1)
    assert result.gflops_all_threads == result.gflops_one_thread
    assert result.gb_per_s_all_cores == result.gb_per_s_one_core
