"""Price lists of SkyPilot and gpuhunt and plain ones: what of them can be used, and what is said of the rest."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadplan.catalog.imported import imported_files, keep, read_list
from loadplan.catalog.price_list import PriceList
from loadplan.catalog.price_rows import price_csv
from loadplan.catalog.reader import load_catalog
from loadplan.catalog.snapshot import read_snapshot
from loadplan.catalog.validation import validated
from loadplan.errors import EnvironmentFault, InputError

AS_OF = date(2026, 11, 24)
SEEN = date(2026, 11, 1)
SKYPILOT = (
    "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone"
)
GPUHUNT = (
    "instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size,gpu_vendor,cpu_arch,flags"
)
PLAIN = "provider,region,instance_type,purchase,currency,price_per_hour,source,date_seen"
A10G = "\"{'Gpus': [{'Name': 'A10G', 'MemoryInfo': {'SizeInMiB': 24576}}]}\""

_BYTES = st.binary(max_size=3) | st.sampled_from([b"1E+999999", b'"', b"\n"])


@pytest.fixture(scope="module", autouse=True)
def _shipped_once() -> Iterator[None]:
    """Every list is held against the shipped prices, thousands of rows that are the same for all tests here."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("loadplan.catalog.validation.read_snapshot", cache(read_snapshot))
        yield


def listed(folder: Path, header: str, *rows: str, provider: str | None = "aws", seen: date | None = SEEN) -> PriceList:
    path = folder / "list.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    rates = {"EUR": Decimal("1.1")}
    return validated(read_list(path, provider=provider, seen=seen, as_of=AS_OF, rates=rates), as_of=AS_OF)


def prices(one: PriceList) -> dict[str, Decimal]:
    return {row.offer_name: row.usd_per_hour for row in one.rows}


def said(one: PriceList) -> list[tuple[str, str, int]]:
    return [(finding.severity, finding.what, finding.n_rows) for finding in one.findings]


def test_skypilots_zones_become_one_region_with_the_median_spot_price(tmp_path: Path) -> None:
    one = listed(
        tmp_path,
        SKYPILOT,
        "c7i.large,,,2.0,4.0,,0.08925,0.030000,us-east-1,use1-az1",
        "c7i.large,,,2.0,4.0,,0.08925,0.050000,us-east-1,use1-az2",
        "c7i.large,,,2.0,4.0,,0.08925,0.045000,us-east-1,use1-az4",
        f"g5.xlarge,A10G,1.0,4.0,16.0,{A10G},1.006,,us-east-1,use1-az1",
    )
    assert prices(one) == {
        "aws/us-east-1/c7i.large/on_demand": Decimal("0.08925"),
        "aws/us-east-1/c7i.large/spot": Decimal("0.045"),
        "aws/us-east-1/g5.xlarge/on_demand": Decimal("1.006"),
    }
    assert "median of 3 zones" in one.rows[1].source
    shape = one.rows[2].shape
    assert shape is not None
    assert (shape.accelerator, shape.n_accelerators, shape.accelerator_memory_gb) == ("A10G", 1.0, 24)
    assert one.findings == ()


@pytest.mark.parametrize(
    ("row", "what"),
    [
        pytest.param("c7i.large,,,2,4,,700.0,,us-east-1,a", "700 stands for `no price`", id="the sentinel"),
        pytest.param("c7i.large,,,2,4,,0.0,,us-east-1,a", "a price of nothing", id="for nothing"),
        pytest.param("c7i.large,,,2,4,,0.1,,us-west-2-lax-1,a", "a local zone", id="a local zone"),
        pytest.param(",T4,1.0,,,,0.35,,us-east-1,a", "a GPU or TPU without a machine", id="a GPU alone"),
        pytest.param("t3.nano,,,2,0.5,,0.0052,,us-east-1,a", "nothing says its baseline", id="burstable"),
    ],
)
def test_rows_that_can_not_become_offers_are_left_out_and_counted(tmp_path: Path, row: str, what: str) -> None:
    good = "c7i.xlarge,,,4,8,,0.1785,,us-east-1,a"
    one = listed(tmp_path, SKYPILOT, good, row, row)
    assert list(prices(one)) == ["aws/us-east-1/c7i.xlarge/on_demand"]
    ((severity, text, _),) = said(one)
    assert severity == "left out"
    assert what in text


