"""What a live verification leaves in the ledger, and what a later fit reads there."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadplan.errors import InputError
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.fit.ledger import LedgerFigure, LedgerFindings
from loadplan.fit.records import PredictedLatency
from loadplan.machine import read_machine
from loadplan.pipeline.ledger import append_verification, read_ledger
from loadplan.stats import Interval
from loadplan.verify import Verdict

SETTING = Setting(execution=ExecutionConfig(variant="fp32"), serving=ServingConfig(max_batch_size=8))
VERDICT = Verdict(
    passed=True,
    subject="law",
    setting=SETTING,
    offered_rate_rps=100.0,
    utilisation_ratio=0.7,
    n_requests=5000,
    n_failed=0,
    few_failed=True,
    valid=True,
    invalid_reasons=(),
    attainments=(),
    predicted=PredictedLatency(
        offered_rate_rps=101.0,
        utilisation_ratio=0.6,
        p50_s=0.004,
        p95_s=0.008,
        p99_s=0.010,
        p50_interval=Interval(low=0.003, high=0.006, confidence_ratio=0.9),
        p95_interval=Interval(low=0.005, high=0.012, confidence_ratio=0.9),
        p99_interval=Interval(low=0.005, high=0.020, confidence_ratio=0.9),
    ),
    measured_p50_s=0.005,
    measured_p99_s=0.025,
    measured_p50_interval=Interval(low=0.0045, high=0.0055),
    measured_p99_interval=None,
    clean_ratio=0.9,
    run="verification",
    prediction_held=False,
    caveats=(),
)
Append = Callable[..., None]


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "results" / "digits" / "20261101T000000Z-0123456789"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def append(run_folder: Path) -> Append:
    machine = read_machine()

    def do(verdict: Verdict = VERDICT, *, ledger: LedgerFindings | None = None) -> None:
        append_verification(run_folder, verdict, machine=machine, widened_by=ledger)

    return do


def test_a_verification_leaves_a_row_for_each_quantile_in_the_results_folder(run_folder: Path, append: Append) -> None:
    append()
    with (run_folder.parent.parent / "ledger.csv").open() as file:
        p50, p99 = csv.DictReader(file)
    assert (p50["run"], p50["variant"], p50["max_batch_size"]) == ("digits/20261101T000000Z-0123456789", "fp32", "8")
    assert (p50["quantile"], p50["predicted_s"], p50["measured_s"], p50["is_covered"]) == (
        "0.5",
        "0.004",
        "0.005",
        "True",
    )
    assert float(p50["noise_floor_ratio"]) == pytest.approx(0.1)
    assert float(p50["error_ratio"]) == pytest.approx(-0.2)
    # The run was too short for an interval of the p99: empty, not 0.
    assert (p99["measured_s_low"], p99["noise_floor_ratio"], p99["is_covered"]) == ("", "", "False")


def test_what_was_written_is_judged(run_folder: Path, append: Append) -> None:
    for _ in range(9):
        append()
    p50, p99 = read_ledger(run_folder).figures
    assert (p50.n_covered, p50.widening) == (9, 1.0)
    # Off by ln 2.5 where the interval reaches ln 2.
    assert p99.n_covered == 0
    assert p99.widening == pytest.approx(np.log(2.5) / np.log(2.0))


def test_the_p95_has_a_row_of_its_own(run_folder: Path, append: Append) -> None:
    for _ in range(9):
        append(replace(VERDICT, measured_p95_s=0.024))
    findings = read_ledger(run_folder)
    assert [figure.quantile for figure in findings.figures] == [0.5, 0.95, 0.99]
    # Off by ln 3 where the interval reaches ln 1.5.
    assert findings.widening_of(0.95) == pytest.approx(np.log(3.0) / np.log(1.5))


def test_an_interval_that_a_ledger_had_widened_is_written_with_its_factor(run_folder: Path, append: Append) -> None:
    figure = LedgerFigure(quantile=0.99, n_entries=9, n_covered=0, bias_ratio=0.0, error_ratio=0.0, widening=2.0)
    for _ in range(9):
        append(ledger=LedgerFindings(sha256="a", figures=(figure,)))
    # Half of the interval's reach was the ledger's own work.
    assert read_ledger(run_folder).widening_of(0.99) == pytest.approx(2.0 * np.log(2.5) / np.log(2.0))


def test_another_row_makes_it_another_ledger(run_folder: Path, append: Append) -> None:
    append()
    before = read_ledger(run_folder)
    append()
    assert read_ledger(run_folder).sha256 != before.sha256


def test_a_run_that_can_not_be_believed_is_no_evidence(run_folder: Path, append: Append) -> None:
    append(replace(VERDICT, valid=False))
    with pytest.raises(InputError, match="nothing was verified yet"):
        read_ledger(run_folder)


def test_a_row_that_was_edited_into_nonsense_is_named(run_folder: Path, append: Append) -> None:
    append()
    path = run_folder.parent.parent / "ledger.csv"
    path.write_text(path.read_text().replace("0.025", "soon"))
    with pytest.raises(InputError) as caught:
        read_ledger(run_folder)
    assert caught.value.where.endswith("ledger.csv, line 3")
