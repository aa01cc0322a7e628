"""`loadplan catalog`: what each of its commands prints and leaves behind."""

import json
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from loadplan.cli.app import run_command_line

Capture = pytest.CaptureFixture[str]
HEADER = "provider,region,instance_type,purchase,currency,price_per_hour,source,date_seen"
ROW = "aws,us-east-1,c7i.large,on_demand,USD,0.0803,invoice,2026-10-01"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder and a day of the tests' own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("loadplan.clock.utc_now", lambda: datetime(2026, 11, 24, tzinfo=UTC))
    return tmp_path / "home"


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text(f"{HEADER}\n{ROW}\n")
    return path


def document(capsys: Capture, *words: str | Path, code: int = 0) -> dict[str, Any]:
    assert run_command_line(["catalog", *map(str, words), "--json"]) == code
    return dict(json.loads(capsys.readouterr().out))


def test_the_list_begins_with_its_oldest_price(capsys: Capture) -> None:
    assert run_command_line(["catalog", "list", "--provider", "azure"]) == 0
    header, first, *_ = capsys.readouterr().out.splitlines()
    assert header == "catalogue 2026-11: 118 offers, oldest price 2026-06-18"
    assert "shipped 2026-11" in first


def test_a_list_of_an_earlier_day_refuses_prices_that_were_seen_later(capsys: Capture) -> None:
    said = document(capsys, "list", "--as-of", "2026-07-01", code=2)
    assert (said["schema"], "after 2026-07-01" in said["what"]) == ("loadplan.error/1", True)


def test_a_machine_is_shown_with_the_age_of_each_price(capsys: Capture) -> None:
    said = document(capsys, "show", "aws/c7i.xlarge")
    ages = {one["name"].rpartition("/")[2]: (one["age_days"], one["refuse_after_days"]) for one in said["offers"]}
    # Seen on 20 July and on 1 November a year before.
    assert ages == {"on_demand": (127, 365), "spot": (388, 14)}
    own = said["instance_type"]
    assert own["usable_vcpus"] == 3.92
    assert (own["seen"], own["cpu_family"]["seen"]) == ("2026-07-20", "2026-11-24")


def test_a_misspelt_machine_is_answered_with_the_nearest(capsys: Capture) -> None:
    said = document(capsys, "show", "aws/c7i.xlarg", code=2)
    assert said["fix"] == "did you mean aws/c7i.xlarge?"


def test_an_import_changes_the_catalogue_from_then_on(capsys: Capture, prices: Path, home: Path) -> None:
    assert document(capsys, "diff")["changes"] == []
    (change,) = document(capsys, "diff", prices)["changes"]
    assert (change["before_usd_per_hour"], change["after_usd_per_hour"]) == ("0.08925", "0.0803")
    assert change["change_ratio"] == pytest.approx(-0.1002801)
    assert document(capsys, "import", prices)["n_kept"] == 1
    assert [file.name for file in (home / "loadplan" / "catalog").iterdir()] == ["mine.csv"]
    assert document(capsys, "diff")["changes"] == [change]
    offers = {one["name"]: one for one in document(capsys, "list", "--provider", "aws")["offers"]}
    assert offers["aws/us-east-1/c7i.large/on_demand"]["layer"] == "imported mine"