@pytest.mark.parametrize(
    ("spot", "what"),
    [
        pytest.param("0.1785", "spot equal to on demand: there is no spot market", id="equal"),
        pytest.param("0.2", "spot above on demand", id="above"),
    ],
)
def test_a_spot_price_that_is_none_is_left_out(tmp_path: Path, spot: str, what: str) -> None:
    one = listed(tmp_path, SKYPILOT, f"c7i.xlarge,,,4,8,,0.1785,{spot},us-east-1,a")
    assert list(prices(one)) == ["aws/us-east-1/c7i.xlarge/on_demand"]
    assert said(one) == [("left out", what, 1)]


def test_a_gpu_is_never_added_to_a_host_and_a_host_without_its_gpu_is_left_out(tmp_path: Path) -> None:
    header = (
        "InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Region,AvailabilityZone,Price,SpotPrice"
    )
    one = listed(
        tmp_path,
        header,
        "a2-highgpu-1g,12.0,85.0,,,,us-central1,us-central1-a,0.73948,0.29576",
        ",,,A100,1.0,,us-central1,us-central1-a,2.933908,1.57",
        "n2-standard-2,2.0,8.0,,,,us-central1,us-central1-a,0.0971,0.03",
        provider="gcp",
    )
    assert prices(one)["gcp/us-central1/n2-standard-2/on_demand"] == Decimal("0.0971")
    assert len(one.rows) == 2
    assert said(one) == [
        ("left out", "a GPU host whose price leaves out its GPU", 1),
        ("left out", "a GPU or TPU without a machine", 1),
    ]


def test_an_on_demand_price_that_differs_between_zones_is_left_out(tmp_path: Path) -> None:
    one = listed(
        tmp_path, SKYPILOT, "c7i.large,,,2,4,,0.08,,us-east-1,a", "c7i.large,,,2,4,,0.09,,us-east-1,b",
        "c7i.xlarge,,,4,8,,0.1785,,us-east-1,a",
    )  # fmt: skip
    assert list(prices(one)) == ["aws/us-east-1/c7i.xlarge/on_demand"]
    assert said(one) == [("left out", "several prices or machines under one name", 1)]


def test_gpuhunts_rows_are_read_with_zones_and_flags(tmp_path: Path) -> None:
    one = listed(
        tmp_path,
        GPUHUNT,
        "g2-standard-4,us-central1-a,0.706832,4,16.0,1,L4,24.0,False,,nvidia,x86,",
        "g2-standard-4,us-central1-b,0.706832,4,16.0,1,L4,24.0,False,,nvidia,x86,",
        "g2-standard-4,us-central1-a,0.28,4,16.0,1,L4,24.0,True,,nvidia,x86,",
        "g2-standard-4,us-central1-b,0.30,4,16.0,1,L4,24.0,True,,nvidia,x86,",
        "a3-highgpu-8g,us-central1-a,50,208,1872,8,H100,80.0,False,,nvidia,x86,gcp-dws-calendar-mode",
        "odd,us-central1-a,1.0,4,16.0,1,L4,24.0,False,,nvidia,x86,",
        "odd,us-central1-b,2.0,4,16.0,2,L4,24.0,False,,nvidia,x86,",
        provider="gcp",
    )
    assert prices(one) == {
        "gcp/us-central1/g2-standard-4/on_demand": Decimal("0.706832"),
        "gcp/us-central1/g2-standard-4/spot": Decimal("0.29"),
    }
    assert said(one) == [
        ("left out", "sold under terms of its own (flags)", 1),
        ("left out", "several prices or machines under one name", 1),
    ]


