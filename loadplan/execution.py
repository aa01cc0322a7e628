"""What is run and how: the tensors of a model, and the two halves of a setting that the planner chooses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# Begins the key under which a model's file names a word that its text input of that name knows.
EXAMPLE_TEXT_KEY = "loadplan.example_text."

# The variant whose file holds the graph as ONNX Runtime left it after its own optimisations.
OPTIMISED_OFFLINE = "fp32_optimised"

# How a request finds its replica. `round_robin` passes over replicas that are known to be lost. `least_outstanding`
# takes the one with the fewest requests that it has not answered, the next in turn of several. `per_connection` ties
# each of the clients' connections to a replica, dealt at random, so that shares are unequal. `shared_queue` is no
# balancer but one queue, of which every process takes a batch when it is free.
Balancing = Literal["random", "round_robin", "least_outstanding", "per_connection", "shared_queue"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ExecutionConfig:
    """How one inference session executes a model."""

    variant: str  # name of the ONNX variant, such as `fp32`
    # ONNX Runtime execution provider without its suffix: CPU, CUDA, TensorRT, OpenVINO; with the number of its device
    # where it is not the one that the provider takes by itself: CUDA:1.
    provider: str = "CPU"
    n_threads: int = 1  # intra-op threads of one session
    n_sessions: int = 1  # sessions side by side in one server process

    @property
    def provider_name(self) -> str:
        """The provider without the number of a device."""
        return self.provider.partition(":")[0]

    @property
    def is_on_cpu(self) -> bool:
        """Whether the processor does the work, and no other device."""
        return self.provider_name == "CPU"

    @property
    def device_index(self) -> int | None:
        """Which of the provider's devices; None: the one that it takes by itself."""
        index = self.provider.partition(":")[2]
        return int(index) if index.isdecimal() else None

    @property
    def is_optimised_offline(self) -> bool:
        """Whether the graph was optimised when it was exported, so that a session need not do it again."""
        return self.variant == OPTIMISED_OFFLINE


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ServingConfig:
    """How the server batches and bounds its queue. Inference runs inline, in its event loop: so it is simulated."""

    max_batch_size: int = 1  # rows in one inference at most
    batch_window_s: float = 0.0  # longest wait to fill a batch; 0: take what is there
    max_queue_rows: int = 1024  # rows that may wait; a request beyond is refused with 503
    n_server_processes: int = 1  # processes of one server


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Setting:
    """One complete way to run and serve a model."""

    execution: ExecutionConfig
    serving: ServingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output of the graph."""

    name: str
    dtype: str  # numpy name, such as `float32`
    shape: tuple[int | None, ...]  # None where the axis is dynamic; the first axis is the rows


def takes_one_row(inputs: Sequence[TensorSpec]) -> bool:
    """Whether a first axis is fixed at 1, so that rows can't share an inference."""
    return any(spec.shape[:1] == (1,) for spec in inputs)


def padding_problem(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> str | None:
    """Why rows of different lengths can't share a batch by padding the second axis with zeros; None where they can."""
    if all(None not in spec.shape[1:] for spec in inputs):
        return "its inputs are of one length"
    if any(spec.shape[0] is not None for spec in inputs):
        return "it takes a fixed number of rows"
    for spec in inputs:
        if None in spec.shape[2:]:
            return f"its input {spec.name!r} has a free axis besides its rows and their positions"
        if spec.dtype == "object" and None in spec.shape[1:]:
            return f"its input {spec.name!r} holds text, for which there is no zero"
    longer = next((spec.name for spec in outputs if None in spec.shape[1:]), None)
    return None if longer is None else f"its output {longer!r} may be as long as its rows"
