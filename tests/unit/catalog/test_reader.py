"""The shipped snapshot, and figures that can't be right."""

import csv
import shutil
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import pytest

from loadplan.catalog.price import Offer
from loadplan.catalog.reader import SHIPPED_VERSION, load_catalog
from loadplan.errors import InputError

AS_OF = date(2026, 11, 24)
SHIPPED = Path(str(files("loadplan.catalog"))) / "snapshots" / SHIPPED_VERSION


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A copy of the shipped snapshot, to be damaged."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "copy"))


@pytest.fixture(scope="module")
def offers() -> dict[str, Offer]:
    return {offer.name: offer for offer in load_catalog(as_of=AS_OF).offers}


def with_price(snapshot: Path, **cells: str) -> Path:
    """The snapshot with other cells in the first row of its prices."""
    return with_row(snapshot, "prices.csv", **cells)


def with_row(snapshot: Path, name: str, **cells: str) -> Path:
    """The snapshot with other cells in the first row of a file."""
    path = snapshot / name
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0].update(cells)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return snapshot


def test_a_price_stays_as_it_was_written(offers: dict[str, Offer]) -> None:
    offer = offers["aws/us-east-1/c7i.large/on_demand"]
    assert (offer.usd_per_hour, offer.price_date) == (Decimal("0.08925"), date(2026, 7, 20))
    assert (offer.source, offer.layer) == ("karpenter-provider-aws@6fc13b52", "shipped 2026-11")


def test_every_shipped_row_has_a_source_and_a_date() -> None:
    for path in SHIPPED.glob("*.csv"):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert rows
        assert all(row["source"] and date.fromisoformat(row["date_seen"]) <= AS_OF for row in rows), path.name


@pytest.mark.parametrize(
    ("name", "family"),
    [
        pytest.param("aws/us-east-1/m7i.large/on_demand", "c7i/m7i", id="by a shared row"),
        pytest.param("gcp/us-central1/n4-highcpu-2/spot", "n4/c4", id="by the series of a name"),
        pytest.param("azure/eastus/Standard_D4s_v6/on_demand", "Ds_v6", id="by a pattern with a size in it"),
        pytest.param("azure/eastus/Standard_D4als_v6/on_demand", "Das_v6", id="less memory, the same processor"),
        pytest.param("azure/eastus/Standard_F4als_v6/on_demand", "Fals_v6", id="F is a series of its own"),
        pytest.param("azure/eastus/Standard_D2ls_v6/on_demand", None, id="another processor was seen on it"),
        pytest.param("gcp/us-central1/c4d-standard-2/on_demand", None, id="no row"),
    ],
)
def test_a_type_belongs_to_the_family_that_its_name_says(
    offers: dict[str, Offer], name: str, family: str | None
) -> None:
    known = offers[name].instance_type.cpu_family
    assert (known and known.name) == family


def test_a_doubtful_price_keeps_its_flag(offers: dict[str, Offer]) -> None:
    assert offers["azure/eastus/Standard_D2as_v5/on_demand"].quality == "anomaly: 2.07x family median per vCPU"


def test_a_price_without_a_day_is_dated_at_its_earliest_and_flagged(offers: dict[str, Offer]) -> None:
    offer = offers["lambda/us-east-1/gpu_1x_h100_pcie/on_demand"]
    assert offer.price_date == date(2026, 1, 1)
    assert offer.quality.startswith("undated: ")


def test_a_burstable_type_keeps_its_baseline(offers: dict[str, Offer]) -> None:
    assert offers["aws/us-east-1/t3.medium/on_demand"].instance_type.baseline_ratio == 0.2