@pytest.mark.parametrize(
    ("provider", "seen", "words"),
    [
        pytest.param(None, SEEN, "doesn't say whose prices", id="whose"),
        pytest.param("aws", None, "doesn't say when its prices were seen", id="when"),
        pytest.param("aws", date(2026, 11, 25), "2026-11-25 is after 2026-11-24", id="of tomorrow"),
    ],
)
def test_what_a_list_does_not_say_has_to_be_told(
    tmp_path: Path, provider: str | None, seen: date | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        listed(tmp_path, SKYPILOT, "c7i.large,,,2,4,,0.09,,us-east-1,a", provider=provider, seen=seen)


def test_a_plain_list_tells_all_its_mistakes_and_its_doubts(tmp_path: Path) -> None:
    one = listed(
        tmp_path,
        PLAIN,
        "aws,us-east-1,c7i.large,on_demand,USD,0.08925,invoice,2026-10-01",
        "aws,us-east-1,c7i.large,on_demand,USD,0.09,invoice,2026-10-01",
        "aws,us-east-1,c7i.xlarge,on_demand,USD,-1,invoice,2026-10-01",
        "aws,us-east-1,c99.large,on_demand,USD,1,invoice,2026-10-01",
        "aws,us-east-1,c7i.2xlarge,on_demand,CHF,0.3,invoice,2026-10-01",
        "aws,us-east-1,c7i.4xlarge,on_demand,USD,0.714,invoice,2026-10-01",
        "aws,us-east-1,c7i.4xlarge,spot,USD,0.8,invoice,2026-10-01",
        "aws,us-east-1,c7a.2xlarge,on_demand,EUR,0.5,invoice,2026-10-01",
    )
    assert [finding.where.rpartition(" ")[2] for finding in one.errors] == ["3", "4", "6", "5", "8"]
    assert prices(one)["aws/us-east-1/c7a.2xlarge/on_demand"] == Decimal("0.55")
    with pytest.raises(InputError, match=r"stands twice.*\(and 4 more\)"):
        keep(one, "mine", folder=tmp_path / "data")
    assert imported_files(tmp_path / "data") == ()


def test_a_price_far_from_its_family_is_flagged_and_kept(tmp_path: Path) -> None:
    rows = [f"aws,us-east-1,c7i.{size},on_demand,USD,{price},x,2026-10-01" for size, price in (
        ("large", "0.5"), ("xlarge", "0.1785"), ("2xlarge", "0.357"), ("4xlarge", "0.714"),
    )]  # fmt: skip
    one = listed(tmp_path, PLAIN, *rows)
    assert said(one) == [("flagged", "aws/us-east-1/c7i.large/on_demand: anomaly: 5.60x family median per vCPU", 1)]
    assert len(one.rows) == 4


def test_what_is_kept_is_read_back_to_the_last_digit(tmp_path: Path) -> None:
    one = listed(
        tmp_path,
        PLAIN + ",n_vcpus,memory_gib,baseline_ratio",
        "aws,us-east-1,c7i.large,on_demand,EUR,0.081234567891,invoice,2026-10-01,,,",
        "aws,us-east-1,t3.nano,on_demand,USD,0.0052,invoice,2026-10-01,2,0.5,0.05",
    )
    path = keep(one, "mine", folder=tmp_path / "data")
    assert imported_files(tmp_path / "data") == (path,)
    offers = {offer.name: offer for offer in load_catalog(as_of=AS_OF, imported=[path]).offers}
    kept = offers["aws/us-east-1/c7i.large/on_demand"]
    assert (kept.usd_per_hour, kept.layer) == (Decimal("0.0893580246801"), "imported mine")
    assert offers["aws/us-east-1/t3.nano/on_demand"].instance_type.baseline_ratio == 0.05


def test_a_disk_that_takes_nothing_leaves_the_earlier_list(tmp_path: Path) -> None:
    first = listed(tmp_path, PLAIN, "aws,us-east-1,c7i.large,on_demand,USD,0.08,x,2026-10-01")
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(EnvironmentFault):
        keep(first, "mine", folder=blocked / "catalog")
    assert blocked.read_text() == "not a folder"


@pytest.mark.parametrize(
    ("header", "row"),
    [
        pytest.param(SKYPILOT, f"g5.xlarge,A10G,1.0,4.0,16.0,{A10G},1.006,0.4,us-east-1,use1-az1", id="SkyPilot"),
        pytest.param(GPUHUNT, "g5.xlarge,us-east-1,1.006,4,16.0,1,A10G,24.0,False,,nvidia,x86,", id="gpuhunt"),
        pytest.param(f"{PLAIN},n_vcpus,memory_gib", "aws,us-east-1,c7i.x,spot,USD,0.1,x,2026-10-01,2,4", id="plain"),
    ],
)
def test_whatever_bytes_a_list_holds_it_is_read_or_refused(tmp_path: Path, header: str, row: str) -> None:
    whole = f"{header}\n{row}\n{row}\n".encode()
    path = tmp_path / "list.csv"

    @settings(max_examples=60)
    @given(place=st.integers(0, len(whole) - 1), put=_BYTES)
    def survives(place: int, put: bytes) -> None:
        path.write_bytes(whole[:place] + put + whole[place + 1 :])
        with suppress(InputError):
            one = read_list(path, provider="aws", seen=SEEN, as_of=AS_OF)
            price_csv(validated(one, as_of=AS_OF).rows)

    survives()


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b"])
def test_a_list_is_named_like_a_file(tmp_path: Path, name: str) -> None:
    one = listed(tmp_path, PLAIN, "aws,us-east-1,c7i.large,on_demand,USD,0.08,x,2026-10-01")
    with pytest.raises(InputError, match="can't name a list"):
        keep(one, name, folder=tmp_path / "data")
