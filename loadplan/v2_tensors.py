"""Tensors of the Open Inference Protocol v2 as raw bytes, for its binary-tensor extension and for gRPC.

Numbers are little-endian in row-major order, a BOOL is one byte of 0 or 1, and each BYTES element is its length as a
32-bit number followed by so many bytes, here always UTF-8. Over HTTP such tensors follow the JSON of a message end to
end, in the order of the JSON; each names its size in the parameter `binary_data_size`, and a header gives the length of
the JSON. Client and server share this module, so neither can read what the other would not write.
"""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# The HTTP header that gives the length of the JSON before the first binary tensor.
HEADER_LENGTH: Final = "Inference-Header-Content-Length"

# numpy name -> name in the protocol. BF16 is left out: numpy has no such type.
DATATYPES: Final[Mapping[str, str]] = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "object": "BYTES",
}
_DTYPES: Final = {word: np.dtype(name).newbyteorder("<") for name, word in DATATYPES.items() if word != "BYTES"}
_LENGTH: Final = struct.Struct("<I")


class BadTensor(ValueError):
    """Bytes that are not the tensor that they are said to be; the message is for whoever sent them."""


def datatype_of(values: NDArray[np.generic]) -> str | None:
    """The protocol's name for the array's type, text being BYTES; None where it has none."""
    return "BYTES" if values.dtype.kind in "OU" else DATATYPES.get(values.dtype.name)


def encode(values: NDArray[np.generic]) -> bytes:
    """The bytes of one tensor; text is an array of `str`."""
    if values.dtype.kind in "OU":
        return b"".join(_LENGTH.pack(len(raw)) + raw for raw in (text.encode() for text in values.ravel().tolist()))
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()


def decode(data: bytes | memoryview, *, datatype: str, shape: Sequence[int]) -> NDArray[Any]:
    """The tensor of this type and shape, whose bytes are `data`; of numbers, a view that can't be written to.

    Raises:
        BadTensor: when the type is unknown, or the bytes are too few, too many, or not of this type.
    """
    n_values = math.prod(shape)
    if datatype == "BYTES":
        return np.array(_texts(data, n_values), dtype=np.object_).reshape(shape)
    dtype = _DTYPES.get(datatype)
    if dtype is None:
        raise BadTensor(f"the datatype {datatype!r} is not one that can be read as bytes")
    if len(data) != n_values * dtype.itemsize:
        raise BadTensor(f"{len(data)} bytes are not {n_values} values of {datatype}, {dtype.itemsize} bytes each")
    if datatype == "BOOL" and n_values and max(data) > 1:
        raise BadTensor("a BOOL is a byte of 0 or 1")
    # Whoever computes with it may need whole words at their own addresses; a tensor behind text may lie anywhere.
    values = np.require(np.frombuffer(data, dtype=dtype), requirements="A")
    return values.astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def split_message(body: bytes, n_json_bytes: int) -> tuple[bytes, memoryview]:
    """The JSON of a message, and the binary tensors that follow it. Raises BadTensor."""
    if not 0 <= n_json_bytes <= len(body):
        raise BadTensor(f"{HEADER_LENGTH} is {n_json_bytes}, and the body has {len(body)} bytes")
    return body[:n_json_bytes], memoryview(body)[n_json_bytes:]


def take_parts(tail: memoryview, sizes: Iterable[object]) -> list[memoryview]:
    """The bytes of each binary tensor; `sizes` are their `binary_data_size` as read, in the order of the JSON.

    Raises:
        BadTensor: when a size is no whole number, or all of them together are not the length of the tail.
    """
    parts, start = [], 0
    for size in sizes:
        if type(size) is not int or size < 0:
            raise BadTensor(f"binary_data_size must be a whole number of bytes, it is {size!r:.40}")
        parts.append(tail[start : start + size])
        start += size
    if start != len(tail):
        raise BadTensor(f"the tensors have {start} bytes by their binary_data_size, {len(tail)} were sent")
    return parts


def _texts(data: bytes | memoryview, n_values: int) -> list[str]:
    texts: list[str] = []
    start = 0
    while start < len(data):
        if len(data) - start < _LENGTH.size:
            raise BadTensor("the last BYTES element has no length")
        (size,) = _LENGTH.unpack_from(data, start)
        start += _LENGTH.size
        if size > len(data) - start:
            raise BadTensor(f"a BYTES element of {size} bytes, and {len(data) - start} are left")
        texts.append(_text(data[start : start + size]))
        start += size
    if len(texts) != n_values:
        raise BadTensor(f"{len(texts)} BYTES elements, and the shape asks for {n_values}")
    return texts


def _text(data: bytes | memoryview) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise BadTensor("a BYTES element is not UTF-8") from None
