"""The sweep that a scenario asks for on this machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from loadplan.bench.devices import providers_here
from loadplan.bench.grid import bench_cells, cold_cells, length_cells
from loadplan.bench.pruning import N_COLUMNS_KEPT
from loadplan.bench.runner import BenchRequest
from loadplan.errors import InputError
from loadplan.machine import Machine
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import Scenario


def bench_request(
    scenario: Scenario, *, models: Mapping[str, Path], payloads: PayloadSet, machine: Machine
) -> BenchRequest:
    """The grid with the pauses, and what is given up in it.

    Args:
        scenario: what is wanted.
        models: ONNX files by variant, in the order in which they are told.
        payloads: real rows.
        machine: this one.

    Raises:
        EnvironmentFault: when a provider that the scenario asks for can't run a model here.
        InputError: when it asks for lengths that the rows don't have.
    """
    wanted = scenario.bench
    cells, caveats = bench_cells(
        list(models),
        n_threads=scenario.serving.n_threads,
        batch_sizes=wanted.batch_sizes,
        n_usable_cores=machine.n_usable_cores,
        providers=providers_here(wanted.providers),
        side_by_side=wanted.side_by_side,
    )
    _require_lengths(wanted.sequence_lengths, payloads)
    return BenchRequest(
        models=models,
        payloads=payloads,
        cells=(*cells, *cold_cells(cells), *length_cells(cells, wanted.sequence_lengths)),
        budget_s=wanted.budget_s,
        machine=machine,
        caveats=caveats,
        objective_s=_tightest_limit_s(scenario),
        exhaustive=wanted.exhaustive,
    )


def _require_lengths(wanted: Sequence[int], payloads: PayloadSet) -> None:
    longest = 0 if payloads.lengths is None else int(payloads.lengths.max())
    if not wanted or max(wanted) <= longest:
        return
    reason = f"the longest row has {longest} positions" if longest else "the rows are all of one length"
    raise InputError(
        what=f"rows of {max(wanted)} positions can't be timed: {reason}",
        where="bench.sequence_lengths",
        fix=f"name lengths up to {longest}, or bring longer rows" if longest else "leave the key out",
    )


def limit_that_decides_s(scenario: Scenario, n_variants: int) -> float | None:
    """The limit by which something may be given up; None: nothing may, and the sweep is the same for any objective."""
    n_rivals = n_variants * len(set(scenario.serving.n_threads))
    return None if scenario.bench.exhaustive or n_rivals <= N_COLUMNS_KEPT else _tightest_limit_s(scenario)


def _tightest_limit_s(scenario: Scenario) -> float:
    """The shortest time that any objective names: an inference that takes longer misses it by itself.

    Of several classes the one with the loosest counts, for its requests may be in an inference without the others.
    """
    tightest_s: dict[str | None, float] = {}
    for slo in scenario.objectives:
        own_s = min(limit.limit_s for limit in slo.limits)
        tightest_s[slo.class_name] = min(own_s, tightest_s.get(slo.class_name, own_s))
    return max(tightest_s.values())
