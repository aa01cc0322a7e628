"""Drives one load run from several processes: Locust's master and workers, one schedule, one verdict.

On one machine the driver starts the master and its workers on loopback; across machines it starts the master, and each
worker is started where it is to run. A run in which a worker was lost is invalid; the records of the others are kept.
"""

import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from loadplan.caveat import Caveat
from loadplan.child_process import how_it_ended
from loadplan.errors import EnvironmentFault, InputError, InvalidMeasurement
from loadplan.load.crew.coordinator import (
    CrewOrder,
    CrewRecord,
    MemberRecord,
    folder_of,
    read_crew_record,
    write_crew_order,
)
from loadplan.load.crew.shares import merged, merged_early
from loadplan.load.generator.handoff import GeneratorJob, read_result, write_job
from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.generator.process import (
    INTERRUPTED,
    Hearers,
    ended_early,
    shown_at,
    start_locust,
    stop_sending,
    watch_generator,
)
from loadplan.load.records import LoadSpec
from loadplan.load.verdict import judge, lag_limit_s

_JOIN_HERE_S = 60.0  # importing Locust takes a second, many where several do so at once
_SETTLE_S = 150.0  # sending the job, opening connections, comparing clocks; beside the time to join
_STOP_LIMIT_S = 2.5  # the workers hear of it from the master, which waits for their records
CREWFILE = Path(__file__).with_name("crewfile.py")
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCrew:
    """Workers on this machine, started with the run."""

    n_workers: int
    cores: tuple[int, ...]  # one for each worker; empty: wherever the system puts them


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteCrew:
    """Workers that `run_worker` starts elsewhere; the master waits for them at this address."""

    n_workers: int
    join_limit_s: float
    host: str = _LOOPBACK  # of the interface to listen on; anything else opens the master to a network
    port: int = 5557  # Locust's own


