"""What there is to do on a GPU machine, a function for each step; `gpu_day` walks them.

Every step may be run alone, by `gpu_day --steps NAME`, and those after `profile` read what it left.
"""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for tests.gpu.graphs

# ruff: noqa: E402 -- what follows needs the path above
import numpy as np

from loadplan.bench.records import BenchCell, BenchRun
from loadplan.bench.runner import BenchRequest, run_bench
from loadplan.catalog.reader import load_catalog
from loadplan.execution import ExecutionConfig
from loadplan.export.cost import model_costs
from loadplan.export.variants import make_variant
from loadplan.fit.latency import predict
from loadplan.fit.records import CapacityFit
from loadplan.inference import open_session, runtime_version
from loadplan.load.records import LoadSpec
from loadplan.load.verdict import latency_summary
from loadplan.machine import read_machine
from loadplan.pipeline.artifacts import read_findings
from loadplan.pipeline.drive import drive
from loadplan.plan.records.fleet import Fleet
from loadplan.plan.search import plan_fleet
from loadplan.profile import read_profile
from loadplan.providers import discover_providers
from loadplan.report.findings import Findings
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.reader import read_scenario
from loadplan.store.run_folder import read_run_folder
from tests.gpu import graphs

Found = dict[str, Any]
_PEAKS_RPS = (20.0, 300.0, 6000.0)
_LOAD_RATIOS = (0.3, 0.5, 0.7, 0.85)
_N_LIVE = 12
# Of the roofline, before anything is measured: what kernels attain of a peak, and what a launch takes. Assumed.
_ATTAINED_RATIO, _LAUNCH_S = 0.5, 5e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """How it is walked."""

    provider: str  # CUDA; CPU to rehearse
    out: Path
    is_rehearsal: bool

    @property
    def sizes(self) -> tuple[int, ...]:
        """Batch sizes of the sweep: few, for every visit starts a process, and with it CUDA."""
        return (1, 4) if self.is_rehearsal else (1, 8, 64, 256)

    @property
    def sizes_side_by_side(self) -> tuple[int, ...]:
        """Batch sizes at which two and four sessions are timed: cuDNN tries its kernels anew for every one of them."""
        return (1,) if self.is_rehearsal else (8,)


class Log:
    """What a step found, on disk from the moment it is known: a step that is stopped keeps what it had."""

    def __init__(self, path: Path) -> None:
        self._path, self._found = path, Found()

    def tell(self, **found: object) -> None:
        """Add to it."""
        self._found |= found
        self._path.write_text(json.dumps(self._found, indent=1, default=str) + "\n")


def _provider(day: Day, log: Log) -> None:
    """Does the provider run every node that it should?"""
    machine = read_machine()
    log.tell(date=date.today(), runtime=runtime_version(), fingerprint=machine.fingerprint, cpu=machine.cpu_model)
    log.tell(n_usable_cores=machine.n_usable_cores, gpus=[asdict(gpu) for gpu in machine.gpus])
    log.tell(providers=[asdict(one) for one in discover_providers()])
    for name, model in _models(day).items():
        session = open_session(model, ExecutionConfig(variant=name, provider=day.provider))
        counted = {operator: session.on_cpu.count(operator) for operator in sorted(set(session.on_cpu))}
        log.tell(**{f"left to the CPU of {name}": counted})


def _predict(day: Day, log: Log) -> None:
    """Before looking: what the roofline says of the GPU, from its data sheet; `sweep` says how far off that is.

    t(b) = max(b flops / (a peak), bytes(b) / (a bandwidth)) + launches, with a share a of both peaks; the copies over
    the bus are left out.
    """
    peak_flops, bytes_per_s, whose = _data_sheet()
    log.tell(peak_fp32_tflops=peak_flops / 1e12, bandwidth_gb_per_s=bytes_per_s / 1e9, of=whose)
    for name, model in _models(day).items():
        if name.endswith("fp16"):
            continue
        costs = model_costs(model.read_bytes(), _rows(name, day), batch_sizes=day.sizes[:2])
        n_nodes = _n_nodes(model)
        predicted = {}
        for cost in costs.by_batch_size:
            n_bytes = cost.weight_bytes + cost.batch_size * cost.activation_bytes_per_row
            compute_s = cost.batch_size * cost.flops_per_row / (_ATTAINED_RATIO * peak_flops)
            memory_s = n_bytes / (_ATTAINED_RATIO * bytes_per_s)
            predicted[cost.batch_size] = max(compute_s, memory_s) + n_nodes * _LAUNCH_S
        log.tell(**{name: predicted or costs.unknown})


