"""Records as the JSON objects that scripts rely on: SI units, `null` with its reason, never 0 or NaN for 'unknown'.

These shapes are a promise (their schema numbers say which); the records behind them may change freely.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from loadplan.bench.compare import BenchComparison
from loadplan.bench.records import BenchCell, BenchRun, CellSummary
from loadplan.cli.class_documents import class_documents, class_verdict_document, objective_document
from loadplan.cli.figures import Document, caveats, figure, interval, record, summary, usd
from loadplan.cli.machine_documents import machine_document
from loadplan.cli.outlook_documents import outlook_document
from loadplan.cli.overdispersed_text import overdispersed_document
from loadplan.cli.purchase_documents import mix_document
from loadplan.cli.resource_documents import probe_document, resource_documents
from loadplan.cli.scaling_documents import scaling_document
from loadplan.cli.service_text import service_document
from loadplan.cli.verification_documents import verification_documents
from loadplan.errors import LoadplanError
from loadplan.export.artifact import ExportRun
from loadplan.fit.ledger import N_ENTRIES_LEAST, WANTED_COVERAGE_RATIO, LedgerFindings
from loadplan.fit.records import CapacityFit
from loadplan.load.records import LoadRun, LoadSpec, ServerWatch
from loadplan.load.verdict import answer_counts
from loadplan.pipeline.rental import Rental
from loadplan.pipeline.road import RoadEnd
from loadplan.plan.reasons import is_near_tie
from loadplan.plan.records.fleet import Fleet, Plan, WorthMeasuring
from loadplan.plan.records.loss import LossOutcome
from loadplan.profile import Profile
from loadplan.scenario.arrivals import Callers, described
from loadplan.slo import Slo
from loadplan.stats import Summary, n_samples_needed, percentile
from loadplan.verify import Verdict

# Why a field of a record is None, by its name.
_NO_DIRECTION, _NOT_DEFINED = "the source's answers have no direction", "the metric isn't defined on these rows"
_NO_LIMIT, _ALIKE = "no limit is set", "all rows are of one length"
_ABSENT_OF_A_MODEL = {
    **dict.fromkeys(("min_cosine", "mean_cosine"), _NO_DIRECTION),
    "rank_correlation": "no output is one number for each row",
    "top1_agreement_ratio": "no output is a row of class scores",
    **dict.fromkeys(("shortest", "longest", "n_positions"), _ALIKE),
    **dict.fromkeys(("value", "source_value", "drop_bound"), _NOT_DEFINED),
    **dict.fromkeys(("max_abs_error", "max_rel_error", "min_rank_correlation"), _NO_LIMIT),
    "sensitivity": "looked at on fp32 alone, where an error is limited",
    "opening": "it was not timed",
}
_ABSENT_OF_A_FIT = {
    "server_bytes": "nobody looked",
    "start": "no start was measured",
    "quantile": "it is a throughput, not a latency",
    "overdispersed_rps": "arrivals aren't assumed to be Poisson, or it carries nothing of them",
    "outside": "nothing lies outside the replica",
    "binding": "every limit holds up to the highest rate that is looked at",
    "limit": "it is the share that may fail",
}


def run_document(end: RoadEnd) -> Document:
    """The whole road: where it is kept, the plan and the verdict as far as there are any."""
    found = end.findings
    return {
        "schema": "loadplan.run/1",
        "run": str(end.folder),
        "report": None if end.report is None else str(end.report),
        "plan": None if found.plan is None else plan_document(found.plan),
        "verify": None if found.verdict is None else verify_document(found.verdict),
        **({} if found.service is None else {"service": service_document(found, found.service)}),
        "failure": None if end.failure is None else {"what": end.failure.what, "fix": end.failure.fix},
    }


def bench_document(run: BenchRun) -> Document:
    """Every cell of a sweep."""
    return {
        "schema": "loadplan.bench/1",
        "machine": machine_document(run.machine),
        "clock_s": run.clock_s,
        "cells": [_cell(cell) for cell in run.cells],
        "cold": [_cell(cell) for cell in run.cold],
        "by_length": [_cell(cell) for cell in run.by_length],
        "resources": resource_documents(run),
        **probe_document(run.probe),
        "caveats": caveats(run.caveats),
    }


def export_document(run: ExportRun, folder: Path) -> Document:
    """Every variant with its parity, and those that were refused."""
    return {
        "schema": "loadplan.export/1",
        "run": str(folder),
        "source": run.source,
        "versions": run.versions,
        "models": [record(model, _ABSENT_OF_A_MODEL) for model in run.models],
        "refused": [asdict(refusal) for refusal in run.refused],
        "caveats": caveats(run.caveats),
    }


def fit_document(fit: CapacityFit) -> Document:
    """The laws, and what one server process carries with each setting."""
    return {
        "schema": "loadplan.fit/1",
        "machine": machine_document(fit.machine),
        "service_times": [record(law, _ABSENT_OF_A_FIT) for law in fit.service_times],
        "overhead": record(fit.overhead, _ABSENT_OF_A_FIT),
        "capacities": [record(capacity, _ABSENT_OF_A_FIT) for capacity in fit.capacities],
        "begun_at": fit.begun_at,
        "ledger": None if fit.ledger is None else _ledger(fit.ledger),
        "caveats": caveats(fit.caveats),
    }


def _ledger(findings: LedgerFindings) -> Document:
    return {
        "sha256": findings.sha256,
        "figures": [
            {
                **asdict(figure),
                "coverage_ratio": figure.coverage_ratio,
                "wanted_coverage_ratio": WANTED_COVERAGE_RATIO,
                "n_entries_least": N_ENTRIES_LEAST,
            }
            for figure in findings.figures
        ],
    }


def compare_document(comparison: BenchComparison | None, failure: LoadplanError | None) -> Document:
    """Two sweeps cell by cell, where there are two, and whether a check of them fails."""
    if comparison is None:
        said = None if failure is None else {"what": failure.what, "fix": failure.fix}
        return {"schema": "loadplan.compare/1", "cells": [], "failure": said}
    return {
        "schema": "loadplan.compare/1",
        "base": machine_document(comparison.base),
        "head": machine_document(comparison.head),
        "allowed_ratio": comparison.allowed_ratio,
        "cells": [
            {
                **_axes(cell.cell),
                "ratio": cell.ratio,
                **interval("ratio", cell.interval),
                **figure("p_value", cell.p_value, "the cell is noisy"),
                "change": cell.change,
            }
            for cell in comparison.cells
        ],
        "only_in_base": [_axes(cell) for cell in comparison.only_in_base],
        "only_in_head": [_axes(cell) for cell in comparison.only_in_head],
        "failure": None if failure is None else {"what": failure.what, "fix": failure.fix},
        "caveats": caveats(comparison.caveats),
    }


def load_document(
    run: LoadRun,
    response: Summary | None,
    clean: Summary | None,
    send_delay: Summary | None,
    *,
    kept: Path | None = None,
    objectives: Sequence[Slo] = (),
) -> Document:
    """One load run; the latencies of an invalid one are null, with the reason.

    `kept`: where its records lie. `objectives`: what it is held to; only runs of several classes are.
    """
    verdict = run.verdict
    why = "the run is invalid" if not verdict.valid else "no request was answered correctly"
    return {
        "schema": "loadplan.load/1",
        "url": run.url,
        "valid": verdict.valid,
        "invalid_reasons": list(verdict.invalid_reasons),
        **_offered(run.spec),
        "warm_up_s": run.spec.warm_up_s,
        "achieved_rate_rps": verdict.achieved_rate_rps,
        "throughput_rps": verdict.throughput_rps,
        "n_requests": run.requests.n_requests,
        "n_failed": verdict.n_failed,
        "failures": answer_counts(run),
        **summary("response_time_s", response, why, timeout_s=run.spec.timeout_s),
        **summary("response_time_clean_s", clean, why, timeout_s=run.spec.timeout_s),
        "clean_ratio": verdict.clean_ratio,
        **summary("send_delay_s", send_delay, "no request was sent"),
        **figure("saturation_ratio", verdict.saturation_ratio, "the generator didn't tell"),
        **_server(run.server),
        "kept": None if kept is None else str(kept),
        "caveats": caveats(run.caveats),
        **class_documents(run, why, objectives),
    }


def _offered(spec: LoadSpec) -> Document:
    """Requests of an open loop come at a rate whatever the answers do, those of a closed one wait for them."""
    arrivals = spec.arrivals
    if isinstance(arrivals, Callers):
        return {
            "loop": "closed",
            "n_callers": arrivals.n_callers,
            "think_time_s": arrivals.think_time_s,
            **figure("offered_rate_rps", None, "callers who wait for their answers offer no rate of their own"),
        }
    return {"loop": "open", "arrivals": described(arrivals), "offered_rate_rps": spec.offered_rate_rps}


def profile_document(path: Path, profile: Profile) -> Document:
    """A profile that was written, and what it is of."""
    facts = profile.facts
    return {
        "schema": "loadplan.profile/1",
        "file": str(path),
        **figure("instance_type", facts.machine.instance_type, "this machine doesn't tell"),
        "machine": machine_document(facts.machine),
        "scenario": facts.scenario,
        "model": asdict(facts.model),
        "measured_on": facts.measured_on.isoformat(),
        "n_cells": len(profile.bench.cells),
        "resources": resource_documents(profile.bench),
        **probe_document(profile.bench.probe),
    }


def rental_document(rental: Rental, script: Path | None) -> Document:
    """What to run on a rented machine, and what it costs; nothing was measured."""
    return {
        "schema": "loadplan.profile/1",
        "file": None,
        "file_reason": "nothing is measured with --on",
        "instance_type": rental.offer.type_name,
        "region": rental.offer.region,
        "commands": list(rental.commands),
        "minutes": rental.minutes,
        "usd_per_hour": str(rental.offer.usd_per_hour),
        "usd": usd(rental.usd),
        "script": None if script is None else str(script),
        **({} if script else {"script_reason": "none was asked for with --script"}),
        "minutes_at_most": rental.most_minutes if script else None,
        "usd_at_most": usd(rental.most_usd) if script else None,
        "is_free_when_off": rental.is_free_when_off,
    }


def plan_document(plan: Plan) -> Document:
    """What to buy, what else was looked at, and what the answer rests on."""
    return {
        "schema": "loadplan.plan/1",
        "feasible": plan.feasible,
        "recommended": None if plan.recommended is None else _fleet(plan.recommended),
        "runners_up": [_runner_up(fleet, plan.recommended) for fleet in plan.runners_up],
        "nearest_miss": None if plan.nearest_miss is None else _fleet(plan.nearest_miss),
        "binding_constraint": plan.binding_constraint,
        "loss": None if plan.loss is None else _loss(plan.loss),
        **({} if plan.loss else {"loss_reason": "nothing is spare, or the loss of the spares was not simulated"}),
        "purchase_mix": mix_document(plan.purchase_mix),
        "worth_measuring": [_worth_measuring(one) for one in plan.worth_measuring],
        "scaling": scaling_document(plan.scaling),
        "overdispersed": overdispersed_document(plan.overdispersed),
        "outlook": outlook_document(plan.outlook),
        "peak_rps": plan.peak_rps,
        **figure(
            "oldest_price_date",
            None if plan.oldest_price_date is None else plan.oldest_price_date.isoformat(),
            "no offer has a price of a catalogue",
        ),
        "catalog": plan.catalog_version,
        "assumptions": [asdict(assumption) for assumption in plan.assumptions],
        "caveats": caveats(plan.caveats),
    }


def _loss(loss: LossOutcome) -> Document:
    absent = {"recovered_after_s": f"not in the {loss.watched_s:g} s that were watched"}
    return {**record(loss, absent), "is_borne": loss.is_borne}


def _worth_measuring(one: WorthMeasuring) -> Document:
    money = ("expected_saving_usd_per_month", "best_usd_per_month", "measuring_usd")
    return {**asdict(one), **{name: usd(getattr(one, name)) for name in money}}


def verify_document(verdict: Verdict) -> Document:
    """What one live run of the planned setting showed, beside what was predicted for it."""
    predicted, measured = verdict.predicted, not verdict.valid
    why = "the run is invalid: " + "; ".join(verdict.invalid_reasons) if measured else "too few correct answers"
    return {
        "schema": "loadplan.verify/1",
        "passed": verdict.passed,
        "subject": verdict.subject,
        "offered_rate_rps": verdict.offered_rate_rps,
        "utilisation_ratio": verdict.utilisation_ratio,
        "n_requests": verdict.n_requests,
        "n_failed": verdict.n_failed,
        "valid": verdict.valid,
        "invalid_reasons": list(verdict.invalid_reasons),
        **figure("prediction_held", verdict.prediction_held, why),
        "predicted": {
            "p50_s": predicted.p50_s,
            **interval("p50_s", predicted.p50_interval),
            "p95_s": predicted.p95_s,
            **interval("p95_s", predicted.p95_interval),
            "p99_s": predicted.p99_s,
            **interval("p99_s", predicted.p99_interval),
        },
        "measured": {
            **figure("p50_s", verdict.measured_p50_s, why),
            **interval("p50_s", verdict.measured_p50_interval),
            **figure("p95_s", verdict.measured_p95_s, why),
            **interval("p95_s", verdict.measured_p95_interval),
            **figure("p99_s", verdict.measured_p99_s, why),
            **interval("p99_s", verdict.measured_p99_interval),
        },
        "objectives": [objective_document(attained) for attained in verdict.attainments],
        **({"classes": [class_verdict_document(one) for one in verdict.classes]} if verdict.classes else {}),
        **verification_documents(verdict),
        "caveats": caveats(verdict.caveats),
    }


def _cell(cell: CellSummary) -> Document:
    figures = asdict(cell)
    del figures["cell"]
    for name in ("copy_in_s", "copy_out_s"):
        figures.update(figure(name, figures[name], "the provider works on host memory, or the tensors hold text"))
    for name, quantile in (("p90_s", 0.9), ("p99_s", 0.99)):
        figures.update(figure(name, figures[name], f"needs {n_samples_needed(quantile)} samples"))
    return {**_axes(cell.cell), **figures}


def _axes(cell: BenchCell) -> Document:
    axes = asdict(cell)
    return {**axes.pop("execution"), **axes}


def _runner_up(fleet: Fleet, winner: Fleet | None) -> Document:
    """One that lost, and whether it costs at most 5 % more."""
    near_tie = winner is not None and is_near_tie(fleet, winner)
    return {**_fleet(fleet), "reason": fleet.reason, "is_near_tie": near_tie}


def _fleet(fleet: Fleet) -> Document:
    return {
        "offers": [
            {
                "provider": item.offer.instance_type.provider,
                "region": item.offer.region,
                "instance_type": item.offer.instance_type.name,
                "purchase": item.offer.purchase,
                "n_replicas": item.n_replicas,
                "price_usd_per_hour": f"{item.offer.usd_per_hour:f}",
                "price_date": item.offer.price_date.isoformat(),
                "price_layer": item.offer.layer,
                "price_source": item.offer.source,
                "price_quality": item.offer.quality,
            }
            for item in fleet.items
        ],
        "usd_per_hour": usd(fleet.usd_per_hour),
        "usd_per_month": usd(fleet.usd_per_month),
        "evidence": fleet.basis,
        "measured_on": fleet.capacity.measured_on,
        **figure("predicted_p99_s", fleet.predicted_p99_s, "the capacity was given, not derived"),
        "utilisation_ratio": fleet.utilisation_ratio,
        "utilisation_ratio_degraded": fleet.utilisation_ratio_degraded,
    }


def _server(watch: ServerWatch | None) -> Document:
    if watch is None:
        return {"server": None, "server_reason": "nobody watched the server"}
    figures: Document = {"processes": watch.processes, "n_samples": int(watch.at_s.size)}
    for series in watch.series:
        said = None if series.values is None else series.values[np.isfinite(series.values)]
        if said is None:
            figures |= {series.name: None, f"{series.name}_reason": series.absent_reason}
        else:
            figures[series.name] = {"p50": percentile(said, 0.5), "max": float(said.max())}
    return {"server": figures}
