"""Inputs and outputs bound on the device that computes, by ONNX Runtime's IOBinding. Seconds.

A call takes host arrays and gives host arrays, as a server needs it, so the copies to the device and back are part of
it; bound, they stand apart and can be timed. Inputs are copied as they are bound, into memory of the session's own
pool: values made with `OrtValue.ortvalue_from_numpy` would ask the driver for new memory at every call. Outputs are
bound anew for every call, because the memory of the last one has the last one's shape.

A binding belongs to one session and to one thread at a time.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallParts:
    """Where the time of one bound call went."""

    copy_in_s: float  # host to device, until the values are there
    compute_s: float
    copy_out_s: float  # device to host, with the making of the arrays


class Binding:
    """Runs one session through its binding.

    Args:
        handle: onnxruntime.InferenceSession.
        inputs: names of all inputs; every call must feed all of them, for what was fed before is still bound.
        outputs: names, in the order in which they are answered.
        device: ONNX Runtime's name of the kind of device: `cuda`, or `cpu`, where nothing needs copying.
        device_index: its number.
    """

    def __init__(
        self, handle: Any, *, inputs: Sequence[str], outputs: Sequence[str], device: str, device_index: int
    ) -> None:
        self._binding = handle.io_binding()
        self._compute = handle.run_with_iobinding
        self._inputs = frozenset(inputs)
        self._outputs = tuple(outputs)
        self._device, self._device_index = device, device_index

    def infer(self, feed: Mapping[str, Array]) -> list[Array]:
        """One inference: arrays by input name in, arrays in the order of the outputs back.

        Raises:
            ValueError: when the feed names other inputs than the session has.
            RuntimeError: what the runtime says, of a wrong type or shape, or of too little memory.
        """
        try:
            self._bind(feed)
            self._compute(self._binding)
            answers: list[Array] = self._binding.copy_outputs_to_cpu()
        except Exception:
            self._let_go()
            raise
        return answers

    def infer_in_parts(self, feed: Mapping[str, Array]) -> CallParts:
        """One inference with the clock read between its parts, and the device waited for, which costs it overlap."""
        begin_s = time.perf_counter()
        self._bind(feed)
        self._binding.synchronize_inputs()
        copied_s = time.perf_counter()
        self._compute(self._binding)
        self._binding.synchronize_outputs()
        computed_s = time.perf_counter()
        self._binding.copy_outputs_to_cpu()
        return CallParts(
            copy_in_s=copied_s - begin_s,
            compute_s=computed_s - copied_s,
            copy_out_s=time.perf_counter() - computed_s,
        )

    def _bind(self, feed: Mapping[str, Array]) -> None:
        if feed.keys() != self._inputs:
            raise ValueError(f"fed were {sorted(feed)}, the model takes {sorted(self._inputs)}")
        for name, values in feed.items():
            self._binding.bind_cpu_input(name, values)
        for name in self._outputs:
            self._binding.bind_output(name, self._device, self._device_index)

    def _let_go(self) -> None:
        """Give back the device's memory after a failure: a batch that didn't fit must not take the room of others."""
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
