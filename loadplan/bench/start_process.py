"""Process entry: starts one column as a replica would, and says how fast that went and what it needed.

Reads one `StartJob`, answers one `StartAnswer`, ends. Runtime and inputs are in memory before anything is counted, and
the model's file is in the page cache: what is timed is opening the sessions (on a GPU, CUDA with them) and the first
answer. Then every batch size is worked through in ascending order, so that the peak of memory is that of a process
which opened the model and takes batches up to this size; where rows differ in length the longest make one batch, and
the others are of usual length.
"""

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from loadplan.bench.feeds import read_feeds
from loadplan.bench.handoff import StartAnswer, StartJob
from loadplan.bench.length_mix import length_mix
from loadplan.bench.meters import Meters
from loadplan.bench.resources import GPU, MEMORY, PACKAGE, BatchReading, StartReading
from loadplan.child_process import die_with_parent
from loadplan.errors import LoadplanError
from loadplan.execution import ExecutionConfig
from loadplan.gpu import bus_index, gpu_meter, read_gpus
from loadplan.inference import Session, Tensors, load_runtime, open_session, reason_of, run
from loadplan.scenario.payloads import PayloadSet, inputs_of
from loadplan.store import codec

_ON_NVIDIA = ("CUDA", "TensorRT")
_SEED = 20261126
_NO_PEAK = "the system doesn't let a process forget its highest memory (/proc/self/clear_refs)"
_NO_PACKAGE = "no energy counter of a processor can be read here: virtual machines have none, others show it to root"
_NO_GPU = "it ran on no GPU"
_GPU_UNKNOWN = "which of the GPUs it ran on is not known: set CUDA_DEVICE_ORDER=PCI_BUS_ID, or show one alone"
_GPU_SILENT = "the GPU doesn't tell, or nvidia-ml-py is not installed"


def main() -> None:
    """Answer one job from standard input."""
    die_with_parent()
    job = codec.loads(sys.stdin.read(), StartJob, where="the job of a start")
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not get into the answer
        answers.write(codec.dumps(_answer(job)))


def _answer(job: StartJob) -> StartAnswer:
    try:
        return StartAnswer(reading=_start(job))
    except LoadplanError as error:
        return StartAnswer(failure=error.what)
    except Exception as error:  # whatever the runtime raises belongs to this column alone
        return StartAnswer(failure=reason_of(error))


def _start(job: StartJob) -> StartReading:
    load_runtime()
    payloads = read_feeds(Path(job.payloads))
    batches = {size: _feeds(payloads, size) for size in job.batch_sizes}
    with ExitStack() as stack:
        gpu, no_gpu = _gpu_of(job.execution)
        meters = Meters(gpu=None if gpu is None else stack.enter_context(gpu_meter(gpu)))
        begin_s = time.perf_counter()
        sessions = [open_session(Path(job.model), job.execution) for _ in range(job.execution.n_sessions)]
        loaded_s = time.perf_counter()
        run(sessions[0], batches[job.batch_sizes[0]][0])
        answered_s = time.perf_counter()
        readings = tuple(_work_through(sessions, size, feeds, meters) for size, feeds in batches.items())
    return StartReading(
        execution=job.execution,
        i_start=job.i_start,
        base_memory_bytes=meters.base_bytes,
        load_s=loaded_s - begin_s,
        first_inference_s=answered_s - loaded_s,
        batches=readings,
        lacks=_lacks(readings, no_gpu),
    )


def _work_through(
    sessions: Sequence[Session], batch_size: int, feeds: Sequence[Tensors], meters: Meters
) -> BatchReading:
    for session in sessions:  # what the runtime does at a new size must not count as its usual work
        for feed in feeds:
            run(session, feed)
    before = meters.mark()
    n_calls = _keep_busy(sessions, feeds[0], for_s=meters.stretch_s)
    used = meters.used(before, meters.mark(), n_calls)
    return BatchReading(
        batch_size=batch_size,
        peak_memory_bytes=meters.peak_memory_bytes(),
        busy_cores=used.busy_cores,
        package_energy_j=used.package_energy_j,
        gpu=used.gpu,
    )


def _keep_busy(sessions: Sequence[Session], feed: Tensors, *, for_s: float) -> int:
    """Calls made by all sessions side by side in that time, at least one each."""
    end_s = time.perf_counter() + for_s

    def work(session: Session) -> int:
        n_calls = 0
        while n_calls == 0 or time.perf_counter() < end_s:
            run(session, feed)
            n_calls += 1
        return n_calls

    if len(sessions) == 1:
        return work(sessions[0])
    with ThreadPoolExecutor(len(sessions)) as pool:
        return sum(pool.map(work, sessions))


def _gpu_of(execution: ExecutionConfig) -> tuple[int | None, str]:
    """The GPU that a column runs on, by its number on the PCI bus, or why there is none to ask."""
    if execution.provider_name not in _ON_NVIDIA:
        return None, _NO_GPU
    index = bus_index(execution.device_index, read_gpus(), os.environ)
    return index, _GPU_UNKNOWN if index is None else _GPU_SILENT


def _lacks(readings: Sequence[BatchReading], no_gpu: str) -> dict[str, str]:
    gpus = [reading.gpu for reading in readings]
    figures = [(gpu.memory_bytes, gpu.busy_ratio, gpu.power_w, gpu.energy_j) if gpu else (None,) for gpu in gpus]
    lacks = {
        MEMORY: _NO_PEAK if any(reading.peak_memory_bytes is None for reading in readings) else None,
        PACKAGE: _NO_PACKAGE if any(reading.package_energy_j is None for reading in readings) else None,
        GPU: no_gpu if any(None in told for told in figures) else None,
    }
    return {name: why for name, why in lacks.items() if why is not None}


def _feeds(payloads: PayloadSet, batch_size: int) -> tuple[Tensors, ...]:
    """One batch of usual rows, and one of the longest where rows differ in length."""
    if payloads.lengths is None:
        return (inputs_of(payloads, np.arange(batch_size) % payloads.n_rows),)
    usual = length_mix(payloads.lengths, batch_size, np.random.default_rng((_SEED, batch_size))).usual
    longest = np.argsort(-payloads.lengths, kind="stable")[np.arange(batch_size) % payloads.n_rows]
    return (inputs_of(payloads, usual), inputs_of(payloads, longest))


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    os._exit(0)  # some drivers crash or hang while they are unloaded
