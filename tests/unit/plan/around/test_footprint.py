"""Energy and emissions by hand, from figures with a source and a day."""

from dataclasses import replace
from datetime import date

import pytest

from loadplan.catalog.price import Offer
from loadplan.catalog.reference import Facility, GridIntensity, PowerRange, References
from loadplan.plan.around.footprint import footprint_of
from loadplan.plan.records.fleet import Fleet, FleetItem, ReplicaCapacity

SEEN = date(2026, 11, 1)
REFERENCES = References(
    power=(
        PowerRange(device="Zen 2", unit="vcpu", min_w=1.0, max_w=3.0, basis="published", source="a paper", seen=SEEN),
        PowerRange(
            device="average CPU (AWS)", unit="vcpu", min_w=2.0, max_w=4.0, basis="published", source="x", seen=SEEN
        ),
        PowerRange(device="NVIDIA L4", unit="gpu", min_w=10.0, max_w=70.0, basis="derived", source="y", seen=SEEN),
        PowerRange(device="NVIDIA L40S", unit="gpu", min_w=40.0, max_w=350.0, basis="derived", source="y", seen=SEEN),
    ),
    grids=(
        GridIntensity(
            provider="aws", region="east", grid="E", kg_co2e_per_kwh=0.5, method="average", source="z", seen=SEEN
        ),
    ),
    facilities=(Facility(provider="aws", pue=1.2, source="f", seen=SEEN),),
)


def fleet_of(offer: Offer) -> Fleet:
    """Three replicas that carry 100 requests per second each."""
    capacity = ReplicaCapacity(
        usable_capacity_rps=100.0,
        usable_capacity_rps_low=90.0,
        usable_capacity_rps_high=110.0,
        setting=None,
        speed_ratio=1.0,
        n_server_processes=1,
        basis="simulated",
    )
    return Fleet(
        items=(FleetItem(offer=offer, n_replicas=3),),
        capacity=capacity,
        usd_per_hour=3 * offer.usd_per_hour,
        usd_per_month=3 * 730 * offer.usd_per_hour,
        utilisation_ratio=0.5,
        utilisation_ratio_degraded=0.75,
        predicted_p99_s=None,
        predicted_p99_s_low=None,
        predicted_p99_s_high=None,
        basis="simulated",
        reason="",
    )


def test_watts_grow_with_use_and_are_drawn_through_the_data_centre(offer: Offer) -> None:
    # 150 of 300 a second on average: half used. 4 vCPUs x 2 W = 8 W; x 3 x 1,000 h x 1.2 = 28.8 kWh, 14.4 kg.
    found, _ = footprint_of(fleet_of(offer), mean_rps=150.0, hours_per_month=1000, references=REFERENCES)
    assert found is not None
    assert (found.mean_utilisation_ratio, found.w_per_replica) == (0.5, 8.0)
    assert found.kwh_per_month == pytest.approx(28.8)
    assert found.kg_co2e_per_month == pytest.approx(14.4)
    assert found.sources[0] == "power of Zen 2 (published): a paper, seen 2026-11-01"


def test_a_gpu_draws_beside_its_host_whose_processor_may_be_an_average_one(offer: Offer) -> None:
    # 4 vCPUs x 3 W and one L4 (not the L40S) at half use, 40 W.
    own = replace(offer.instance_type, accelerator="L4", n_accelerators=1.0, cpu_family=None)
    found, _ = footprint_of(
        fleet_of(replace(offer, instance_type=own)), mean_rps=150.0, hours_per_month=1000, references=REFERENCES
    )
    assert found is not None
    assert found.w_per_replica == 52.0


def test_where_nothing_is_known_of_the_grid_only_the_energy_is_told(offer: Offer) -> None:
    found, _ = footprint_of(
        fleet_of(replace(offer, region="moon")), mean_rps=150.0, hours_per_month=1000, references=REFERENCES
    )
    assert found is not None
    assert (found.kg_co2e_per_month, found.kg_co2e_reason) == (None, "nothing is known of the grid at aws/moon")
    assert found.kwh_per_month == pytest.approx(28.8)


def test_an_unknown_accelerator_is_not_left_out_in_silence(offer: Offer) -> None:
    own = replace(offer.instance_type, accelerator="B300", n_accelerators=8.0)
    found, reason = footprint_of(
        fleet_of(replace(offer, instance_type=own)), mean_rps=150.0, hours_per_month=1000, references=REFERENCES
    )
    assert (found, reason) == (None, "aws/h.xlarge: nothing is known of the power of its devices")
