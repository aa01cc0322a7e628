"""Prices of one family held against each other, each rule with rows made by hand."""

from datetime import date
from decimal import Decimal

import pytest

from loadplan.catalog.instance_type import InstanceType
from loadplan.catalog.price import Offer, PurchaseKind
from loadplan.catalog.reader import load_catalog
from loadplan.catalog.rules import doubts_of, is_local_zone, without_false_spot

SEEN = date(2026, 11, 1)


def offer(
    name: str,
    price: str,
    *,
    n_vcpus: int = 2,
    purchase: PurchaseKind = "on_demand",
    accelerator: str | None = None,
    n_accelerators: float = 0.0,
    baseline_ratio: float | None = None,
) -> Offer:
    return Offer(
        instance_type=InstanceType(
            provider="aws",
            name=name,
            architecture="x86_64",
            n_vcpus=n_vcpus,
            memory_gib=2.0 * n_vcpus,
            accelerator=accelerator,
            n_accelerators=n_accelerators,
            cpu_family=None,
            baseline_ratio=baseline_ratio,
            source="by hand",
        ),
        region="us-east-1",
        purchase=purchase,
        usd_per_hour=Decimal(price),
        price_date=SEEN,
        source="by hand",
        quality="ok",
        layer="test",
    )


def family(*prices: str, series: str = "c9i") -> list[Offer]:
    """Sizes of 2, 4, 8, ... vCPUs at these prices."""
    return [offer(f"{series}.x{i}", price, n_vcpus=2 ** (i + 1)) for i, price in enumerate(prices)]


def doubted(offers: list[Offer]) -> set[str]:
    return {name.split("/")[2] for name in doubts_of(offers)}


def test_prices_that_double_with_the_size_are_not_doubted() -> None:
    assert doubts_of(family("0.1", "0.2", "0.4", "0.8")) == {}


@pytest.mark.parametrize(
    ("price", "is_doubted"),
    [
        # The median per vCPU is 0.05; of two vCPUs 0.6 of it is 0.06 and 1.7 of it 0.17.
        pytest.param("0.06", False, id="six tenths of the median"),
        pytest.param("0.0599", True, id="just below"),
        pytest.param("0.17", False, id="1.7 of the median"),
        pytest.param("0.1701", True, id="just above"),
    ],
)
def test_a_price_per_vcpu_far_from_its_familys_median_is_doubted(price: str, is_doubted: bool) -> None:
    assert ("c9i.x0" in doubted(family(price, "0.2", "0.4", "0.8"))) is is_doubted


def test_the_doubt_says_how_far_it_is() -> None:
    assert doubts_of(family("0.2", "0.21", "0.4", "0.8")) == {
        "aws/us-east-1/c9i.x0/on_demand": "anomaly: 1.95x family median per vCPU"
    }


def test_two_sizes_have_no_median() -> None:
    assert doubts_of(family("0.1", "0.9")) == {}


def test_a_larger_size_that_costs_no_more_puts_both_in_doubt_where_the_median_does_not_decide() -> None:
    assert doubted(family("0.13", "0.13", "0.4", "0.8")) == {"c9i.x0", "c9i.x1"}


def test_families_are_not_mixed_up() -> None:
    assert doubts_of([*family("0.1", "0.2", "0.4"), *family("1", "2", "4", series="x9i")]) == {}


def test_gpu_hosts_are_not_held_to_the_median_but_to_their_order() -> None:
    hosts = [
        offer("g9.xlarge", "1.0", n_vcpus=4, accelerator="L4", n_accelerators=1),
        offer("g9.8xlarge", "1.5", n_vcpus=32, accelerator="L4", n_accelerators=1),
        offer("g9.16xlarge", "1.4", n_vcpus=64, accelerator="L4", n_accelerators=1),
    ]
    assert doubted(hosts) == {"g9.8xlarge", "g9.16xlarge"}


def test_burstable_types_are_paid_by_their_baseline() -> None:
    sizes = [offer(f"t9.x{i}", price, baseline_ratio=0.1 * (i + 1)) for i, price in enumerate(("0.01", "0.05", "0.1"))]
    assert doubts_of(sizes) == {}


def test_spot_above_on_demand_is_doubted() -> None:
    offers = [offer("c9i.x", "0.1"), offer("c9i.x", "0.11", purchase="spot")]
    assert doubts_of(offers) == {"aws/us-east-1/c9i.x/spot": "spot above the on-demand price 0.1"}


def test_spot_equal_to_on_demand_is_no_spot() -> None:
    offers = [offer("a.x", "0.1"), offer("a.x", "0.10", purchase="spot"), offer("b.x", "0.1", purchase="spot")]
    assert [one.name for one in without_false_spot(offers)] == [
        "aws/us-east-1/a.x/on_demand",
        "aws/us-east-1/b.x/spot",
    ]


@pytest.mark.parametrize(
    ("provider", "place", "is_local"),
    [
        pytest.param("aws", "us-east-1", False, id="a region"),
        pytest.param("aws", "us-gov-west-1", False, id="a region of its own"),
        pytest.param("aws", "us-west-2-lax-1", True, id="a local zone"),
        pytest.param("aws", "us-east-1-wl1-bos-wlz-1", True, id="a wavelength zone"),
        pytest.param("gcp", "northamerica-northeast1", False, id="a region of Google's"),
        pytest.param("gcp", "us-central1-ai1a", True, id="an AI zone"),
        pytest.param("azure", "eastus2", False, id="a region of Azure's"),
    ],
)
def test_local_zones_are_told_by_their_names(provider: str, place: str, is_local: bool) -> None:
    assert is_local_zone(provider, place) is is_local


def test_the_shipped_prices_pass_their_own_rules_but_those_that_the_snapshot_itself_flags() -> None:
    shipped = load_catalog(as_of=date(2026, 11, 24)).offers
    found = doubts_of(shipped)
    assert set(found) == {
        "azure/eastus/Standard_D2as_v5/on_demand",
        "azure/westeurope/Standard_D16as_v5/on_demand",
    }
    assert all(one.quality != "ok" for one in shipped if one.name in found)
    assert not any(is_local_zone(one.instance_type.provider, one.region) for one in shipped)