def test_offers_come_in_order_of_their_names(offers: dict[str, Offer]) -> None:
    assert list(offers) == sorted(offers)
    assert len(offers) == 574


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        pytest.param({"price_per_hour": "0"}, "not a number above 0", id="zero"),
        pytest.param({"price_per_hour": "-1"}, "not a number above 0", id="negative"),
        pytest.param({"price_per_hour": "NaN"}, "not a number above 0", id="not a number at all"),
        pytest.param({"price_per_hour": "cheap"}, "'cheap' is not a number", id="a word"),
        pytest.param({"price_per_hour": ""}, "is empty", id="no price"),
        pytest.param({"price_per_hour": "700.0"}, "stands for `no price`", id="the sentinel"),
        pytest.param({"currency": "EUR"}, "EUR is not USD", id="another currency"),
        pytest.param({"currency": ""}, "currency: is empty", id="no currency"),
        pytest.param({"date_seen": "2026-11-25"}, "seen on 2026-11-25, after 2026-11-24", id="a date in the future"),
        pytest.param({"date_seen": "yesterday"}, "is not a date", id="not a date"),
        pytest.param({"purchase": "stolen"}, "'stolen' is not known", id="an unknown purchase"),
        pytest.param({"instance_type": "c99.large"}, "is not in instances.csv", id="an unknown type"),
        pytest.param({"instance_type": "c7i.xlarge"}, "stands twice", id="the same offer twice"),
        pytest.param({"source": ""}, "source: is empty", id="no source"),
    ],
)
def test_a_price_that_can_not_be_right_is_refused_with_its_line(
    snapshot: Path, cells: dict[str, str], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_catalog(as_of=AS_OF, snapshot=with_price(snapshot, **cells))
    assert words in caught.value.what
    assert "prices.csv, line " in caught.value.where


@pytest.mark.parametrize("name", ["instances.csv", "cpu_families.csv", "power.csv"])
def test_no_figure_of_a_snapshot_was_seen_in_the_future(snapshot: Path, name: str) -> None:
    with pytest.raises(InputError, match="seen on 2026-11-25, after 2026-11-24") as caught:
        load_catalog(as_of=AS_OF, snapshot=with_row(snapshot, name, date_seen="2026-11-25"))
    assert f"{name}, line 2" in caught.value.where


def test_spot_above_on_demand_is_refused(snapshot: Path) -> None:
    # The first row is c7i.large on demand; make it the spot price of c7i.xlarge's on-demand offer.
    with pytest.raises(InputError, match="is above the on-demand price"):
        load_catalog(
            as_of=AS_OF,
            snapshot=with_price(snapshot, instance_type="c7i.2xlarge", purchase="spot", price_per_hour="0.4"),
        )


def test_spot_equal_to_on_demand_means_no_spot(snapshot: Path) -> None:
    changed = with_price(snapshot, instance_type="c7i.2xlarge", purchase="spot", price_per_hour="0.3570")
    names = [offer.name for offer in load_catalog(as_of=AS_OF, snapshot=changed).offers]
    assert "aws/us-east-1/c7i.2xlarge/spot" not in names
    assert "aws/us-east-1/c7i.2xlarge/on_demand" in names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("<html>502 Bad Gateway</html>", "the header lacks", id="an error page"),
        pytest.param("", "the header lacks", id="an empty file"),
        pytest.param("provider,region\nA\0B", "NUL", id="binary rubbish"),
    ],
)
def test_a_file_of_another_shape_is_refused(snapshot: Path, text: str, words: str) -> None:
    (snapshot / "prices.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        load_catalog(as_of=AS_OF, snapshot=snapshot)


def test_half_a_row_is_refused(snapshot: Path) -> None:
    path = snapshot / "prices.csv"
    path.write_text(path.read_text()[:-40])
    with pytest.raises(InputError, match=r"cells|not a CSV"):
        load_catalog(as_of=AS_OF, snapshot=snapshot)


def test_a_missing_file_is_named(snapshot: Path) -> None:
    (snapshot / "instances.csv").unlink()
    with pytest.raises(InputError, match="no such file"):
        load_catalog(as_of=AS_OF, snapshot=snapshot)


def test_the_users_price_lies_over_the_shipped_one() -> None:
    catalog = load_catalog(as_of=AS_OF, overrides={"aws/us-east-1/c7i.large": Decimal("0.05")})
    (offer,) = [one for one in catalog.offers if one.name == "aws/us-east-1/c7i.large/on_demand"]
    assert (offer.usd_per_hour, offer.layer, offer.price_date) == (Decimal("0.05"), "--price", AS_OF)


@pytest.mark.parametrize(
    "name",
    [pytest.param("aws/us-east-1/c7i.large/spot", id="spot"), pytest.param("aws/mars/c7i.large", id="a new region")],
)
def test_the_users_price_may_add_an_offer_of_a_known_type(name: str) -> None:
    catalog = load_catalog(as_of=AS_OF, overrides={name: Decimal("0.05")})
    assert len(catalog.offers) == 575


@pytest.mark.parametrize(
    ("name", "price", "words"),
    [
        pytest.param("aws/us-east-1/c7i.larg", "1", "did you mean aws/c7i.large", id="a misspelt type"),
        pytest.param("c7i.large", "1", "write it as", id="no provider and region"),
        pytest.param("aws/us-east-1/c7i.large/rent", "1", "use one of on_demand", id="an unknown purchase"),
        pytest.param("aws/us-east-1/c7i.large", "0", "above 0", id="a price of nothing"),
        pytest.param("aws/us-east-1/c7i.large", "NaN", "above 0", id="not a number"),
    ],
)
def test_a_price_of_the_user_that_can_not_be_used_is_refused(name: str, price: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_catalog(as_of=AS_OF, overrides={name: Decimal(price)})