def _profile(day: Day, log: Log) -> None:
    """The road to its fit on this machine, as one file to plan on anywhere."""
    folder = day.out / "scenario"
    folder.mkdir(exist_ok=True)
    # The recommender needs PyTorch, to be trained in.
    name = "recommender" if find_spec("torch") and not day.is_rehearsal else "digits"
    shutil.copy(ROOT / "scenarios" / f"{name}_model.py", folder)
    text = (ROOT / "scenarios" / f"{name}.yaml").read_text()
    (folder / f"{name}.yaml").write_text("".join(_changed(line, name, day) for line in text.splitlines(keepends=True)))
    file = day.out / f"{_gpu_name()}.parquet"
    command = ["profile", folder / f"{name}.yaml", "-o", day.out / "runs", "--out", file, "--json"]
    said = subprocess.run(
        [sys.executable, "-m", "loadplan", *map(str, command)], capture_output=True, text=True, check=False
    )
    sys.stdout.write(said.stderr)
    if said.returncode:
        raise SystemExit(f"loadplan profile ended with exit code {said.returncode}")
    profile = read_profile(file)
    log.tell(file=file, n_bytes=file.stat().st_size, cells=len(profile.bench.cells), model=profile.facts.model.name)
    log.tell(capacities=[_capacity_line(one) for one in _run_of(day)[1].capacities])
    log.tell(caveats=[caveat.what for caveat in profile.facts.fit.caveats])


def _changed(line: str, name: str, day: Day) -> str:
    """A line of the scenario as this machine is to walk it."""
    if line.startswith("bench:") and day.is_rehearsal:
        return "bench: {batch_sizes: [1, 8], budget_s: 6}\n"
    if line.startswith("bench:"):
        sizes = "1, 16, 64, 128, 256, 512" if name == "recommender" else "1, 2, 4, 8, 16, 32"
        return f"bench: {{batch_sizes: [{sizes}], budget_s: 60, providers: [CPU, {day.provider}]}}\n"
    if line.startswith("  threads:"):
        return "  threads: [1]\n"
    if line.startswith("  max_batch_size:") and day.is_rehearsal:
        return "  max_batch_size: [1, 8]\n"
    if name == "recommender" and line.startswith("  variants:"):
        return "  variants: [fp32]\n"
    return line


def _plan(day: Day, log: Log) -> None:
    """One or two GPUs, or none? At three traffics, from what was measured here."""
    known, fit = _run_of(day)
    as_of = date.today()
    catalog = load_catalog(as_of=as_of)
    everywhere = tuple(sorted({offer.instance_type.provider for offer in catalog.offers}))
    regions = tuple(sorted({offer.region for offer in catalog.offers}))
    for peak_rps in _PEAKS_RPS:
        scenario = replace(
            known.scenario,
            traffic=replace(known.scenario.traffic, peak_rps=peak_rps),
            plan=replace(known.scenario.plan, providers=everywhere, regions=regions),
        )
        # Apart, for the ten runners-up of one plan may all be of the other kind.
        kinds = {
            "none": [offer for offer in catalog.offers if offer.instance_type.accelerator is None],
            "GPU": [offer for offer in catalog.offers if offer.instance_type.accelerator is not None],
        }
        cheapest = {}
        for kind, offers in kinds.items():
            plan = plan_fleet(fit=fit, scenario=scenario, catalog=replace(catalog, offers=tuple(offers)), as_of=as_of)
            fleets = [fleet for fleet in (plan.recommended, *plan.runners_up[:2]) if fleet is not None]
            cheapest[kind] = [_fleet_line(fleet) for fleet in fleets] or plan.binding_constraint
        log.tell(**{f"{peak_rps:g} requests/s": cheapest})


def _fleet_line(fleet: Fleet) -> str:
    (item,) = fleet.items
    setting = fleet.capacity.setting
    provider = "" if setting is None else f" on {setting.execution.provider}"
    return f"{item.n_replicas} × {item.offer.name}{provider}: ${fleet.usd_per_month} a month ({fleet.basis})"


