"""Imported prices over shipped ones, a project's own over those, and what the command line says over all."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from loadplan.catalog.price import Offer
from loadplan.catalog.reader import load_catalog
from loadplan.errors import InputError

AS_OF = date(2026, 11, 24)
HEADER = "provider,region,instance_type,purchase,currency,price_per_hour,source,date_seen"
TYPE = "aws,us-east-1,c7i.large"


def written(folder: Path, name: str, *rows: str, header: str = HEADER) -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def price_of(offers: tuple[Offer, ...], name: str = "aws/us-east-1/c7i.large/on_demand") -> tuple[Decimal, str]:
    (offer,) = [one for one in offers if one.name == name]
    return offer.usd_per_hour, offer.layer


def test_each_layer_lies_over_the_one_below(tmp_path: Path) -> None:
    imported = written(tmp_path, "mine.csv", f"{TYPE},on_demand,USD,0.08,invoice,2026-10-01")
    project = written(tmp_path, "prices.csv", f"{TYPE},on_demand,USD,0.07,contract,2026-09-01")
    overrides = {"aws/us-east-1/c7i.large": Decimal("0.06")}
    shipped = load_catalog(as_of=AS_OF)
    with_import = load_catalog(as_of=AS_OF, imported=[imported])
    with_project = load_catalog(as_of=AS_OF, imported=[imported], project=project)
    with_price = load_catalog(as_of=AS_OF, imported=[imported], project=project, overrides=overrides)
    assert price_of(shipped.offers) == (Decimal("0.08925"), "shipped 2026-11")
    assert price_of(with_import.offers) == (Decimal("0.08"), "imported mine")
    # Older than the import, and over it all the same: a project's word is the project's.
    assert price_of(with_project.offers) == (Decimal("0.07"), "project prices.csv")
    assert price_of(with_price.offers) == (Decimal("0.06"), "--price")
    assert with_price.version == "2026-11 + imported + project + --price"
    assert len(with_price.offers) == len(shipped.offers)


def test_of_two_imports_the_price_that_was_seen_last_is_taken(tmp_path: Path) -> None:
    newer = written(tmp_path, "a.csv", f"{TYPE},on_demand,USD,0.08,x,2026-10-01")
    older = written(tmp_path, "b.csv", f"{TYPE},on_demand,USD,0.09,x,2026-09-01")
    for files in ([newer, older], [older, newer]):
        assert price_of(load_catalog(as_of=AS_OF, imported=files).offers) == (Decimal("0.08"), "imported a")


def test_a_price_in_another_currency_needs_a_stated_rate(tmp_path: Path) -> None:
    row = f"{TYPE},on_demand,EUR,0.08,invoice,2026-10-01"
    with pytest.raises(InputError, match="nothing states what one EUR is"):
        load_catalog(as_of=AS_OF, project=written(tmp_path, "p.csv", row))
    stated = written(tmp_path, "p.csv", f"{row},1.10", header=f"{HEADER},usd_per_unit")
    (offer,) = [one for one in load_catalog(as_of=AS_OF, project=stated).offers if one.layer == "project p.csv"]
    assert offer.usd_per_hour == Decimal("0.088")
    assert "0.08 EUR at 1.10 USD" in offer.source


def test_a_row_may_describe_a_type_that_the_snapshot_lacks_and_its_series_tells_the_processor(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "p.csv",
        "aws,us-east-1,c7i.12xlarge,on_demand,USD,2.142,x,2026-10-01,48,96",
        "nowhere,here,big,on_demand,USD,1,x,2026-10-01,8,32",
        header=f"{HEADER},n_vcpus,memory_gib",
    )
    types = {one.type_name: one.instance_type for one in load_catalog(as_of=AS_OF, project=file).offers}
    known, unknown = types["aws/c7i.12xlarge"], types["nowhere/big"]
    assert known.cpu_family is not None
    assert (known.cpu_family.name, known.vcpu_is, known.architecture) == ("c7i/m7i", "thread", "x86_64")
    assert (unknown.cpu_family, unknown.architecture, unknown.n_vcpus) == (None, "unknown", 8)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param(
            "aws,us-east-1,c99.large,on_demand,USD,1,x,2026-10-01,,", "doesn't describe it", id="not described"
        ),
        pytest.param("aws,us-east-1,t3.nano,on_demand,USD,1,x,2026-10-01,2,0.5", "is burstable", id="no baseline"),
        pytest.param(f"{TYPE},on_demand,USD,1,x,2026-11-25,,", "after 2026-11-24", id="seen in the future"),
        pytest.param(f"{TYPE},on_demand,USD,0,x,2026-10-01,,", "not a number above 0", id="for nothing"),
        pytest.param(f"{TYPE},spot,USD,700.0,x,2026-10-01,,", "stands for `no price`", id="the sentinel"),
    ],
)
def test_a_row_that_can_not_be_right_is_refused_with_its_line(tmp_path: Path, row: str, words: str) -> None:
    file = written(tmp_path, "p.csv", row, header=f"{HEADER},n_vcpus,memory_gib")
    with pytest.raises(InputError, match=words) as caught:
        load_catalog(as_of=AS_OF, project=file)
    assert caught.value.where.endswith("p.csv, line 2")


def test_only_a_machine_of_ones_own_may_cost_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, "p.csv", "aws,us-east-1,c7i.large,owned,USD,0,x,2026-10-01")
    assert price_of(load_catalog(as_of=AS_OF, project=file).offers, "aws/us-east-1/c7i.large/owned")[0] == 0


def test_a_price_far_from_its_family_is_flagged_whichever_layer_it_comes_from(tmp_path: Path) -> None:
    file = written(tmp_path, "p.csv", f"{TYPE},on_demand,USD,0.01,x,2026-10-01")
    (offer,) = [one for one in load_catalog(as_of=AS_OF, project=file).offers if one.layer == "project p.csv"]
    assert offer.quality == "anomaly: 0.11x family median per vCPU"


def test_the_snapshot_tells_what_is_known_beside_prices() -> None:
    known = load_catalog(as_of=AS_OF)
    by_device = {one.device: one for one in known.references.power}
    assert (by_device["NVIDIA T4"].min_w, by_device["NVIDIA T4"].max_w) == (8.0, 71.0)
    assert by_device["NVIDIA L4"].basis == "derived"
    assert {one.provider: one.pue for one in known.references.facilities} == {"aws": 1.135, "azure": 1.185}
    assert len(known.references.grids) == 10
    assert [one.usd_per_gb_second for one in known.references.services] == [
        Decimal("0.0000166667"),
        Decimal("0.0000133334"),
    ]
    assert len(known.references.accelerators) == 18
    (three_years,) = [one for one in known.offers if one.name == "gcp/us-central1/a3-highgpu-1g/commit_3y"]
    # 3,546.37477674 USD a month of 730 hours.
    assert abs(three_years.usd_per_hour * 730 - Decimal("3546.37477674")) < Decimal("0.001")
    types = {one.type_name: one.instance_type for one in known.offers}
    assert types["aws/t3.medium"].surplus_usd_per_vcpu_hour == Decimal("0.05")
    # 3920m of CPU and 6584 MiB.
    assert (types["aws/c7i.xlarge"].usable_vcpus, types["aws/c7i.xlarge"].usable_memory_gib) == (3.92, 6.42)
    assert (types["aws/c7i.large"].vcpu_is, types["aws/c7a.2xlarge"].vcpu_is) == ("thread", "core")
