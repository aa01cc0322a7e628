"""One function per stage of the road: what its result depends on, how it is made, and how it is read again."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

from loadplan import __version__
from loadplan.bench.records import BenchRun
from loadplan.errors import LoadplanError
from loadplan.export.artifact import ExportRun
from loadplan.export.isolated import export_isolated
from loadplan.export.runner import ExportStep
from loadplan.fit.calibration import N_RUNS_EXPECTED, next_run, require_enough
from loadplan.fit.capacity import fit_capacity
from loadplan.fit.compiling import compiled_meanwhile
from loadplan.fit.ledger import LedgerFindings
from loadplan.fit.planning_tables import with_planning_tables
from loadplan.fit.records import CapacityFit
from loadplan.fit.useful_runs import reasons_against
from loadplan.inference import runtime_version
from loadplan.load.messages.dealing import rows_of_class
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.pipeline import artifacts
from loadplan.pipeline.artifacts import read_bench, read_load, write_bench, write_load
from loadplan.pipeline.bench_request import bench_request, limit_that_decides_s
from loadplan.pipeline.benchmark import BenchPiece, benchmark
from loadplan.pipeline.budget import BUDGET_FOLDER, origin_of, write_budget
from loadplan.pipeline.catalogue import catalog_for
from loadplan.pipeline.drive import drive
from loadplan.pipeline.elsewhere import elsewhere_inputs, graph_costs, measured_elsewhere
from loadplan.pipeline.ledger import append_verification
from loadplan.pipeline.overhead_cache import keep_profile, payload_bytes, read_profile, server_of
from loadplan.pipeline.question import model_bytes, need_model, portable
from loadplan.pipeline.single_rows import require_batches
from loadplan.pipeline.stage import Made, Road, digest, kept_loads, made_by, once, plan_inputs, version, versions
from loadplan.pipeline.verification import Known, Verification, verify_here
from loadplan.plan.buying.offers import why_no_budget
from loadplan.plan.records.fleet import Plan
from loadplan.plan.search import searching
from loadplan.plan.with_outlook import plan_with_outlook
from loadplan.report.assets import maker_digest
from loadplan.report.findings import Findings, Provenance
from loadplan.report.html import PAGE, render_report, render_split_report
from loadplan.scenario.payload_file import load_payloads, save_payloads
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import ModelSource
from loadplan.store.codec import read_record, write_record
from loadplan.store.files import remove, write_text
from loadplan.store.manifest import Artifact, StageEntry, stage_key
from loadplan.trial import is_drivable, verification_spec
from loadplan.units import usd_text
from loadplan.verify import Verdict, verdict_word

# What decides the bytes of a graph.
_CONVERTERS = (
    *("onnx", "skl2onnx", "onnxmltools", "onnxscript"),
    *("scikit-learn", "xgboost-cpu", "xgboost", "lightgbm", "torch", "transformers", "numpy"),
)


def read_question(road: Road) -> Findings:
    """Keep the scenario, as written and as resolved."""
    asked = portable(road.scenario)

    def make() -> Made:
        write_text(road.folder.path / artifacts.SCENARIO_TEXT, road.scenario_text)
        write_record(road.folder.path / artifacts.SCENARIO, asked, schema="loadplan.scenario/1")
        write_record(road.folder.path / artifacts.MACHINE, road.machine, schema="loadplan.machine/1")
        said = ", ".join(
            f"{slo.class_name + ' ' if slo.class_name else ''}p{100 * limit.quantile:g} ≤ {1e3 * limit.limit_s:g} ms"
            for slo in road.scenario.objectives
            for limit in slo.limits
        )
        return Made(
            paths=[artifacts.SCENARIO_TEXT, artifacts.SCENARIO, artifacts.MACHINE],
            outcome=f"{road.scenario.name}: {road.scenario.traffic.peak_rps:,g} requests/s at the peak, {said}",
        )

    inputs = {
        "file": road.scenario_file,
        "scenario": digest(asked),
        "text": digest(road.scenario_text),
        "machine": digest(road.machine),
    }
    once(road, "scenario", inputs, make)
    return Findings(scenario=road.scenario, machine=road.machine)


def export(road: Road) -> tuple[ExportRun, PayloadSet]:
    """The ONNX variants that answer like their source, and the requests to send."""
    source = need_model(road.scenario)
    path = road.folder.path
    inputs = {
        "model": hashlib.sha256(model_bytes(source)).hexdigest(),
        "source": digest(replace(source, folder=".", time_limit_s=0.0)),  # patience changes no graph
        **{name: version(name) for name in _CONVERTERS},
        "runtime": runtime_version(),
    }

    def make() -> Made:
        (path / artifacts.MODELS).mkdir(exist_ok=True)
        with compiled_meanwhile():  # nothing may run beside the next stage
            exported, payloads = export_isolated(
                source, models_folder=path / artifacts.MODELS, on_step=partial(_export_progress, road, source, count())
            )
        (path / artifacts.PAYLOADS).parent.mkdir(exist_ok=True)
        save_payloads(path / artifacts.PAYLOADS, payloads)
        write_record(path / artifacts.EXPORT, exported, schema="loadplan.export/1")
        return Made(
            paths=[artifacts.EXPORT, artifacts.PAYLOADS, *(model.path for model in exported.models)],
            outcome=_export_outcome(exported, payloads),
        )

    once(road, "export", inputs, make)
    exported = read_record(path / artifacts.EXPORT, ExportRun, schema="loadplan.export/1")
    require_batches(exported, road.scenario)
    payloads = load_payloads(path / artifacts.PAYLOADS)
    for one in road.scenario.traffic.classes:
        rows_of_class(payloads, one)  # before anything is measured for a segment that isn't there
    return exported, payloads


def bench(road: Road, exported: ExportRun, payloads: PayloadSet) -> BenchRun:
    """Every cell of the grid, starts and the machine's own speed, each piece journalled as it is made."""
    scenario, path = road.scenario, road.folder.path
    inputs = {
        **made_by(road, "export"),
        "bench": digest(scenario.bench),
        "threads": digest(scenario.serving.n_threads),
        "objective": digest(limit_that_decides_s(scenario, len(exported.models))),
        "machine": road.machine.fingerprint,
        "runtime": runtime_version(),
    }

    def make() -> Made:
        journal = road.folder.journal("bench", stage_key("bench", inputs))
        models = {model.variant: path / model.path for model in exported.models}
        run = benchmark(
            bench_request(scenario, models=models, payloads=payloads, machine=road.machine),
            done=journal.entries(BenchPiece),
            on_record=journal.append,
            on_progress=road.observer.progress,
        )
        write_bench(path / artifacts.BENCH, run)
        n_noisy = sum(cell.is_noisy for cell in run.cells)
        return Made(paths=[artifacts.BENCH], outcome=f"{len(run.cells)} cells, {n_noisy} of them noisy")

    once(road, "bench", inputs, make)
    return read_bench(path / artifacts.BENCH)


