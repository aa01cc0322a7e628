"""`loadplan plan` on given capacities: what lies around the plan, on the screen, in JSON and in the exit code."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from loadplan.cli.app import run_command_line

Capture = pytest.CaptureFixture[str]
XLARGE = "aws/us-east-1/c7i.xlarge/on_demand"


@pytest.fixture(autouse=True)
def _day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("loadplan.clock.utc_now", lambda: datetime(2026, 11, 24, tzinfo=UTC))


def run(folder: Path, *words: str, rules: str = "") -> int:
    """Two machines for a peak of 80: c7i.large carries 100 for 0.08925 USD an hour, c7i.xlarge 200 for 0.1785."""
    (folder / "capacities.csv").write_text(
        "provider,region,instance_type,batch_size,usable_capacity_rps,p99_ms\naws,,c7i.large,1,100,10\n"
        "aws,,c7i.xlarge,1,200,10\n"
    )
    (folder / "asked.yaml").write_text(
        "traffic: {peak_rps: 80}\nobjectives: [{p99_ms: 50}]\n"
        f"plan: {{providers: [aws], regions: [us-east-1]{rules}}}\n"
    )
    return run_command_line(
        ["plan", str(folder / "asked.yaml"), "--capacities", str(folder / "capacities.csv"), *words]
    )


@pytest.mark.parametrize(
    ("words", "rules"),
    [
        pytest.param((), f", today: {{{XLARGE}: 1}}", id="in the scenario"),
        pytest.param(("--today", f"{XLARGE}=1"), "", id="on the command line"),
        pytest.param(("--today", f"{XLARGE}=1"), f", today: {{{XLARGE}: 5}}", id="the command line wins"),
    ],
)
def test_what_runs_today_is_held_against_the_plan(
    tmp_path: Path, capsys: Capture, words: tuple[str, ...], rules: str
) -> None:
    assert run(tmp_path, "--json", *words, rules=f", spare_replicas: 0{rules}") == 0
    outlook = json.loads(capsys.readouterr().out)["outlook"]
    # One large is 65.1525 a month, one xlarge 130.305; it carries 200 x 0.8.
    assert outlook["today"]["usd_less_per_month"] == "65.15"
    assert (outlook["today"]["holds"], outlook["today"]["carried_rps"]) == (True, 160.0)


def test_a_plan_that_is_dearer_than_today_says_so_and_why(tmp_path: Path, capsys: Capture) -> None:
    # With one to lose two large ones are 130.305; one large machine alone bears no loss.
    assert run(tmp_path, "--today", "aws/us-east-1/c7i.large/on_demand=1") == 0
    said = capsys.readouterr().out
    assert "the plan is $65.15 a month dearer; it would NOT do: it carries 0 requests per second with 1 gone" in said


def test_above_the_budget_the_screen_says_which_rule_to_relax(tmp_path: Path, capsys: Capture) -> None:
    assert run(tmp_path, rules=", budget_usd_per_month: 100") == 1
    said = capsys.readouterr().out
    assert "plan.spare_replicas (0 in place of 1): 1 × aws/us-east-1/c7i.large/on_demand, $65.15 a month" in said
    assert "prices    catalogue 2026-11, the oldest of 20" in said


@pytest.mark.parametrize("text", ["c7i.large=1", f"{XLARGE}=0", XLARGE, "aws/us-east-1/huge/on_demand=1"])
def test_what_runs_today_must_be_an_offer_and_a_count(tmp_path: Path, capsys: Capture, text: str) -> None:
    assert run(tmp_path, "--today", text) == 2
    assert "provider/region/type/purchase" in capsys.readouterr().err


def test_old_prices_are_doubted_on_the_screen(tmp_path: Path, capsys: Capture) -> None:
    # Seen on 20 July, 127 days before the 24th of November.
    assert run(tmp_path, "--as-of", "2026-11-24") == 0
    said = capsys.readouterr().out
    assert "doubts    2 of the 2 prices compared are older than their kind should be" in said
    assert "127 days before 2026-11-24" in said


def test_a_runner_up_says_whether_it_is_a_near_tie(tmp_path: Path, capsys: Capture) -> None:
    assert run(tmp_path, "--json", "--price", "aws/us-east-1/c7i.xlarge=0.0937", rules=", spare_replicas: 0") == 0
    (other,) = json.loads(capsys.readouterr().out)["runners_up"]
    # 0.0937 is 4.99 % more than 0.08925.
    assert other["is_near_tie"]
    assert other["reason"].startswith("near-tie: $3.25 a month dearer (5.0 %): needs 1 replica")


def test_scripts_and_people_are_told_the_same_cents(tmp_path: Path, capsys: Capture) -> None:
    # Two of 0.08925 for 730 hours are 130.305.
    assert run(tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["recommended"]["usd_per_month"] == "130.31"
    assert run(tmp_path) == 0
    assert "$130.31 a month at $0.08925 an hour each" in capsys.readouterr().out


def test_what_is_proposed_is_put_beside_the_plan(tmp_path: Path, capsys: Capture) -> None:
    # Three xlarge ones carry 600, so of a peak of 80 13 % are used; two large ones are planned for 130.305.
    assert run(tmp_path, "--json", "--proposal", f"{XLARGE}=3") == 0
    cluster = json.loads(capsys.readouterr().out)["outlook"]["cluster"]
    proposed = cluster["proposed"]
    assert (proposed["choice"]["usd_per_month"], proposed["usd_more_per_month"]) == ("390.92", "260.61")
    assert proposed["idle_at_peak_ratio"] == pytest.approx(1 - 80 / 600)
    assert cluster["least"]["offers"] == [{"offer": "aws/us-east-1/c7i.large/on_demand", "n_replicas": 1}]
    assert cluster["gpu_wins"]["is_earliest"]
    assert run(tmp_path, "--proposal", f"{XLARGE}=3") == 0
    said = capsys.readouterr().out
    assert "cluster   no, 1 × aws/us-east-1/c7i.large/on_demand carries the peak alone; with a GPU $" in said
    assert f"proposed  3 × {XLARGE}, $390.92 a month, $260.61 more than the plan; 86.7 % of it stands idle" in said


def test_a_proposal_without_a_price_is_refused_by_its_option(tmp_path: Path, capsys: Capture) -> None:
    assert run(tmp_path, "--proposal", "c7i.large=1") == 2
    assert "--proposal" in capsys.readouterr().err
    assert run(tmp_path, "--proposal", "aws/us-east-1/huge/on_demand=1") == 2
    assert "which is proposed" in capsys.readouterr().err
