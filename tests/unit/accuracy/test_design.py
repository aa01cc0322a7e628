"""What `make accuracy` drives holds what was promised, and was drawn before anything was measured."""

from collections import Counter

import pytest

from loadplan.errors import InputError
from loadplan.scenario.arrivals import GammaArrivals
from tests.accuracy.design import (
    PAIR,
    PARTS,
    SUBJECTS,
    Design,
    estimated_s,
    full_design,
    only,
    round_order,
    saturation_order,
)


def test_the_design_holds_as_many_of_everything_as_was_promised() -> None:
    design = full_design()
    usual = [one for one in design.configurations if not one.is_apart]

    assert len(usual) >= 24
    assert len(design.subjects) >= 3
    assert {one.load_ratio for one in usual} == {0.3, 0.5, 0.7}
    assert {one.max_batch_size for one in usual if one.subject == "chain"} == {1, 8, 32}
    assert sum(isinstance(one.arrivals, GammaArrivals) for one in usual) == len(SUBJECTS)
    assert sum(one.batch_window_s == 2e-3 for one in usual) == len(SUBJECTS)
    assert sum(one.is_held_out for one in design.saturations) >= 6
    assert len(design.capacities) >= 6
    assert len(design.decisions) >= 12
    assert all(0.7 < one.load_ratio <= 0.85 for one in design.configurations if one.is_apart)


def test_every_name_is_given_once() -> None:
    design = full_design()
    for part in (design.held_out, design.saturations, design.capacities, design.decisions):
        assert max(Counter(one.name for one in part).values()) == 1


def test_no_calibration_run_is_held_out() -> None:
    """Those are: bursts at the smallest and the largest size, one at a time idle and at 50 %, the middle at 65 %."""
    for one in full_design().configurations:
        smallest, middle, _ = next(s.max_batch_sizes for s in SUBJECTS if s.name == one.subject)
        assert (one.max_batch_size, one.load_ratio) not in {(smallest, 0.5), (middle, 0.65)}
    for saturation in full_design().saturations:
        smallest, _, largest = full_design().subject(saturation.subject).max_batch_sizes
        is_of_pair = saturation.subject == PAIR.name
        assert saturation.is_held_out == (not is_of_pair and saturation.max_batch_size not in (smallest, largest))


def test_it_is_drawn_alike_every_time() -> None:
    assert full_design() == full_design()
    assert round_order(full_design(), 2) == round_order(full_design(), 2)


def test_every_round_drives_everything_once_in_an_order_of_its_own_with_the_calibration_among_it() -> None:
    design = full_design()
    first, second = round_order(design, 0), round_order(design, 1)

    assert Counter(first) == Counter(second)
    assert first != second
    assert Counter(slot.configuration for slot in first if slot.configuration) == Counter(design.held_out)
    assert Counter(slot.subject for slot in first if slot.configuration is None) == {s.name: 5 for s in design.subjects}
    where = [i for i, slot in enumerate(first) if slot.configuration is None]
    assert where != list(range(where[0], where[0] + len(where)))
    assert sorted(one.name for one in saturation_order(design, 0)) == sorted(one.name for one in design.saturations)


def test_a_part_is_what_its_names_leave() -> None:
    chain = only(full_design(), ["chain", "prediction"])

    assert [subject.name for subject in chain.subjects] == ["chain"]
    assert {one.subject for one in chain.configurations} == {"chain"}
    assert len(chain.saturations) == 4  # rates are shares of them
    assert not any(one.is_held_out for one in chain.saturations)
    assert not chain.capacities
    assert not chain.decisions
    assert only(full_design(), []) == full_design()
    assert only(full_design(), list(PARTS)) == full_design()


def test_two_replicas_are_driven_at_every_load_by_every_law_some_in_bursts() -> None:
    fleets = full_design().fleets

    assert {one.load_ratio for one in fleets} == {0.3, 0.5, 0.7}
    assert {one.balancing for one in fleets} == {"random", "round_robin", "least_outstanding"}
    assert {one.n_replicas for one in fleets} == {2}
    assert 0 < sum(isinstance(one.arrivals, GammaArrivals) for one in fleets) < len(fleets) / 2
    assert {(one.subject, one.max_batch_size) for one in fleets} == {("pair", size) for size in PAIR.max_batch_sizes}


def test_replicas_are_a_part_of_their_own() -> None:
    """Whoever asks for them alone waits for no other subject, and whoever asks for another part not for theirs."""
    replicas, others = only(full_design(), ["replicas"]), only(full_design(), ["prediction"])

    assert [subject.name for subject in replicas.subjects] == ["pair"]
    assert replicas.held_out == replicas.fleets == full_design().fleets
    assert {one.subject for one in replicas.saturations} == {"pair"}
    assert others.subjects == SUBJECTS
    assert not others.fleets
    with pytest.raises(InputError, match="small and replicas have nothing in common"):
        only(full_design(), ["small", "replicas"])


def test_a_name_that_nothing_has_is_refused() -> None:
    with pytest.raises(ValueError, match="'chian' is neither of small, chain"):
        only(full_design(), ["chian"])


def test_the_time_it_takes_is_the_sum_of_its_runs() -> None:
    """Ten rounds of four 1.5 s runs and seven 3 s runs with five more of calibration, each started in 2.5 s."""
    design = only(full_design(), ["small", "prediction"])
    rounds_only = Design(
        subjects=design.subjects,
        configurations=design.configurations,
        saturations=design.saturations,
        capacities=(),
        decisions=(),
        n_rounds=10,
    )

    runs_s = 10 * (4 * 4.0 + (7 + 5) * 5.5)
    assert estimated_s(rounds_only) == pytest.approx(runs_s + 15.0 + 25.0 + 11 * 12.0)