def load(road: Road, exported: ExportRun, payloads: PayloadSet, benched: BenchRun) -> tuple[LoadRun, ...]:
    """A few short live runs, each kept as it is made; the next one is chosen by what the last ones showed."""
    scenario, path = road.scenario, road.folder.path
    inputs = {
        **made_by(road, "export", "bench"),
        "serving": digest(scenario.serving),
        "load": digest(scenario.load),
        "rows": digest((scenario.traffic.rows_per_request, scenario.traffic.classes)),
        "machine": road.machine.fingerprint,
        "locust": version("locust"),
    }

    def make() -> Made:
        journal = road.folder.journal("load", stage_key("load", inputs))
        kept = [read_load(path / artifact.path) for artifact in journal.entries(Artifact)]
        # What neighbours spoiled before the command was given again is driven again.
        runs = {run.spec.name: run for run in kept if not reasons_against(run)}
        while (spec := next_run(benched, scenario, tuple(runs.values()))) is not None:
            run = drive(
                spec,
                folder=path,
                exported=exported,
                payloads=payloads,
                scenario=scenario,
                machine=road.machine,
                on_progress=partial(_load_progress, road, spec, len(runs)),
            )
            write_load(path / _load_path(spec.name), run)
            journal.append(road.folder.artifact(_load_path(spec.name)))
            runs[spec.name] = run
        require_enough(tuple(runs.values()))
        n_requests = sum(run.requests.n_requests for run in runs.values())
        return Made(paths=[*map(_load_path, runs)], outcome=f"{len(runs)} runs, {n_requests:,} requests")

    once(road, "load", inputs, make)
    return kept_loads(road, "load")


