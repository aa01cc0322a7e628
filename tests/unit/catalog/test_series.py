"""What the name of a type tells."""

import pytest

from loadplan.catalog.reader import load_catalog
from loadplan.catalog.series import architecture_of, is_burstable, series_of
from tests.unit.catalog.test_reader import AS_OF


@pytest.mark.parametrize(
    ("provider", "name", "series"),
    [
        ("aws", "c7i.2xlarge", "c7i"),
        ("gcp", "n4-highcpu-16", "n4-highcpu"),
        ("gcp", "a3-highgpu-8g", "a3-highgpu"),
        ("azure", "Standard_D16as_v6", "Standard_D*as_v6"),
        ("azure", "Standard_E8-4s_v5", "Standard_E*s_v5"),
        ("lambda", "gpu_8x_h100_sxm5", "gpu_*x_h100_sxm5"),
    ],
)
def test_sizes_of_one_machine_share_a_series(provider: str, name: str, series: str) -> None:
    assert series_of(provider, name) == series


def test_the_names_tell_the_architecture_of_every_shipped_type() -> None:
    for offer in load_catalog(as_of=AS_OF).offers:
        own = offer.instance_type
        assert architecture_of(own.provider, own.name) in (None, own.architecture), own.name


@pytest.mark.parametrize(
    ("provider", "name", "expected"),
    [
        ("aws", "t3.medium", True),
        ("aws", "t4g.large", True),
        ("aws", "trn1.2xlarge", False),
        ("azure", "Standard_B2s", True),
        ("azure", "Standard_D2s_v6", False),
        ("gcp", "e2-medium", True),
        ("gcp", "e2-standard-2", False),
        ("lambda", "t3.medium", False),
    ],
)
def test_burstable_types_are_told_by_their_names(provider: str, name: str, expected: bool) -> None:
    assert is_burstable(provider, name) is expected
