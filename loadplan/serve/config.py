"""What a server is asked to do, and what it says when it is ready."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loadplan.caveat import Caveat
from loadplan.execution import ExecutionConfig, ServingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Which of the processes behind one port this is; each of them is served by the same `ServeConfig`."""

    index: int  # from 0
    folder: Path  # where they tell each other what they count


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """One model behind one port."""

    model: Path  # the ONNX file
    name: str  # the model's name in the protocol's paths
    execution: ExecutionConfig
    serving: ServingConfig
    inference: Literal["inline", "thread", "auto"] = "inline"  # where it runs; planned settings are for inline
    host: str = "127.0.0.1"  # loopback unless asked
    port: int = 0  # 0: a free one
    grpc_port: int | None = None  # 0: a free one; None: no gRPC
    pads: bool = False  # pad requests of different lengths to share a batch; only a proved model answers them the same
    cores: tuple[int, ...] = ()  # pin the process to these, or deal them out to its processes; empty: don't pin
    max_body_bytes: int = 16 * 1024 * 1024  # a larger request is refused with 413 before it is read to its end
    log_format: Literal["text", "json"] = "text"
    log_every_nth: int = 0  # in JSON, log every n-th request; 0: only those that the model failed on
    parent_pid: int | None = None  # end when this process, the parent, has ended; None: outlive it
    member: Membership | None = None  # one of several processes; None: the only one, or the one that starts them


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReady:
    """The server is warm and accepts requests."""

    url: str  # such as http://127.0.0.1:8080
    grpc: str | None  # host:port; None: no gRPC
    model: str
    pid: int
    inference: Literal["inline", "thread"]  # where it runs
    caveats: tuple[Caveat, ...]
