"""Placing a machine among the processors of the catalogue."""

from dataclasses import replace
from datetime import date

import pytest

from loadplan.catalog.reader import load_catalog
from loadplan.fit.records import CapacityFit
from loadplan.plan.hardware.microarchitecture import find_cpu_family, find_generation


@pytest.mark.parametrize(
    ("cpu_model", "generation"),
    [
        pytest.param("AMD EPYC (family 26, model 2)", "Zen 5", id="a name blanked by the hypervisor"),
        pytest.param("AMD EPYC 9R14 (family 25, model 17)", "Zen 4", id="Genoa"),
        pytest.param("AMD EPYC 7B13 (family 25, model 1)", "Zen 3", id="Milan"),
        pytest.param("Intel(R) Xeon(R) Platinum 8488C (family 6, model 143)", "Sapphire Rapids", id="Intel"),
        pytest.param("AMD EPYC (family 26, model 80)", None, id="a model not in the table"),
        pytest.param("Neoverse", None, id="no numbers"),
    ],
)
def test_family_and_model_tell_the_generation(cpu_model: str, generation: str | None) -> None:
    assert find_generation(cpu_model) == generation


@pytest.mark.parametrize(
    ("cpu_model", "instance_type", "family"),
    [
        pytest.param("AMD EPYC (family 26, model 2)", None, "c8a", id="by generation"),
        pytest.param("anything", "aws/c7g.large", "c7g/m7g", id="by instance type"),
        pytest.param("Intel (family 6, model 207)", None, "Ds_v6", id="the fastest of a generation, to be cautious"),
        pytest.param("anything", "aws/unheard.of", None, id="not at all"),
    ],
)
def test_a_machine_is_placed(fit: CapacityFit, cpu_model: str, instance_type: str | None, family: str | None) -> None:
    machine = replace(fit.machine, cpu_model=cpu_model, instance_type=instance_type)
    found = find_cpu_family(machine, load_catalog(as_of=date(2026, 11, 24)))
    assert (found and found.name) == family
