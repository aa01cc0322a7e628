"""What visits say together, by hand-computed cases. How often the interval holds is in tests/theory."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from loadplan.bench.doubts import noise_caveats
from loadplan.bench.records import CellRound
from loadplan.bench.summary import calm_rounds, is_settled, nearest_ratio, summarise_cell
from loadplan.errors import InvalidMeasurement

MakeRound = Callable[..., CellRound]


def test_the_interval_rests_on_the_means_of_the_visits(make_round: MakeRound) -> None:
    # Means 2 and 4: mean 3, standard deviation sqrt(2), t(0.975, 1) = 12.7062, half width 12.7062.
    cell = summarise_cell([make_round([1.0, 3.0]), make_round([4.0, 4.0], i=1)])
    assert cell.mean_s == 3.0
    assert cell.mean_s_high == pytest.approx(3.0 + 12.7062, abs=1e-4)
    assert cell.mean_s_low == 0.0  # a time is not negative
    assert (cell.n_samples, cell.min_s, cell.median_s) == (4, 1.0, 3.0)
    # Variance of all calls 2, of the means 2: two visits are worth two samples.
    assert cell.n_effective == pytest.approx(2.0)


def test_visits_count_alike_however_many_calls_each_holds(make_round: MakeRound) -> None:
    assert summarise_cell([make_round([1.0] * 98), make_round([3.0, 3.0], i=1)]).mean_s == 2.0


def test_percentiles_that_the_calls_cannot_support_are_missing(make_round: MakeRound) -> None:
    cell = summarise_cell([make_round([1.0] * 229), make_round([1.0] * 229, i=1)])
    assert cell.p90_s == 1.0
    assert cell.p99_s is None


def test_a_visit_with_a_neighbour_in_it_gives_way_to_the_others(make_round: MakeRound) -> None:
    robbed = make_round([9.0], lost_ratio=0.3)
    calm = [make_round([1.0, 1.0], i=i) for i in range(1, 6)]
    assert list(calm_rounds([robbed, *calm])) == calm
    assert summarise_cell([robbed, *calm]).mean_s == 1.0
    assert not summarise_cell([robbed, *calm]).is_noisy


def test_where_no_visit_was_calm_all_of_them_count_and_the_cell_is_noisy(make_round: MakeRound) -> None:
    cell = summarise_cell([make_round([1.0, 1.0], i=i, lost_ratio=0.3) for i in range(6)])
    assert (cell.n_samples, cell.is_noisy) == (12, True)


def test_much_time_lost_a_little_at_a_time_is_noise_too(make_round: MakeRound) -> None:
    assert summarise_cell([make_round([1.0, 1.0], i=i, lost_ratio=0.06) for i in range(6)]).is_noisy
    assert not summarise_cell([make_round([1.0, 1.0], i=i, lost_ratio=0.04) for i in range(6)]).is_noisy


def test_a_visit_on_cores_that_were_moved_apart_gives_way_to_the_others(make_round: MakeRound) -> None:
    near = [make_round([1.0, 1.0], i=i, apart_ratio=2.4) for i in range(5)]
    far = [make_round([1.4, 1.4], i=i, apart_ratio=4.4) for i in range(5, 8)]
    nearest = nearest_ratio([*near, *far])
    assert nearest == 2.4
    assert list(calm_rounds([*far, *near], nearest)) == near
    assert summarise_cell([*far, *near], nearest).mean_s == 1.0
    assert is_settled([*near, *far], nearest)
    # A cell that was only ever visited on cores apart, while others of the sweep were not, is not known.
    assert summarise_cell(far, nearest).is_noisy
    assert not is_settled([*far, *far], nearest)
    # Where they always are apart, that is how this machine is.
    assert is_settled([*far, *far], nearest_ratio(far))


def test_how_close_the_cores_usually_are_is_not_one_low_reading(make_round: MakeRound) -> None:
    low = make_round([1.0], apart_ratio=1.4)
    usual = [make_round([1.0], i=i, apart_ratio=2.4) for i in range(19)]
    assert nearest_ratio([low, *usual]) == 2.4
    assert nearest_ratio([make_round([1.0])]) is None


def test_a_wide_interval_is_noise(make_round: MakeRound) -> None:
    # Means 1.00 ± 0.05 in turn: half width t(0.975, 5) · 0.0548 / sqrt(6) = 0.0575, more than 2 %.
    visits = [make_round([1.0 + 0.05 * (-1) ** i], i=i) for i in range(6)]
    assert summarise_cell(visits).is_noisy
    assert not is_settled(visits)


def test_a_cell_is_settled_by_five_agreeing_calm_visits_and_not_by_four(make_round: MakeRound) -> None:
    visits = [make_round([1.0, 1.0], i=i) for i in range(5)]
    assert is_settled(visits)
    assert not is_settled(visits[:4])
    assert not is_settled([*visits[:4], make_round([1.0], i=4, lost_ratio=0.5)])
    assert not is_settled([])


def test_one_visit_is_no_figure(make_round: MakeRound) -> None:
    with pytest.raises(InvalidMeasurement):
        summarise_cell([make_round([1.0, 1.0])])


def test_medians_and_means_of_short_calls_are_those_of_loops_and_percentiles_those_of_single_calls(
    make_round: MakeRound,
) -> None:
    singles = [1.1] * 22 + [1.5] * 3
    visits = [
        replace(make_round(singles, i=i), loop_times_s=np.array([1.0, mean_s, 0.9]), calls_per_loop=100)
        for i, mean_s in ((0, 1.1), (1, 1.4))
    ]
    cell = summarise_cell(visits)
    # Loops 0.9, 0.9, 1.0, 1.0, 1.1, 1.4: the third of six; means of the visits 1.0 and 1.1.
    assert (cell.min_s, cell.median_s) == (0.9, 1.0)
    assert cell.mean_s == pytest.approx(1.05)
    assert cell.p90_s == 1.5  # the 45th of 50 is a single call of the upper six
    assert cell.n_samples == 2 * (25 + 300)


def test_after_a_pause_the_mean_need_not_be_known_as_well(make_round: MakeRound) -> None:
    visits = [make_round([1.0 + 0.05 * (-1) ** i], i=i) for i in range(6)]  # ± 5.75 %, as above
    paused = [replace(visit, cell=replace(visit.cell, idle_gap_s=0.015)) for visit in visits]
    assert not is_settled(visits)
    assert is_settled(paused)
    assert not summarise_cell(paused).is_noisy


def test_after_a_pause_eight_visits_are_enough_however_much_they_stray(make_round: MakeRound) -> None:
    visits = [make_round([1.0 + 0.9 * (-1) ** i], i=i) for i in range(8)]
    paused = [replace(visit, cell=replace(visit.cell, idle_gap_s=0.015)) for visit in visits]
    assert not is_settled(visits)
    assert is_settled(paused)
    assert not is_settled(paused[:7])
    assert summarise_cell(paused).is_noisy


def test_noisy_cells_are_counted_in_a_caveat(make_round: MakeRound) -> None:
    quiet = summarise_cell([make_round([1.0], i=i) for i in range(5)])
    noisy = summarise_cell([make_round([1.0 + i], i=i) for i in range(5)])
    (caveat,) = noise_caveats([quiet, noisy, noisy])
    assert (caveat.code, caveat.number) == ("bench.noisy", 2.0)
    assert caveat.what.startswith("2 of 3 benchmark cells are noisy")
    assert noise_caveats([quiet]) == ()
