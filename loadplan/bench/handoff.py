"""What the benchmark and its child processes say to each other, one line of JSON a message."""

from dataclasses import dataclass

from loadplan.bench.records import BenchCell, CellRound
from loadplan.bench.resources import StartReading
from loadplan.execution import ExecutionConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchJob:
    """What the worker may be asked for; said once, at the start."""

    models: dict[str, str]  # variant -> path of its ONNX file
    payloads: str  # path of the payload file
    cells: tuple[BenchCell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What this machine lacks, so that no cell can be measured: the three parts of an EnvironmentFault."""

    what: str
    where: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """The outcome of one visit: the times, or why there are none."""

    times: CellRound | None = None
    failure: str | None = None  # what went wrong with this cell alone
    lack: Lack | None = None  # what goes wrong with every cell
    does_not_fit: bool = False  # the failure is a lack of memory, so larger batches need not be tried
    process_ended: bool = False  # the worker crashed or had to be killed


@dataclass(frozen=True, slots=True, kw_only=True)
class StartJob:
    """One column to start, and the batch sizes to work through."""

    model: str  # path of its ONNX file
    payloads: str  # path of the payload file
    execution: ExecutionConfig
    i_start: int
    batch_sizes: tuple[int, ...]  # ascending


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAnswer:
    """What a start needed, or why it came to nothing."""

    reading: StartReading | None = None
    failure: str | None = None