Crew = LocalCrew | RemoteCrew


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How the generator is started."""

    crew: Crew | None = None  # None: one process on this machine
    web_port: int | None = None  # Locust's own page shows the run at this port of loopback; None: nowhere


ALONE = Launch()


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewResult:
    """The records of all workers, and what is to be said of them beside the usual verdict."""

    result: LoopResult
    invalid_reasons: tuple[str, ...]
    caveats: tuple[Caveat, ...]


def drive_together(
    job: GeneratorJob, spec: LoadSpec, crew: Crew, hearers: Hearers, *, web_port: int | None = None
) -> CrewResult:
    """Have the crew do the job, each worker its share.

    Raises:
        InputError: when a worker has other versions than the master, or can't reach the target; nothing was sent.
        EnvironmentFault: when the port of the master is taken.
        InvalidMeasurement: when workers did not join or could not begin, or none delivered its records.
    """
    with tempfile.TemporaryDirectory(prefix="loadplan-load-") as name, ExitStack() as stack:
        folder = Path(name)
        join_limit_s = _JOIN_HERE_S if isinstance(crew, LocalCrew) else crew.join_limit_s
        host, port = _address_of_master(crew)
        shown, variables = shown_at(web_port)
        write_job(folder, job)
        write_crew_order(
            folder,
            CrewOrder(
                n_workers=crew.n_workers,
                join_limit_s=join_limit_s,
                expected_s=spec.duration_s + spec.timeout_s,
                target=job.order.address[0],
            ),
        )
        master = stack.enter_context(
            start_locust(
                folder,
                CREWFILE,
                *shown,
                *("--master", "--master-bind-host", host, "--master-bind-port", str(port)),
                *("--expect-workers", str(crew.n_workers)),
                variables=variables | _variables(crew.cores if isinstance(crew, LocalCrew) else ()),
            )
        )
        workers = []
        if isinstance(crew, LocalCrew):
            workers = [
                stack.enter_context(_start_worker(folder, i, port, variables | _variables(crew.cores[i : i + 1])))
                for i in range(crew.n_workers)
            ]
        is_interrupted = False
        try:
            watch_generator(master, folder, spec=spec, hearers=hearers, start_limit_s=join_limit_s + _SETTLE_S)
        except KeyboardInterrupt:
            if not stop_sending(master, folder, limit_s=_STOP_LIMIT_S):
                raise
            is_interrupted = True
        ends = {worker.pid: how_it_ended(code) for worker in workers if (code := worker.poll()) is not None}
        stack.close()
        record = read_crew_record(folder)
        if record is None:
            raise ended_early(master, folder, spec=spec)
        if is_interrupted:
            return _interrupted(job, crew, record, _parts(folder, record))
        _refuse(record, spec)
        return _result(job, spec, crew, record, _parts(folder, record), ends)


def run_worker(host: str, port: int, *, core: int | None) -> None:
    """Be a worker of the master at this address, on `core`, until the run is over.

    Raises:
        EnvironmentFault: when there is no such master, or it is lost.
    """
    with tempfile.TemporaryDirectory(prefix="loadplan-load-") as name:
        folder = Path(name)
        options = ("--worker", "--master-host", host, "--master-port", str(port))
        cores = () if core is None else (core,)
        with start_locust(folder, CREWFILE, *options, variables=_variables(cores)) as process:
            code = process.wait()
        if code:
            raise EnvironmentFault(
                what=f"the worker ended {how_it_ended(code)}",
                where=f"the master at {host}:{port}",
                fix="check the address of the master, and that it waits for workers",
            )


def _start_worker(
    folder: Path, i: int, port: int, variables: dict[str, str]
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    own = folder / f"process-{i}"
    own.mkdir()
    options = ("--worker", "--master-host", _LOOPBACK, "--master-port", str(port))
    return start_locust(own, CREWFILE, *options, variables=variables)


def _variables(cores: Sequence[int]) -> dict[str, str]:
    # Workers would send their logs to the master every few seconds.
    return {"LOADPLAN_CORES": ",".join(map(str, cores)), "LOCUST_WORKER_LOG_REPORT_INTERVAL": "-1"}


def _address_of_master(crew: Crew) -> tuple[str, int]:
    """Where the master listens; for workers of this machine a free port of loopback."""
    host, port = (_LOOPBACK, 0) if isinstance(crew, LocalCrew) else (crew.host, crew.port)
    try:
        with socket.create_server((host, port)) as free:
            return host, int(free.getsockname()[1])
    except OSError as error:
        raise EnvironmentFault(
            what=f"the master can't listen at {host}:{port}: {error.strerror}",
            where="the load generator",
            fix="name an address of this machine with --bind, and a free port with --port",
        ) from error


def _refuse(record: CrewRecord, spec: LoadSpec) -> None:
    if record.fault is None:
        return
    if record.fault_kind == "elsewhere":
        raise InputError(
            what=f"{record.fault}: it would drive itself",
            where="the target of the load",
            fix="name the target by an address that every worker reaches, and allow it with --allow-remote",
        )
    if record.fault_kind == "versions":
        raise InputError(
            what=f"{record.fault}: they would not send and time alike",
            where="the workers of the load run",
            fix="install the same versions everywhere",
        )
    raise InvalidMeasurement(
        what=f"{record.fault}; nothing was sent",
        where=f"load run {spec.name}",
        fix="start every worker with `loadplan load --worker --master-host HOST`, and allow them more time to join",
    )


def _parts(folder: Path, record: CrewRecord) -> dict[int, LoopResult]:
    parts = {}
    for i, member in enumerate(record.members):
        result = read_result(folder_of(folder, i)) if member.has_delivered else None
        if result is not None:
            parts[i] = result
    return parts


def _result(
    job: GeneratorJob,
    spec: LoadSpec,
    crew: Crew,
    record: CrewRecord,
    parts: dict[int, LoopResult],
    ends: dict[int, str],
) -> CrewResult:
    due_s = job.order.due_s
    lost = [_loss(i, record.members, due_s.size, ends) for i in range(crew.n_workers) if i not in parts]
    if not parts:
        raise InvalidMeasurement(
            what="no worker delivered its records: " + "; ".join(lost),
            where=f"load run {spec.name}",
            fix="run the same command again; if it happens again, use fewer workers",
        )
    result = merged(due_s, parts, n_workers=crew.n_workers)
    silent = [
        f"{_named(i, member)} was silent for seconds: it was stopped, or its machine was"
        for i, member in enumerate(record.members)
        if member.went_missing and i in parts
    ]
    reasons = [*lost, *silent, *_start_reasons(record, result)]
    for i, part in parts.items():
        own_spec = replace(spec, offered_rate_rps=spec.offered_rate_rps / crew.n_workers)
        if part.requests.n_requests:
            verdict = judge(own_spec, part.requests, part.lost)
            reasons += [f"{_named(i, record.members[i])}: {reason}" for reason in verdict.invalid_reasons]
    return CrewResult(result=result, invalid_reasons=tuple(reasons), caveats=_caveats(crew, record))


def _interrupted(job: GeneratorJob, crew: Crew, record: CrewRecord, parts: dict[int, LoopResult]) -> CrewResult:
    """What had ended by then; that the run is no valid one needs no further reasons."""
    if not parts:
        raise KeyboardInterrupt
    return CrewResult(
        result=merged_early(job.order.due_s, parts, n_workers=crew.n_workers),
        invalid_reasons=(INTERRUPTED,),
        caveats=_caveats(crew, record),
    )


def _loss(i: int, members: Sequence[MemberRecord], n_due: int, ends: dict[int, str]) -> str:
    member, n_lost = members[i], len(range(i, n_due, len(members)))
    end = next((said for pid, said in ends.items() if member.identity.name.endswith(f"pid {pid}")), None)
    why = member.failure or (f"it ended {end}" if end else "it was not heard of any more")
    return f"{_named(i, member)} was lost ({why}), and what became of its {n_lost} of {n_due} due requests is unknown"


def _named(i: int, member: MemberRecord) -> str:
    return f"worker {i + 1} ({member.identity.name})"


def _start_reasons(record: CrewRecord, result: LoopResult) -> list[str]:
    limit_s = lag_limit_s(result.requests)
    return [
        f"{_named(i, member)} may have started {member.start_uncertainty_s * 1e3:.1f} ms off, "
        f"{limit_s * 1e3:.1f} ms may be"
        for i, member in enumerate(record.members)
        if member.start_uncertainty_s > limit_s
    ]


def _caveats(crew: Crew, record: CrewRecord) -> tuple[Caveat, ...]:
    caveats = []
    worst_s = max(member.start_uncertainty_s for member in record.members)
    if worst_s > 0.0:
        caveats.append(
            Caveat(
                code="load.start_uncertainty",
                what=f"the workers' schedules started together to within {worst_s * 1e3:.2f} ms; each one's times "
                "count from its own start",
                fix="put master and workers into one network for a sharper start",
                number=worst_s,
            )
        )
    cores = [(member.identity.clock, member.identity.core) for member in record.members]
    if len(set(cores)) < len(cores) or any(core is None for _, core in cores):
        n_shared = float(np.count_nonzero([core is None or cores.count((clock, core)) > 1 for clock, core in cores]))
        caveats.append(
            Caveat(
                code="load.shared_cores",
                what=f"{n_shared:.0f} of {crew.n_workers} workers have no core to themselves, so they may make "
                "each other late",
                fix="use fewer processes, or a machine with more usable cores",
                number=n_shared,
            )
        )
    return tuple(caveats)
