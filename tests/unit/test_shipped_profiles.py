"""The profiles in results/profiles stay readable, and tell what they were measured on."""

from pathlib import Path

import pytest

from loadplan.profile import read_profile

_FOLDER = Path(__file__).parents[2] / "results" / "profiles"


@pytest.mark.parametrize("path", sorted(_FOLDER.glob("*.parquet")), ids=lambda path: path.stem)
def test_a_profile_tells_its_gpu_and_capacities_on_it(path: Path) -> None:
    facts = read_profile(path).facts
    (gpu,) = facts.machine.gpus
    assert "-".join(gpu.name.lower().split()) == path.stem
    on_gpu = [each for each in facts.fit.capacities if each.setting.execution.provider_name == "CUDA"]
    assert on_gpu
    for each in on_gpu:
        assert 0.0 < each.usable_capacity_rps_low <= each.usable_capacity_rps <= each.usable_capacity_rps_high
