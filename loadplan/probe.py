"""What this machine attains in three seconds: arithmetic, memory, one core, and how much of its time is stolen.

These are the roofs of the roofline by which a service time is carried to another machine. Nominal peaks won't do: a
virtual machine may have a share of a core, a low clock or a busy neighbour. The arithmetic is done by ONNX Runtime,
because NumPy's BLAS is another library with another speed; the work is the same at every call and on every machine.

The works take turns in short visits, as in `bench`, so that a drift spreads over all of them; a visit is one
observation, and calls during which a neighbour had the core are left out.
"""

import hashlib
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadplan.execution import ExecutionConfig
from loadplan.inference import open_session, run
from loadplan.machine import Machine
from loadplan.noise import ROBBED_BEYOND_S, robbed_calls
from loadplan.speed import ProbedFigure, ProbeResult
from loadplan.stats import Interval, mean_interval

# Rows, columns and inner length of a product on one thread: larger than a core's own cache, 0.27 GFLOP.
_N_PRODUCT = 512
# What is copied is so many times the last-level cache, source and target together (STREAM asks for four).
_CACHES_COPIED = 4
_CACHE_UNTOLD_BYTES = 32 << 20
_COPIED_LEAST_BYTES = 64 << 20
_COPIED_MOST_MEMORY_RATIO = 1 / 8
# One turn of a single core's work: some 50 µs each of hashing and of sorting.
_HASHED_BYTES, _N_SORTED = 32 << 10, 1024
_VISITS_WANTED, _VISITS_LEAST = 10, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A piece of work that is the same at every call."""

    call: Callable[[], object]
    amount: float  # what one call does, in the unit of the figure times seconds


def probe_machine(machine: Machine, *, budget_s: float = 3.0) -> ProbeResult:
    """Probe this machine; takes the budget and some tenths of a second to prepare, longer only on very slow machines.

    A product of float32 matrices by ONNX Runtime: 2 m n k operations. A copy larger than the last-level cache, counted
    as STREAM does (McCalpin, Memory Bandwidth and Machine Balance in Current High Performance Computers, 1995): bytes
    read plus bytes written, not what the cache reads before it writes. One core: MD5 and a sort, which no instruction
    set extension speeds up. Lost time: gaps of more than 0.3 ms between two readings of the clock (see `noise`).

    Args:
        machine: this machine, which tells its cores, caches and memory.
        budget_s: seconds for all figures together; at least three visits each are made in any case.

    Raises:
        EnvironmentFault: when no usable ONNX Runtime is installed.
    """
    n_threads = machine.n_usable_cores
    with _works(machine, n_threads) as works:
        rates = attained_rates(works, budget_s=budget_s)
    figures = {name: _figure(values) for name, values in rates.items()}
    return ProbeResult(
        n_threads=n_threads,
        gflops_one_thread=figures["product"],
        gflops_all_threads=figures.get("products", figures["product"]),
        gb_per_s_one_core=figures["copy"],
        gb_per_s_all_cores=figures.get("copies", figures["copy"]),
        turns_per_s=figures["turn"],
        lost_ratio=figures["lost"],
    )


def attained_rates(
    works: Mapping[str, Work], *, budget_s: float, clock_ns: Callable[[], int] = time.perf_counter_ns
) -> dict[str, NDArray[np.float64]]:
    """What each work attains per second, visit by visit (n_visits,), and `lost`, the share of time that was stolen.

    The works and a spinning loop take turns for a tenth of their share of the budget each.
    """
    visit_ns = int(budget_s * 1e9 / (_VISITS_WANTED * (len(works) + 1)))
    rates: dict[str, list[float]] = {name: [] for name in (*works, "lost")}
    for work in works.values():
        work.call()  # the first one allocates
    begin_ns = clock_ns()
    while len(rates["lost"]) < _VISITS_LEAST or clock_ns() - begin_ns < budget_s * 1e9:
        for name, work in works.items():
            rates[name].append(_rate(work, visit_ns, clock_ns))
        rates["lost"].append(_lost_ratio(visit_ns, clock_ns))
    return {name: np.array(values) for name, values in rates.items()}


def _rate(work: Work, visit_ns: int, clock_ns: Callable[[], int]) -> float:
    stamps = [clock_ns()]
    while stamps[-1] - stamps[0] < visit_ns or len(stamps) == 1:
        work.call()
        stamps.append(clock_ns())
    durations_s = np.diff(np.array(stamps, dtype=np.int64)).astype(np.float64) * 1e-9
    return work.amount / float(durations_s[~robbed_calls(durations_s)].mean())


def _lost_ratio(visit_ns: int, clock_ns: Callable[[], int]) -> float:
    begin_ns = before_ns = clock_ns()
    lost_ns = 0
    while before_ns - begin_ns < visit_ns:
        now_ns = clock_ns()
        if now_ns - before_ns > ROBBED_BEYOND_S * 1e9:
            lost_ns += now_ns - before_ns
        before_ns = now_ns
    return lost_ns / (before_ns - begin_ns)


def _figure(values: NDArray[np.float64]) -> ProbedFigure:
    interval = mean_interval(values)
    return ProbedFigure(
        mean=float(values.mean()),
        interval=Interval(low=max(interval.low, 0.0), high=interval.high),  # none of these can be negative
        n_samples=values.size,
    )


@contextmanager
def _works(machine: Machine, n_threads: int) -> Iterator[dict[str, Work]]:
    with (
        tempfile.TemporaryDirectory(prefix="loadplan-probe-") as folder,
        ThreadPoolExecutor(max_workers=n_threads) as pool,
    ):
        model = _product_model(Path(folder))
        works = {"product": _product(model, 1), "copy": _copy(machine, 1, pool), "turn": _turn()}
        if n_threads > 1:
            works |= {"products": _product(model, n_threads), "copies": _copy(machine, n_threads, pool)}
        yield works


def _product(model: Path, n_threads: int) -> Work:
    """As many rows for each thread, whatever their number."""
    session = open_session(model, ExecutionConfig(variant="probe", n_threads=n_threads))
    rows = np.random.default_rng(1).random((_N_PRODUCT * n_threads, _N_PRODUCT), dtype=np.float32)
    return Work(call=lambda: run(session, {"x": rows}), amount=2.0 * n_threads * _N_PRODUCT**3 * 1e-9)


def _copy(machine: Machine, n_threads: int, pool: ThreadPoolExecutor) -> Work:
    """Each thread copies an array of its own; NumPy lets the others run meanwhile."""
    n_bytes = _copied_bytes(machine, n_threads) // (2 * n_threads)
    sources = [np.ones(n_bytes, dtype=np.uint8) for _ in range(n_threads)]
    targets = [np.zeros_like(source) for source in sources]
    if n_threads == 1:
        return Work(call=lambda: np.copyto(targets[0], sources[0]), amount=2.0 * n_bytes * 1e-9)
    return Work(call=lambda: list(pool.map(np.copyto, targets, sources)), amount=2.0 * n_threads * n_bytes * 1e-9)


def _copied_bytes(machine: Machine, n_threads: int) -> int:
    """Source and target of all threads: several times the caches that they fill, within an eighth of the memory."""
    cache_bytes = machine.l3_cache_bytes or machine.l2_cache_bytes or _CACHE_UNTOLD_BYTES
    n_caches = math.ceil(n_threads / (machine.n_cores_sharing_l3 or 1))
    memory_bytes = min(machine.memory_bytes, machine.memory_limit_bytes or machine.memory_bytes)
    wanted_bytes = max(_COPIED_LEAST_BYTES, _CACHES_COPIED * cache_bytes * n_caches)
    return min(wanted_bytes, int(memory_bytes * _COPIED_MOST_MEMORY_RATIO))


def _turn() -> Work:
    hashed = bytes(range(256)) * (_HASHED_BYTES // 256)
    mixed = [i * 2_654_435_761 % (1 << 30) for i in range(_N_SORTED)]  # Knuth's multiplicative hash: no order

    def turn() -> None:
        hashlib.md5(hashed, usedforsecurity=False).digest()
        sorted(mixed)

    return Work(call=turn, amount=1.0)


def _product_model(folder: Path) -> Path:
    """Rows times a fixed square matrix, which the runtime may pack beforehand as it does with a layer's weights."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).random((_N_PRODUCT, _N_PRODUCT), dtype=np.float32)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", _N_PRODUCT]) for name in "xy")
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([product], "product", [x], [y], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "product.onnx"
    path.write_bytes(model.SerializeToString())
    return path
