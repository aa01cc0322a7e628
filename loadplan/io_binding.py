"""Inputs and outputs bound on the device that computes, by ONNX Runtime's IOBinding. Seconds.

A call takes host arrays and gives host arrays, as a server needs it, so the copies to the device and back are part of
it; bound, they stand apart and can be timed. Inputs are copied as they are bound, into memory of the session's own
pool: values made with `OrtValue.ortvalue_from_numpy` would ask the driver for new memory at every call. Outputs are
bound anew for every call, because the memory of the last one has the last one's shape.

A binding belongs to one session and to one thread at a time.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Infer = Callable[[Mapping[str, Array]], list[Array]]


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
        self._inputs, self._outputs = tuple(inputs), tuple(outputs)
        self._device, self._device_index = device, device_index
        self.infer = self._caller()

    def _caller(self) -> Infer:
        """One inference: arrays by input name in, arrays in the order of the outputs back.

        A closure over what a call needs: looking that up anew would add a tenth to a call of ten microseconds. It
        raises ValueError when the feed names other inputs than the session has, and RuntimeError for what the runtime
        says, of a wrong type or shape, or of too little memory.
        """
        binding, compute, inputs, outputs = self._binding, self._compute, self._inputs, self._outputs
        bind_input, bind_output, copy_out = binding.bind_cpu_input, binding.bind_output, binding.copy_outputs_to_cpu
        device, device_index, n_inputs = self._device, self._device_index, len(self._inputs)

        def infer(feed: Mapping[str, Array]) -> list[Array]:
            if len(feed) != n_inputs:
                raise _wrong_names(feed, inputs)
            try:
                for name in inputs:
                    bind_input(name, feed[name])
                for name in outputs:
                    bind_output(name, device, device_index)
                compute(binding)
                answers: list[Array] = copy_out()
            except KeyError as error:
                raise _wrong_names(feed, inputs) from error
            except Exception:
                # A batch that didn't fit must not take the room of others.
                binding.clear_binding_inputs()
                binding.clear_binding_outputs()
                raise
            return answers

        return infer

    def infer_in_parts(self, feed: Mapping[str, Array]) -> CallParts:
        """One inference with the clock read between its parts, and the device waited for, which costs it overlap."""
        binding, begin_s = self._binding, time.perf_counter()
        for name in self._inputs:
            binding.bind_cpu_input(name, feed[name])
        binding.synchronize_inputs()
        copied_s = time.perf_counter()
        for name in self._outputs:
            binding.bind_output(name, self._device, self._device_index)
        self._compute(binding)
        binding.synchronize_outputs()
        computed_s = time.perf_counter()
        binding.copy_outputs_to_cpu()
        return CallParts(
            copy_in_s=copied_s - begin_s,
            compute_s=computed_s - copied_s,
            copy_out_s=time.perf_counter() - computed_s,
        )


def _wrong_names(feed: Mapping[str, Array], inputs: Sequence[str]) -> ValueError:
    return ValueError(f"fed were {sorted(feed)}, the model takes {sorted(inputs)}")
