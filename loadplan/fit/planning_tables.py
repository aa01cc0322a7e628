"""What a planner looks up in a fit, beside the capacities of single servers: better batching, fleets, parts of time."""

from loadplan.fit.batching import with_better_batching
from loadplan.fit.breakdown import with_breakdowns
from loadplan.fit.fleet_ladder import with_fleets
from loadplan.fit.records import CapacityFit
from loadplan.scenario.spec import Scenario


def with_planning_tables(fit: CapacityFit, scenario: Scenario) -> CapacityFit:
    """A fit that has its capacities, with all three: batching first, for the others are of each device's best setting.

    Raises:
        InputError: when an execution was not benchmarked, or its batches are far larger than any that were.
    """
    return with_breakdowns(with_fleets(with_better_batching(fit, scenario), scenario), scenario)
