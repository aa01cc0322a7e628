"""What one server process is asked to do, and what it says when it is ready."""

from dataclasses import dataclass
from pathlib import Path

from loadplan.caveat import Caveat
from loadplan.execution import ExecutionConfig, ServingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """One model behind one port."""

    model: Path  # the ONNX file
    name: str  # the model's name in the protocol's paths
    execution: ExecutionConfig
    serving: ServingConfig
    host: str = "127.0.0.1"  # loopback unless asked
    port: int = 0  # 0: a free one
    pads: bool = False  # pad requests of different lengths to share a batch; only a proved model answers them the same
    cores: tuple[int, ...] = ()  # pin the process to these; empty: leave it where it may run
    max_body_bytes: int = 16 * 1024 * 1024  # a larger request is refused with 413 before it is read to its end
    parent_pid: int | None = None  # end when this process, the parent, has ended; None: outlive it


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReady:
    """The server is warm and accepts requests."""

    url: str  # such as http://127.0.0.1:8080
    model: str
    pid: int
    caveats: tuple[Caveat, ...]
