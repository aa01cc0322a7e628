"""Drives one live run: the embedded server on its cores, the generator on another, again when neighbours spoiled it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from loadplan.caveat import Caveat
from loadplan.errors import EnvironmentFault
from loadplan.execution import ExecutionConfig
from loadplan.export.artifact import ExportedModel, ExportRun
from loadplan.export.company import own_answers
from loadplan.inference import open_session
from loadplan.load.crew.together import ALONE, Launch, LocalCrew
from loadplan.load.driver import run_load
from loadplan.load.messages.requests import ABS_TOLERANCE, v2_requests
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.load.target.server_process import start_server
from loadplan.machine import Machine, usable_cores
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import Scenario

# A run that the machine's neighbours spoiled is driven again; after three the machine is too noisy to say.
_ATTEMPTS = 3


def drive(
    spec: LoadSpec,
    *,
    folder: Path,
    exported: ExportRun,
    payloads: PayloadSet,
    scenario: Scenario,
    machine: Machine,
    on_progress: Callable[[float], None] | None = None,
    launch: Launch = ALONE,
) -> LoadRun:
    """Serve the spec's variant from `folder` with the spec's setting and drive it; the last of three tries at most.

    A run that stays invalid is returned with its reasons: what follows decides whether it can do without.

    Raises:
        EnvironmentFault: when the server doesn't start or the target doesn't answer.
        InvalidMeasurement: when the server or the generator died.
    """
    if spec.setting is None:
        raise ValueError("only a run whose setting is known can be served here")
    model = variant_of(exported, spec.setting.execution.variant)
    right, tolerance = right_answers(model, payloads, folder, spec.setting.execution)
    server_cores, generator_core = split_cores(spec.setting.execution.n_threads)
    if isinstance(launch.crew, LocalCrew):
        server_cores = tuple(core for core in server_cores if core not in launch.crew.cores)
    requests = v2_requests(
        right,
        model=scenario.name,
        rows_per_request=scenario.traffic.rows_per_request,
        classes=scenario.traffic.classes,
        abs_tolerance=tolerance,
    )
    invalid: list[str] = []
    for _ in range(_ATTEMPTS):
        with start_server(
            folder / model.path,
            setting=spec.setting,
            model_name=scenario.name,
            pads=model.pads,
            cores=server_cores,
        ) as server:
            run = run_load(
                spec,
                url=server.url,
                requests=requests,
                machine=machine,
                core=generator_core,
                on_progress=on_progress,
                launch=launch,
            )
        if run.verdict.valid:
            break
        invalid += run.verdict.invalid_reasons
    return replace(run, caveats=(*run.caveats, *_repeated(spec, invalid), *_shared(server_cores, generator_core, spec)))


def split_cores(n_threads: int) -> tuple[tuple[int, ...], int | None]:
    """The cores of the server, and the generator's own; None where there is only one, which both then share."""
    cores = usable_cores()
    if len(cores) == 1:
        return cores, None
    return cores[: min(n_threads, len(cores) - 1)], cores[-1]


def variant_of(exported: ExportRun, name: str) -> ExportedModel:
    """The exported variant of this name. Raises EnvironmentFault where the folder lacks it."""
    for model in exported.models:
        if model.variant == name:
            return model
    raise EnvironmentFault(
        what=f"the variant {name!r} is not in this run folder",
        where="export",
        fix="run `loadplan run` on the scenario again",
    )


def right_answers(
    model: ExportedModel, payloads: PayloadSet, folder: Path, execution: ExecutionConfig
) -> tuple[PayloadSet, float]:
    """What the server must answer, and how far a float may stray from it.

    How far a lossy variant is from its source was judged at the export. Live, its right answers are its own; they stray
    by as much as the export saw them differ from batch to batch, twice over since it tried a few batches only. Its
    labels are then left out where scores stand beside them: near a tie they may go either way, and the scores say more.
    """
    if not model.is_lossy:
        return payloads, model.limits.max_abs_error or ABS_TOLERANCE
    session = open_session(folder / model.path, execution)  # a GPU rounds fp16 otherwise than the CPU does
    own = own_answers(session, payloads)
    scores = {name: values for name, values in own.items() if np.issubdtype(values.dtype, np.floating)}
    return replace(payloads, expected=scores or own), ABS_TOLERANCE + 2.0 * model.batch_spread


def _repeated(spec: LoadSpec, invalid: list[str]) -> tuple[Caveat, ...]:
    if not invalid:
        return ()
    return (
        Caveat(
            code="load.repeated",
            what=f"the load run {spec.name} was driven again because of: {'; '.join(dict.fromkeys(invalid))}",
            fix="run on a quieter machine, or give the generator a core of its own",
            number=float(len(invalid)),
        ),
    )


def _shared(server_cores: tuple[int, ...], generator_core: int | None, spec: LoadSpec) -> tuple[Caveat, ...]:
    n_threads = spec.setting.execution.n_threads if spec.setting else 1
    if generator_core is not None and n_threads <= len(server_cores):
        return ()
    return (
        Caveat(
            code="load.shared_cores",
            what=f"in {spec.name} the server's {n_threads} threads and the load generator had "
            f"{len(usable_cores())} cores between them, so the latencies are too high",
            fix="run on a machine with more usable cores",
            number=float(len(usable_cores())),
        ),
    )
