"""What the table claims, and when it claims nothing; what a plot shows; which tree may be measured."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from loadplan.errors import EnvironmentFault, InputError
from loadplan.fit.records import PredictedLatency
from loadplan.stats import Interval
from tests.accuracy.__main__ import alone, commit_of, main, require_clean_tree
from tests.accuracy.compare import CapacityCase, Case, DecisionCase
from tests.accuracy.findings import Findings
from tests.accuracy.plot import plot
from tests.accuracy.table import Circumstances, table
from tests.accuracy.truth import Truth

ABOUT = Circumstances(commit="c0ffee", machine="a machine", date="2026-01-01", is_try=False, asked=())
GOAL = "## What was to be reached"


def case(*, p50_floor: float = 0.01, p50_s: float = 1e-3, is_apart: bool = False) -> Case:
    """Measured 1, 2 and 4 ms; predicted `p50_s`, 2 and 4 ms."""
    return Case(
        name="chain-mb8-50",
        is_apart=is_apart,
        utilisation_ratio=0.5,
        truth=Truth(
            n_repeats=5,
            n_void=1,
            clean_s=14.5,
            rate_rps=100.0,
            latencies_s=(1e-3, 2e-3, 4e-3),
            floors=(p50_floor, 0.02, 0.03),
        ),
        predicted=PredictedLatency(
            offered_rate_rps=100.0,
            utilisation_ratio=0.5,
            p50_s=p50_s,
            p95_s=2e-3,
            p99_s=4e-3,
            p50_interval=Interval(low=0.9e-3, high=1.1e-3),
            p95_interval=Interval(low=1.5e-3, high=2.5e-3),
            p99_interval=Interval(low=3e-3, high=5e-3),
        ),
    )


def capacity(predicted_rps: float) -> CapacityCase:
    return CapacityCase(name="c", measured_rps=100.0, spread_ratio=0.01, predicted_rps=predicted_rps, interval=None)


def findings(*cases: Case, missing: tuple[str, ...] = (), fleets: tuple[Case, ...] = ()) -> Findings:
    decision = DecisionCase(name="d", predicted_rps=2.0, low_rps=1.0, below="held", above="missed")
    return Findings(
        cases=cases,
        saturations=6 * (capacity(104.0),),
        capacities=6 * (capacity(92.0),),
        decisions=12 * (decision,),
        n_calibrations=25,
        missing=missing,
        fleets=fleets,
    )


def test_a_finished_design_on_a_quiet_machine_is_held_against_what_was_to_be_reached() -> None:
    text = table(findings(*24 * (case(p50_s=1.075e-3),)), ABOUT)

    assert GOAL in text
    assert "| median error at p50 ≤ 7% | **missed** |" in text
    assert "| median error at p99 ≤ 15% | reached |" in text
    assert "| bias at p50 within ± 8% | reached |" in text
    assert "| saturated capacity within 7% over ≥ 6 | reached |" in text
    assert "| capacity at an objective within 7% over ≥ 6 | **missed** |" in text
    assert "| the lower bound held in ≥ 11 of 12 | reached |" in text
    assert "| p50 | 24 | 7.5 % | 7.5 % | +7.5 % | 100.0 % | ± 9.3 % | 1.0 % | – | – | – |" in text
    assert "12 held below and 12 missed above, of 12" in text
    assert "A PART" not in text
    assert "NOT VALID" not in text


def test_two_replicas_stand_in_a_section_of_their_own() -> None:
    """Predicted 20 % too high at the p50 where the others are right."""
    text = table(findings(*24 * (case(),), fleets=8 * (case(p50_s=1.2e-3),)), ABOUT)

    others, replicas = text.split("## Two replicas: 8 configurations")
    assert "| p50 | 24 | 0.0 % |" in others
    assert "| p50 | 8 | 20.0 % |" in replicas
    assert "a timer of 5 ms and 0.25 ms a row" in replicas
    assert "| median error at p50 ≤ 7% | reached |" in text
    assert "| of two replicas median error at p50 ≤ 7% | **missed** |" in text
    assert "| of two replicas median error at p99 ≤ 15% | reached |" in text
    assert text.count("## Two replicas, one by one") == 1


def test_replicas_that_were_too_noisy_head_the_table_too() -> None:
    text = table(findings(*24 * (case(),), fleets=8 * (case(p50_floor=0.05),)), ABOUT)

    assert "**NOT VALID: MACHINE TOO NOISY** (of two replicas repeats are 5.0% from their median at p50" in text
    assert GOAL not in text


def test_a_noisy_machine_heads_the_table_and_nothing_is_claimed() -> None:
    text = table(findings(*24 * (case(p50_floor=0.05),)), ABOUT)

    assert "**NOT VALID: MACHINE TOO NOISY** (repeats are 5.0% from their median at p50, at most 4% may be)" in text
    assert GOAL not in text
    assert "chain-mb8-50" in text  # the table is written all the same


@pytest.mark.parametrize(
    ("found", "about", "heading"),
    [
        (
            findings(case(), missing=("3 of 35 configurations",)),
            ABOUT,
            "**A PART** of the design: finished are 3 of 35",
        ),
        (findings(case()), replace(ABOUT, asked=("chain",)), "**A PART** of the design: asked for chain;"),
        (findings(case()), replace(ABOUT, is_try=True), "**A TRY** on a tree that was not clean"),
    ],
)
def test_a_part_or_a_try_claims_nothing(found: Findings, about: Circumstances, heading: str) -> None:
    text = table(found, about)

    assert heading in text
    assert GOAL not in text


def test_too_few_cases_are_no_proof() -> None:
    assert "| ≥ 24 held-out configurations | **missed** |" in table(findings(*23 * (case(),)), ABOUT)


def test_loads_near_saturation_are_told_apart() -> None:
    text = table(findings(case(), case(p50_s=2e-3, is_apart=True)), ABOUT)

    usual, apart = text.split("## Above 72% load, told apart")
    assert "| p50 | 1 | 0.0 % |" in usual
    assert "| p50 | 1 | 100.0 % |" in apart


def test_the_plot_has_a_dot_for_each_quantile_and_agreement_lies_on_the_diagonal() -> None:
    drawn = plot([case(), case(is_apart=True)])

    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn)
    assert len(dots) == 6
    assert all(float(x) + float(y) == pytest.approx(560.0, abs=0.2) for x, y in dots)
    assert drawn.count('fill="none"') == 3
    assert "<circle" not in plot([])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one commit."""
    for command in (
        ["init", "--quiet"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "--message", "x"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_a_tree_with_uncommitted_changes_is_refused_but_for_the_results_themselves(tree: Path) -> None:
    require_clean_tree(tree)
    (tree / "results" / "accuracy").mkdir(parents=True)
    (tree / "results" / "accuracy" / "accuracy.md").write_text("x")
    require_clean_tree(tree)
    assert re.fullmatch("[0-9a-f]{40}", commit_of(tree))
    (tree / "law.py").write_text("x")
    with pytest.raises(InputError, match=r"1 uncommitted changes, such as \?\? law.py .*ARGS=--try"):
        require_clean_tree(tree)


def test_without_git_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="git does not say"):
        commit_of(tmp_path)


def test_two_may_not_measure_at_once(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(EnvironmentFault, match="another process is measuring"), alone(tmp_path):
        pass


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "chian"])
    assert "chian" in capsys.readouterr().err
