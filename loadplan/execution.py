"""What is run and how: the tensors of a model, and the two halves of a setting that the planner chooses."""

from dataclasses import dataclass

# Begins the key under which a model's file names a word that its text input of that name knows.
EXAMPLE_TEXT_KEY = "loadplan.example_text."

# The variant whose file holds the graph as ONNX Runtime left it after its own optimisations.
OPTIMISED_OFFLINE = "fp32_optimised"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ExecutionConfig:
    """How one inference session executes a model."""

    variant: str  # name of the ONNX variant, such as `fp32`
    provider: str = "CPU"  # ONNX Runtime execution provider without its suffix: CPU, CUDA, TensorRT, OpenVINO
    n_threads: int = 1  # intra-op threads of one session
    n_sessions: int = 1  # sessions side by side in one server process

    @property
    def is_optimised_offline(self) -> bool:
        """Whether the graph was optimised when it was exported, so that a session need not do it again."""
        return self.variant == OPTIMISED_OFFLINE


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ServingConfig:
    """How the server batches and bounds its queue."""

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
