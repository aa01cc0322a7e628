"""The profiles in results/profiles stay readable, and tell what they were measured on."""

from pathlib import Path

import pytest

from loadplan.profile import read_profile

_FOLDER = Path(__file__).parents[2] / "results" / "profiles"


@pytest.mark.parametrize("path", sorted(_FOLDER.glob("*.parquet")), ids=lambda path: path.stem)
def test_a_profile_tells_its_gpu_and_has_laws_of_it(path: Path) -> None:
    facts = read_profile(path).facts
    (gpu,) = facts.machine.gpus
    assert "-".join(gpu.name.lower().split()) == path.stem
    assert {law.execution.provider_name for law in facts.fit.service_times} == {"CPU", "CUDA"}
