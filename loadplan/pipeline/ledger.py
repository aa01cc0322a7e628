"""The ledger of a results folder: one row for each quantile of each live verification, read again by a later fit."""

from dataclasses import fields
from datetime import datetime
from pathlib import Path

from loadplan import clock
from loadplan.errors import InputError
from loadplan.execution import Setting
from loadplan.fit.ledger import LedgerEntry, LedgerFindings, judge_ledger
from loadplan.machine import Machine
from loadplan.stats import Interval
from loadplan.store.csv_log import append_rows, read_log
from loadplan.verify import Verdict

LEDGER = "ledger.csv"
_FIELDS = tuple(field.name for field in fields(LedgerEntry))
# What people look for first is worked out for them; it is not read again.
_COLUMNS = (*_FIELDS, "error_ratio", "is_covered")
_WHOLE = frozenset({"n_threads", "max_batch_size"})
_TEXTS = frozenset({"written_at", "run", "machine", "cpu_model", "variant", "provider"})
_MAYBE_UNKNOWN = frozenset({"measured_s_low", "measured_s_high", "noise_floor_ratio"})


def ledger_path(run_folder: Path) -> Path:
    """Of the results folder that holds `<scenario>/<run>`."""
    return run_folder.absolute().parent.parent / LEDGER


def append_verification(
    run_folder: Path, verdict: Verdict, *, machine: Machine, widened_by: LedgerFindings | None
) -> None:
    """Add what a live run showed of its prediction; nothing where the run can't be believed or has too few answers.

    Nor of a service of the user's own: the ledger is of how well the laws of loadplan's server predict.

    Args:
        run_folder: the run that was verified.
        verdict: what was predicted and measured.
        machine: the one that was driven.
        widened_by: the ledger that had widened the prediction's interval.

    Raises:
        InputError: when the ledger was written by another version.
        EnvironmentFault: when the disk is full or failing.
    """
    if verdict.valid and verdict.setting is not None:
        entries = _entries(run_folder.absolute(), verdict, verdict.setting, machine, widened_by, clock.utc_now())
        append_rows(ledger_path(run_folder), _COLUMNS, [_cells(entry) for entry in entries])


def read_ledger(run_folder: Path) -> LedgerFindings:
    """What the ledger of a run's results folder says.

    Raises:
        InputError: when there is none yet, or a row of it can't be read.
        EnvironmentFault: when the file can't be read.
    """
    path = ledger_path(run_folder)
    log = read_log(path)
    if log is None:
        raise InputError(
            what="nothing was verified yet, so no prediction can be held against what was measured",
            where=str(path),
            fix="verify a plan live first: `loadplan verify RUN`, or `loadplan run SCENARIO`",
        )
    entries = [_entry(row, f"{path}, line {i}") for i, row in enumerate(log.rows, start=2)]
    return judge_ledger(entries, sha256=log.sha256)


def _entries(
    folder: Path,
    verdict: Verdict,
    setting: Setting,
    machine: Machine,
    widened_by: LedgerFindings | None,
    now: datetime,
) -> tuple[LedgerEntry, ...]:
    predicted = verdict.predicted
    figures = (
        (0.5, predicted.p50_s, predicted.p50_interval, verdict.measured_p50_s, verdict.measured_p50_interval),
        (0.95, predicted.p95_s, predicted.p95_interval, verdict.measured_p95_s, verdict.measured_p95_interval),
        (0.99, predicted.p99_s, predicted.p99_interval, verdict.measured_p99_s, verdict.measured_p99_interval),
    )
    execution, serving = setting.execution, setting.serving
    return tuple(
        LedgerEntry(
            written_at=now.isoformat(),
            run=f"{folder.parent.name}/{folder.name}",
            machine=machine.fingerprint,
            cpu_model=machine.cpu_model,
            variant=execution.variant,
            provider=execution.provider,
            n_threads=execution.n_threads,
            max_batch_size=serving.max_batch_size,
            batch_window_s=serving.batch_window_s,
            offered_rate_rps=predicted.offered_rate_rps,
            utilisation_ratio=verdict.utilisation_ratio,
            quantile=quantile,
            predicted_s=predicted_s,
            predicted_s_low=interval.low,
            predicted_s_high=interval.high,
            widening=1.0 if widened_by is None else widened_by.widening_of(quantile),
            measured_s=measured_s,
            measured_s_low=None if measured is None else measured.low,
            measured_s_high=None if measured is None else measured.high,
            noise_floor_ratio=None if measured is None else _half_width_ratio(measured, measured_s),
            clean_ratio=verdict.clean_ratio,
        )
        for quantile, predicted_s, interval, measured_s, measured in figures
        if measured_s is not None
    )


def _half_width_ratio(interval: Interval, value: float) -> float:
    return (interval.high - interval.low) / 2.0 / value


def _cells(entry: LedgerEntry) -> list[str]:
    values = [getattr(entry, name) for name in _COLUMNS]
    return ["" if value is None else str(value) for value in values]


def _entry(row: dict[str, str], where: str) -> LedgerEntry:
    try:
        values = {name: _value(name, row[name]) for name in _FIELDS}
    except (KeyError, ValueError) as error:
        raise InputError(
            what=f"this is no row of a ledger: {error}", where=where, fix="take the line out, or correct it"
        ) from error
    return LedgerEntry(**values)  # type: ignore[arg-type]  # of the kind that each name has


def _value(name: str, cell: str) -> str | int | float | None:
    if name in _TEXTS:
        return cell
    if name in _WHOLE:
        return int(cell)
    if name in _MAYBE_UNKNOWN and not cell:
        return None
    value = float(cell)
    if not 0.0 <= value < float("inf"):
        raise ValueError(f"{name} is {cell}")
    return value
