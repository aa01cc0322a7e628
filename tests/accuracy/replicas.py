"""Two servers with a timer for an inference, each by itself where its law is fitted, and both where that is tried."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from loadplan.bench.records import BenchRun
from loadplan.execution import ExecutionConfig
from loadplan.load.driver import run_load
from loadplan.load.messages.requests import PreparedRequests, v2_requests
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.machine import Machine, usable_cores
from loadplan.pipeline.artifacts import read_bench, write_bench
from loadplan.pipeline.drive import right_answers, variant_of
from tests.accuracy.design import PAIR, Configuration, Design, Subject
from tests.accuracy.runs import Prepared, prepare, walk
from tests.accuracy.spread import drive_spread
from tests.accuracy.timed import start_timed, timed_bench

_BENCHED = (1, 2, 4, 8, 16)  # rows
_ATTEMPTS = 3  # as the road has them where neighbours spoil a run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Servers:
    """What is served, and by whom it is driven."""

    model: Path
    name: str
    requests: PreparedRequests
    machine: Machine
    cores: tuple[int, ...]  # those of the servers, one after the other, and over again
    generator_core: int

    def drive_one(self, spec: LoadSpec) -> LoadRun:
        """One of them by itself."""
        return _until_valid(lambda: self._one(spec))

    def drive_both(self, one: Configuration, spec: LoadSpec) -> LoadRun:
        """As many as the configuration has."""
        return _until_valid(lambda: self._several(one, spec))

    def _one(self, spec: LoadSpec) -> LoadRun:
        with ExitStack() as stack:
            url = self._start(stack, spec, 0)
            return run_load(spec, url=url, requests=self.requests, machine=self.machine, core=self.generator_core)

    def _several(self, one: Configuration, spec: LoadSpec) -> LoadRun:
        with ExitStack() as stack:
            urls = [self._start(stack, spec, i) for i in range(one.n_replicas)]
            return drive_spread(
                spec,
                urls=urls,
                balancing=one.balancing,
                requests=self.requests,
                machine=self.machine,
                core=self.generator_core,
            )

    def _start(self, stack: ExitStack, spec: LoadSpec, i: int) -> str:
        assert spec.setting is not None
        core = self.cores[i % len(self.cores)]
        return stack.enter_context(start_timed(self.model, setting=spec.setting, name=self.name, core=core))


def prepare_any(folder: Path, subject: Subject, design: Design) -> Prepared:
    """Whatever the subject is. Raises as `prepare`."""
    return (prepare_pair if subject.name == PAIR.name else prepare)(folder, subject, design)


def prepare_pair(folder: Path, subject: Subject, design: Design) -> Prepared:
    """Export the model, and time the timer; or read what was done before. Raises as `prepare`."""
    found, exported, payloads, run_folder = walk(folder, subject, design, until="export")
    execution = ExecutionConfig(variant="fp32")
    variant = variant_of(exported, execution.variant)
    right, tolerance = right_answers(variant, payloads, run_folder, execution)
    *server_cores, generator_core = usable_cores()
    servers = _Servers(
        model=run_folder / variant.path,
        name=found.scenario.name,
        requests=v2_requests(
            right,
            model=found.scenario.name,
            rows_per_request=found.scenario.traffic.rows_per_request,
            abs_tolerance=tolerance,
        ),
        machine=found.machine,
        cores=tuple(server_cores),
        generator_core=generator_core,
    )
    benched = _kept(folder / "timed.parquet", lambda: _timed(servers, execution))
    return Prepared(
        scenario=found.scenario, benched=benched, drive=servers.drive_one, drive_replicas=servers.drive_both
    )


def _timed(servers: _Servers, execution: ExecutionConfig) -> BenchRun:
    return timed_bench(servers.model, execution, sizes=_BENCHED, machine=servers.machine, core=servers.cores[0])


def _kept(path: Path, measure: Callable[[], BenchRun]) -> BenchRun:
    """Fits that are kept rest on it, so it is measured once."""
    if not path.is_file():
        write_bench(path, measure())
    return read_bench(path)


def _until_valid(drive: Callable[[], LoadRun]) -> LoadRun:
    run = drive()
    for _ in range(_ATTEMPTS - 1):
        if run.verdict.valid:
            break
        run = drive()
    return run
