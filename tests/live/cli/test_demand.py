"""`loadplan demand`: from a log to a scenario that plans, and each bad input one message."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.unit.demand.made import access_line, moments, write_lines

if TYPE_CHECKING:
    from tests.live.cli.conftest import Loadplan

CAPACITIES = "provider,region,instance_type,batch_size,usable_capacity_rps,p99_ms\naws,us-east-1,c7i.large,,40,20\n"


@pytest.mark.slow
def test_the_section_of_a_log_plans_as_it_is(loadplan: "Loadplan", tmp_path: Path) -> None:
    seconds = [second for second in range(7200) for _ in range(1 + second % 3)]
    write_lines(tmp_path / "access.log", map(access_line, moments(seconds)))
    said = loadplan("demand", "access.log", "--json", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    document = json.loads(said.stdout)
    assert document["schema"] == "loadplan.demand/1"
    assert document["peak_hour_rps"] == pytest.approx(2.0, rel=1e-3)
    assert document["peak_hour_rps_low"] is None
    assert "whole days were recorded" in document["peak_hour_rps_low_reason"]
    assert document["peak_second_rps"] == 3.0
    assert document["files"] == ["traffic.yaml", "traffic.trace.csv"]
    (tmp_path / "service.yaml").write_text((tmp_path / "traffic.yaml").read_text() + "objectives: [{p99_ms: 50}]\n")
    (tmp_path / "capacities.csv").write_text(CAPACITIES)
    planned = loadplan("plan", "service.yaml", "--capacities", "capacities.csv", "--json", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["peak_rps"] == pytest.approx(document["peak_hour_rps"], rel=1e-5)

    again = loadplan("demand", "access.log", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (2, "")
    assert "there already" in again.stderr
    replaced = loadplan("demand", "access.log", "--force", cwd=tmp_path)
    assert replaced.returncode == 0, replaced.stderr
    assert replaced.stdout.startswith("peak      2 requests/s in the busiest hour")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("demand",), "neither a log nor figures"),
        (("demand", "none.log"), "there is no such file"),
        (("demand", "none.log", "--daily-users", "7"), "two ways to know the traffic"),
        (("demand", "--peak-share", "10%"), "the number of users isn't given"),
        (("demand", "--daily-users", "7", "--peak-share", "a lot"), "'a lot' is no share"),
        (("demand", "--daily-users", "7", "--peak-share", "200%"), "is no share from 0 to 1"),
    ],
)
def test_what_cant_be_answered_is_one_message(
    loadplan: "Loadplan", tmp_path: Path, arguments: tuple[str, ...], what: str
) -> None:
    said = loadplan(*arguments, cwd=tmp_path)
    assert (said.returncode, said.stdout) == (2, "")
    assert what in said.stderr
    assert said.stderr.count("\n") == 3
    assert not list(tmp_path.iterdir())


def test_business_figures_need_no_log(loadplan: "Loadplan", tmp_path: Path) -> None:
    said = loadplan(
        "demand", "--daily-users", "360000", "--requests-per-user", "10", "--peak-share", "0.2", cwd=tmp_path
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("peak      200 requests/s in the busiest hour  [assumed]")
    assert "[demand.busiest_day]\n" in said.stdout
    assert "peak_rps: 200" in (tmp_path / "traffic.yaml").read_text()