def fit(
    road: Road, benched: BenchRun, loads: Sequence[LoadRun], *, ledger: LedgerFindings | None = None
) -> CapacityFit:
    """The laws behind bench and load runs, and what one server process carries; intervals as the ledger widens them."""
    scenario, path = road.scenario, road.folder.path
    inputs = {
        **made_by(road, "bench", "load"),
        "objectives": digest((scenario.objectives, scenario.vantage)),
        "serving": digest(scenario.serving),
        "balancer": digest((scenario.fleet.balancing, scenario.fleet.connections_per_process)),
        "traffic": digest((scenario.traffic.arrivals, scenario.traffic.rows_per_request, scenario.traffic.classes)),
        "seed": str(scenario.load.seed),
        **{name: version(name) for name in ("numpy", "scipy", "numba")},
        **({} if ledger is None else {"ledger": ledger.sha256}),
    }

    def make() -> Made:
        rows = scenario.traffic.rows_per_request
        server, n_bytes = server_of(versions()), payload_bytes(load_payloads(path / artifacts.PAYLOADS), rows)
        known = read_profile(server, benched.machine, n_bytes)
        first = None if known is None else known.overhead
        fitted = with_planning_tables(fit_capacity(benched, loads, scenario, ledger=ledger, first=first), scenario)
        fitted = replace(fitted, begun_at=None if known is None else known.run)
        keep_profile(fitted, server=server, n_bytes=n_bytes, run=path.name)
        write_record(path / artifacts.FIT, fitted, schema="loadplan.fit/1")
        best = max(fitted.capacities, key=lambda capacity: capacity.usable_capacity_rps)
        return Made(
            paths=[artifacts.FIT],
            outcome=f"one server here carries up to {best.usable_capacity_rps:,.0f} requests/s within the objectives",
        )

    once(road, "fit", inputs, make)
    return read_record(path / artifacts.FIT, CapacityFit, schema="loadplan.fit/1")


def plan(road: Road, fitted: CapacityFit) -> Plan:
    """The cheapest fleet over today's catalogue."""
    scenario, path = road.scenario, road.folder.path
    catalog = catalog_for(scenario, scenario_file=Path(road.scenario_file), as_of=road.as_of, prices=road.prices)
    inputs = {
        **plan_inputs(road, catalog),
        **elsewhere_inputs(road),
    }

    def make() -> Made:
        search = searching(
            fit=fitted,
            catalog=catalog,
            as_of=road.as_of,
            measured=measured_elsewhere(road),
            costs=graph_costs(road),
        )
        planned = plan_with_outlook(search, scenario=scenario, catalog=catalog)
        write_record(path / artifacts.PLAN, planned, schema="loadplan.plan/1")
        return Made(paths=[artifacts.PLAN], outcome=plan_outcome(planned))

    once(road, "plan", inputs, make)
    return read_record(path / artifacts.PLAN, Plan, schema="loadplan.plan/1")


def verify(
    road: Road,
    exported: ExportRun,
    payloads: PayloadSet,
    fitted: CapacityFit,
    planned: Plan,
    *,
    already: Verification | None = None,
) -> tuple[Verdict, LoadRun]:
    """Drive the planned setting on this machine at the planned share of its capacity, or keep what `already` was."""
    scenario, path = road.scenario, road.folder.path
    inputs = {
        **made_by(road, "export", "fit"),
        "run": digest(verification_spec(planned, fitted, scenario)),
        "objectives": digest(scenario.objectives),
        "rows": digest((scenario.traffic.rows_per_request, scenario.traffic.classes)),
        "machine": road.machine.fingerprint,
    }

    def make() -> Made:
        verified = already or verify_here(road, Known(exported, payloads, fitted, planned))
        paths = [artifacts.VERIFICATION, *(_load_path(run.spec.name) for run in verified.beside)]
        for run, name in zip((verified.run, *verified.beside), paths, strict=True):
            write_load(path / name, run)
        write_record(path / artifacts.VERDICT, verified.verdict, schema="loadplan.verify/2")
        append_verification(path, verified.verdict, machine=verified.run.machine, widened_by=fitted.ledger)
        return Made(paths=[artifacts.VERDICT, *paths], outcome=verdict_word(verified.verdict))

    once(road, "verify", inputs, make)
    verdict = read_record(path / artifacts.VERDICT, Verdict, schema="loadplan.verify/2")
    return verdict, read_load(path / artifacts.VERIFICATION)


def drop_other_verification(road: Road, fitted: CapacityFit, planned: Plan) -> None:
    """Forget the verification of another plan: a live run proves the setting and the rate that it drove, no other."""
    entry = road.folder.entry("verify")
    if entry is None:
        return
    is_of_this_plan = is_drivable(planned, fitted) and entry.inputs["run"] == digest(
        verification_spec(planned, fitted, road.scenario)
    )
    if not is_of_this_plan:
        road.folder.forget("verify")