def _sweep(day: Day, log: Log) -> None:
    """Every network, fp32 and fp16, at every batch size with one and several sessions."""
    models = _models(day)
    for name, model in models.items():
        cells = tuple(
            BenchCell(
                execution=ExecutionConfig(variant=name, provider=day.provider, n_sessions=n_sessions), batch_size=size
            )
            for n_sessions in (1, 2, 4)
            for size in (day.sizes if n_sessions == 1 else day.sizes_side_by_side)
        )
        run = run_bench(
            BenchRequest(
                models={name: model},
                payloads=_rows(name, day),
                cells=cells,
                budget_s=2.0 if day.is_rehearsal else 25.0,
                machine=read_machine(),
            )
        )
        log.tell(**{name: _cells(run), f"doubts about {name}": [caveat.what for caveat in run.caveats]})


def _live(day: Day, log: Log) -> None:
    """Settings and rates that took no part in the fit: the latency that was predicted, and that which was measured."""
    known, fit = _run_of(day)
    if known.export is None or known.payloads is None:
        raise SystemExit("the run holds no model")
    carrying = [one for one in fit.capacities if one.usable_capacity_rps > 0.0]
    own = [one for one in carrying if one.setting.execution.provider_name == day.provider] or carrying
    runs: list[Found] = []
    for i in range(2 if day.is_rehearsal else _N_LIVE):
        capacity, ratio = own[i % len(own)], _LOAD_RATIOS[(i + i // len(own)) % len(_LOAD_RATIOS)]
        rate_rps = ratio * capacity.usable_capacity_rps
        spec = LoadSpec(
            name=f"live-{i}",
            purpose="verification",
            arrivals=known.scenario.traffic.arrivals,
            offered_rate_rps=rate_rps,
            duration_s=2.0 if day.is_rehearsal else 4.0,
            seed=1000 + i,
            timeout_s=5.0,
            setting=capacity.setting,
        )
        said: Found = {"setting": str(capacity.setting), "rate_rps": rate_rps}
        said["predicted"] = asdict(predict(fit, capacity.setting, rate_rps=rate_rps))
        run = drive(
            spec,
            folder=_run_folder(day),
            exported=known.export,
            payloads=known.payloads,
            scenario=known.scenario,
            machine=read_machine(),
        )
        summary = latency_summary(run) if run.verdict.valid else None
        said["measured"] = asdict(summary) if summary else list(run.verdict.invalid_reasons)
        runs.append(said)
        log.tell(runs=runs)


def _binding(day: Day, log: Log) -> None:
    """What the benchmark adds to a bare loop over bound calls."""
    script = ROOT / "tests" / "performance" / "binding.py"
    said = subprocess.run([sys.executable, str(script), day.provider], capture_output=True, text=True, check=True)
    log.tell(said=said.stdout.splitlines())


def _tests(_: Day, log: Log) -> None:
    """All of tests/gpu, each with its reason where it is skipped."""
    command = [sys.executable, "-m", "pytest", "tests/gpu", "-q", "-ra", "-p", "no:cacheprovider"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    sys.stdout.write(said.stdout)
    log.tell(said=said.stdout.splitlines()[-40:])
    if said.returncode:
        raise SystemExit(f"pytest ended with exit code {said.returncode}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do, and the seconds after which it is given up."""

    make: Callable[[Day, Log], None]
    limit_s: float


# In the order of what would be missed most.
STEPS = {
    "provider": Step(make=_provider, limit_s=60.0),
    "predict": Step(make=_predict, limit_s=60.0),
    "profile": Step(make=_profile, limit_s=300.0),
    "plan": Step(make=_plan, limit_s=60.0),
    "sweep": Step(make=_sweep, limit_s=240.0),
    "live": Step(make=_live, limit_s=150.0),
    "binding": Step(make=_binding, limit_s=30.0),
    "tests": Step(make=_tests, limit_s=200.0),
}


def _models(day: Day) -> dict[str, Path]:
    """The networks, each as fp32 and fp16, written once."""
    folder = day.out / "models"
    folder.mkdir(exist_ok=True)
    small = {"side": 32, "width": 8, "blocks": (1, 1, 1, 1)} if day.is_rehearsal else {}
    thin = {"n_layers": 1, "width": 48, "n_heads": 4, "n_words": 1000} if day.is_rehearsal else {}
    makers: dict[str, Callable[[Path], Path]] = {
        "resnet": lambda path: graphs.resnet(path, **small),
        "encoder": lambda path: graphs.encoder(path, **thin),
    }
    found: dict[str, Path] = {}
    for name, make in makers.items():
        full, half = folder / f"{name}.onnx", folder / f"{name}_fp16.onnx"
        if not half.exists():
            make(full)
            half.write_bytes(make_variant("fp16", full.read_bytes(), calibration=()))
        found |= {name: full, f"{name}_fp16": half}
    return found


def _rows(name: str, day: Day) -> PayloadSet:
    """As many as the largest batch; of the encoder with lengths from 5 to 128."""
    rng, n = np.random.default_rng(5), max(*day.sizes, 16)
    if name.startswith("resnet"):
        side = 32 if day.is_rehearsal else 224
        rows = rng.standard_normal((n, 3, side, side), dtype=np.float32)
        return PayloadSet(inputs={"x": rows}, expected={}, segments=("",) * n, labels=None)
    lengths = np.clip(rng.lognormal(3.0, 0.7, n), 5, 128).astype(np.int64)
    mask = (np.arange(lengths.max()) < lengths[:, np.newaxis]).astype(np.int64)
    ids = rng.integers(1, 1000, mask.shape) * mask
    return PayloadSet(
        inputs={"ids": ids, "mask": mask},
        expected={},
        segments=("",) * n,
        labels=None,
        lengths=lengths,
        sequences=("ids", "mask"),
    )


def _cells(run: BenchRun) -> list[Found]:
    names = ("n_samples", "median_s", "mean_s", "mean_s_low", "mean_s_high", "copy_in_s", "copy_out_s", "is_noisy")
    return [
        {
            "n_sessions": cell.cell.execution.n_sessions,
            "batch_size": cell.cell.batch_size,
            **{name: getattr(cell, name) for name in names},
        }
        for cell in run.cells
    ]


def _data_sheet() -> tuple[float, float, str]:
    """Peak fp32 operations and bytes a second of this GPU by its data sheet, else those of an H100."""
    name = _gpu_name().upper()
    with (ROOT / "loadplan/catalog/snapshots/2026-11/accelerators.csv").open(encoding="utf-8") as file:
        sheets = {row["accelerator"]: row for row in csv.DictReader(file)}
    found = next((sheet for sheet in sheets if sheet.split("-")[0] in name.split("-")), "H100-SXM5-80GB")
    if "H100" in name and "HBM3" in name:
        found = "H100-SXM5-80GB"
    sheet = sheets[found]
    return float(sheet["fp32_tflops"]) * 1e12, float(sheet["bandwidth_gb_per_s"]) * 1e9, found


def _n_nodes(model: Path) -> int:
    import onnx

    return len(onnx.load(model, load_external_data=False).graph.node)


def _gpu_name() -> str:
    """Such as `nvidia-h100-80gb-hbm3`; `cpu` where there is none."""
    gpus = read_machine().gpus
    return "-".join(gpus[0].name.lower().split()) if gpus else "cpu"


def _run_folder(day: Day) -> Path:
    """The newest run of the profile's scenario."""
    return max((day.out / "runs").glob("*/*/manifest.json"), key=lambda path: path.stat().st_mtime).parent


def _run_of(day: Day) -> tuple[Findings, CapacityFit]:
    """What `profile` found, with its scenario as it lies there, and the fit."""
    found = read_findings(read_run_folder(_run_folder(day)))
    if found.fit is None:
        raise SystemExit("the run has no fit; walk the step `profile` first")
    (file,) = (day.out / "scenario").glob("*.yaml")
    return replace(found, scenario=read_scenario(file)), found.fit


def _capacity_line(one: Any) -> str:
    low, high = one.usable_capacity_rps_low, one.usable_capacity_rps_high
    return f"{one.setting.execution}, {one.setting.serving}: {one.usable_capacity_rps:.0f} ({low:.0f} to {high:.0f})"
