"""The search for better batching between the settings that a scenario names."""

from collections.abc import Callable

import pytest

from loadplan.bench.records import BenchRun
from loadplan.fit.batching import with_better_batching
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.records import CapacityFit, OverheadFit
from loadplan.load.records import LoadRun
from loadplan.scenario.spec import Scenario
from tests.unit.fit.capacity.queues import slo

MakeBench = Callable[..., BenchRun]
MakeOverhead = Callable[..., OverheadFit]
MakeScenario = Callable[..., Scenario]
Know = Callable[..., None]

OBJECTIVE = slo(0.99, 0.1)


@pytest.fixture
def searched(
    make_bench: MakeBench, run: LoadRun, make_scenario: MakeScenario, know: Know, make_overhead: MakeOverhead
) -> Callable[..., tuple[CapacityFit, CapacityFit]]:
    """The fit without and with the search, of a server that costs nothing but its inferences."""

    def search(bench: dict[int, float], **options: object) -> tuple[CapacityFit, CapacityFit]:
        know(make_overhead())
        scenario = make_scenario(objectives=(OBJECTIVE,), **options)
        fit = fit_capacity(make_bench(bench), [run], scenario)
        return fit, with_better_batching(fit, scenario)

    return search


def test_a_batch_between_two_choices_is_found_where_a_larger_one_is_slow(
    searched: Callable[..., tuple[CapacityFit, CapacityFit]],
) -> None:
    """16 rows take a millisecond as 8 do, and 32 take ten: 16 rows in a batch carry twice what 8 do."""
    before, after = searched({1: 1e-3, 8: 1e-3, 16: 1e-3, 17: 9e-3, 32: 1e-2}, max_batch_sizes=(1, 8, 32))
    assert after.capacities[: len(before.capacities)] == before.capacities
    (new,) = after.capacities[len(before.capacities) :]
    best = max(one.usable_capacity_rps for one in before.capacities)
    assert new.setting.serving.max_batch_size == 16
    assert new.usable_capacity_rps == pytest.approx(2.0 * best, rel=0.05)
    assert new.usable_capacity_rps_low <= new.usable_capacity_rps
    assert new.curve


@pytest.mark.parametrize("sizes", [(8,), (1, 8)], ids=["one choice leaves nothing to search", "the largest is best"])
def test_nothing_is_added_where_nothing_carries_more(
    searched: Callable[..., tuple[CapacityFit, CapacityFit]], sizes: tuple[int, ...]
) -> None:
    before, after = searched({1: 1e-3, 8: 1e-3}, max_batch_sizes=sizes)
    assert after.capacities == before.capacities