def report(road: Road, known: Findings, failure: LoadplanError | None) -> Path:
    """The page and the budget of whatever was found; returns the page's path."""
    path, provenance = road.folder.path, _provenance(road, known, failure)

    def make() -> Made:
        write_text(path / artifacts.REPORT, render_report(known, provenance))
        # A bill on prices that are too old for one would be read all the same, and so would that of an earlier plan.
        for name in (artifacts.BUDGET, artifacts.BUDGET_SHEET):
            remove(path / name)
        if known.plan is None or provenance.no_budget is not None:
            return Made(paths=[artifacts.REPORT], outcome=str(path / artifacts.REPORT))
        names = [artifacts.REPORT, *write_budget(path, known.plan, known.scenario, origin=origin_of(road.folder))]
        return Made(paths=names, outcome=str(path / artifacts.REPORT))

    inputs = {
        "provenance": digest(provenance),
        "found": digest(provenance.artifacts),
        "failure": provenance.failure or "",
        "maker": maker_digest(),
        "loadplan": __version__,
        "plotly": version("plotly"),
    }
    once(road, "report", inputs, make)
    return path / artifacts.REPORT


def split_report(road: Road, known: Findings, failure: LoadplanError | None) -> Path:
    """The page with its style and scripts in files of their own, in a folder that no stage keeps; its path."""
    folder = road.folder.path / artifacts.SPLIT_REPORT
    for name, text in render_split_report(known, _provenance(road, known, failure)).items():
        write_text(folder / name, text)
    return folder / PAGE


def budget_page(road: Road, known: Findings, failure: LoadplanError | None) -> Path:
    """The page that begins with the money; made anew each time, and no artefact of the run."""
    path = road.folder.path / BUDGET_FOLDER / artifacts.REPORT
    write_text(path, render_report(known, _provenance(road, known, failure), audience="budget"))
    return path


def _export_progress(road: Road, source: ModelSource, n_begun: Iterator[int], step: ExportStep) -> None:
    """Two steps for all variants together, two for each, and one more at the end; lost variants begin them anew."""
    road.observer.progress(min(next(n_begun) / (3 + 2 * len(source.variants)), 1.0), step.doing)


def _load_progress(road: Road, spec: LoadSpec, n_done: int, done_ratio: float) -> None:
    said = f"run {n_done + 1}: {spec.purpose} at {spec.offered_rate_rps:,.0f} requests/s"
    road.observer.progress(min((n_done + done_ratio) / N_RUNS_EXPECTED, 1.0), said)


def _load_path(name: str) -> str:
    return f"{artifacts.LOAD}/{name}.parquet"


def _provenance(road: Road, known: Findings, failure: LoadplanError | None) -> Provenance:
    done = [entry for entry in road.folder.manifest.stages if entry.stage != "report"]
    found = tuple((artifact.path, artifact.sha256) for entry in done for artifact in entry.artifacts)
    return Provenance(
        run=road.folder.path.name,
        created_at=road.folder.manifest.created_at,
        seed=road.scenario.load.seed,
        versions=_versions_of(done),
        artifacts=found,
        command=f"loadplan run {road.scenario_file}",
        failure=_told_before(road, found) if failure is None else f"{failure.what}; {failure.fix}",
        no_budget=None if known.plan is None else why_no_budget(known.plan, as_of=road.as_of),
    )


def _versions_of(done: Sequence[StageEntry]) -> dict[str, str]:
    """What did the work, which may not be what is installed now; where stages were done with several, all of them."""
    found: dict[str, dict[str, None]] = {}
    for entry in done:
        for package, number in entry.versions.items():
            found.setdefault(package, {})[number] = None
    return {package: " and ".join(numbers) for package, numbers in found.items()}


def _told_before(road: Road, found: tuple[tuple[str, str], ...]) -> str | None:
    """What stopped the walk that found just this, as its report said: nothing else in the folder tells."""
    entry = road.folder.entry("report")
    if entry is None or entry.inputs.get("found") != digest(found):
        return None
    return entry.inputs.get("failure") or None


def _export_outcome(exported: ExportRun, payloads: PayloadSet) -> str:
    worst = {model.variant: max(check.max_abs_error for check in model.parity) for model in exported.models}
    kept = ", ".join(f"{variant} within {error:.1e}" for variant, error in worst.items())
    refused = ", ".join(refusal.variant for refusal in exported.refused)
    return f"yes: {kept} on {payloads.n_rows} held-out rows" + (f"; refused: {refused}" if refused else "")


def plan_outcome(planned: Plan) -> str:
    """What a plan comes to, in one line."""
    if planned.recommended is None:
        return f"none will do: {planned.binding_constraint}"
    items = " + ".join(f"{item.n_replicas} × {item.offer.name}" for item in planned.recommended.items)
    return f"{items}, {usd_text(planned.recommended.usd_per_month)} a month"