def test_validate_tells_every_mistake_and_ends_in_1(capsys: Capture, tmp_path: Path, home: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(f"{HEADER}\n{ROW}\n{ROW}\n{ROW.replace('USD', 'EUR').replace('large', 'xlarge')}\n")
    said = document(capsys, "validate", path, code=1)
    assert (said["passed"], [one["severity"] for one in said["findings"]]) == (False, ["error", "error"])
    assert document(capsys, "import", path, code=2)["schema"] == "loadplan.error/1"
    assert not home.exists()
    stated = document(capsys, "validate", path, "--fx", "EUR=1.1", code=1)
    assert len(stated["findings"]) == 1


def test_the_catalogue_as_it_is_passes_with_its_doubts(capsys: Capture) -> None:
    said = document(capsys, "validate")
    assert (said["passed"], said["n_usable"]) == (True, 574)
    assert {one["severity"] for one in said["findings"]} == {"flagged"}


@pytest.mark.parametrize("rate", ["EUR", "EUR=0", "EUR=much", "=1.1", "EUR=NaN"])
def test_a_rate_that_is_none_is_one_message(capsys: Capture, prices: Path, rate: str) -> None:
    assert document(capsys, "validate", prices, "--fx", rate, code=2)["where"] == "--fx"


def test_an_update_without_an_answer_ends_in_4_and_changes_nothing(capsys: Capture, prices: Path, home: Path) -> None:
    document(capsys, "import", prices)
    said = document(capsys, "update", "--url", "http://127.0.0.1:9", code=4)
    assert "the catalogue is as it was" in said["fix"]
    assert [file.name for file in (home / "loadplan" / "catalog").iterdir()] == ["mine.csv"]


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """A question on given capacities, with prices of its own beside it."""
    (tmp_path / "capacities.csv").write_text(
        "provider,region,instance_type,batch_size,usable_capacity_rps,p99_ms\naws,,c7i.large,1,100,10\n"
        "aws,,c7i.xlarge,1,100,10\n"
    )
    path = tmp_path / "asked.yaml"
    path.write_text(
        "traffic: {peak_rps: 80}\nobjectives: [{p99_ms: 50}]\n"
        "plan: {providers: [aws], regions: [us-east-1], spare_replicas: 0, prices: own.csv}\n"
    )
    return path


def planned(capsys: Capture, scenario: Path, *words: str) -> str:
    capacities = scenario.with_name("capacities.csv")
    assert run_command_line(["plan", str(scenario), "--capacities", str(capacities), *words]) == 0
    return capsys.readouterr().out


def test_a_plan_says_of_each_price_which_layer_it_is_from(capsys: Capture, scenario: Path) -> None:
    scenario.with_name("own.csv").write_text(f"{HEADER}\n{ROW}\n")
    said = json.loads(planned(capsys, scenario, "--json"))
    (bought,) = said["recommended"]["offers"]
    assert (bought["instance_type"], bought["price_usd_per_hour"], bought["price_layer"]) == (
        "c7i.large",
        "0.0803",
        "project own.csv",
    )
    # 0.0803 USD for 730 hours: 100 requests/s carry 80 with a fifth kept free.
    assert said["recommended"]["usd_per_month"] == "58.62"
    assert said["runners_up"][0]["offers"][0]["price_layer"] == "shipped 2026-11"
    assert (said["catalog"], said["oldest_price_date"]) == ("2026-11 + project", "2026-07-20")
    over_all = json.loads(planned(capsys, scenario, "--json", "--price", "aws/us-east-1/c7i.xlarge=0.05"))
    assert over_all["recommended"]["offers"][0]["price_layer"] == "--price"


def test_a_doubtful_price_is_said_beside_the_bill(capsys: Capture, scenario: Path) -> None:
    scenario.with_name("own.csv").write_text(f"{HEADER}\n{ROW.replace('0.0803', '0.01')}\n")
    said = planned(capsys, scenario)
    assert "(project own.csv); DOUBTFUL: anomaly: 0.11x family median per vCPU" in said
    assert "catalogue 2026-11 + project, the oldest of 2026-07-20" in said


def test_a_price_file_that_is_not_there_is_named(capsys: Capture, scenario: Path) -> None:
    capacities = scenario.with_name("capacities.csv")
    assert run_command_line(["plan", str(scenario), "--capacities", str(capacities)]) == 2
    said = capsys.readouterr().err
    assert "there is no such file" in said
    assert "own.csv" in said


def test_nothing_but_an_update_asks_the_network(
    capsys: Capture, prices: Path, scenario: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(_: socket.socket, address: object) -> None:
        asked.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    scenario.with_name("own.csv").write_text(f"{HEADER}\n{ROW}\n")
    for words in (["list"], ["show", "c7i.large"], ["diff", prices], ["validate", prices], ["import", prices]):
        document(capsys, *words)
    planned(capsys, scenario)
    assert asked == []
    document(capsys, "update", "--url", "http://127.0.0.1:9", code=4)
    assert asked == [("127.0.0.1", 9)]
