"""Rows that a user brings for a ready model: a NumPy archive of arrays by input name, read without pickle.

Members: one array for each input of the model, all of the same length; on request the right answers as
`expected.<output>`, the truth as `labels`, and one name per row as `segments`. The archive is hostile until read: no
array is allocated before its header was compared with what the archive holds, and that is bounded.
"""

import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InputError
from loadplan.scenario.payloads import PayloadSet

MAX_BYTES = 2 << 30  # unpacked, of all arrays together

_INPUT = "inputs."
_EXPECTED = "expected."
_DAMAGE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, TypeError)


def read_rows(path: Path) -> PayloadSet:
    """The rows, with whatever else the archive holds; input names are those of the archive.

    Raises:
        InputError: when the file is missing, no such archive, too large, holds objects, or arrays of unequal length.
    """
    if not path.is_file():
        raise _refusal("there is no such file" if not path.exists() else "it is not a regular file", path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > MAX_BYTES:
                raise _refusal("it unpacks to more than 2 GB", path)
            arrays = {member.filename.removesuffix(".npy"): _read_array(archive, member) for member in members}
    except _DAMAGE as error:
        raise _refusal(str(error)[:200] or type(error).__name__, path) from error
    return _payloads(arrays, path)


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.generic]:
    with archive.open(member) as packed:
        data = packed.read(member.file_size)
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read_header: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds Python objects, which only a pickle could store")
    if math.prod(shape) * dtype.itemsize != len(data) - file.tell():
        raise ValueError(f"{member.filename} is not as long as its shape says")
    values = np.frombuffer(data, dtype=dtype, offset=file.tell(), count=math.prod(shape))
    return values.reshape(shape, order="F" if is_fortran else "C")


def _payloads(arrays: dict[str, NDArray[np.generic]], path: Path) -> PayloadSet:
    labels, segments = arrays.pop("labels", None), arrays.pop("segments", None)
    expected = {name.removeprefix(_EXPECTED): rows for name, rows in arrays.items() if name.startswith(_EXPECTED)}
    inputs = {name.removeprefix(_INPUT): rows for name, rows in arrays.items() if not name.startswith(_EXPECTED)}
    lengths = {
        name: len(values) if values.ndim else 0
        for name, values in {**arrays, "labels": labels, "segments": segments}.items()
        if values is not None
    }
    if not inputs or 0 in lengths.values() or len(set(lengths.values())) != 1:
        said = ", ".join(f"{name} {length}" for name, length in lengths.items()) or "nothing"
        raise _refusal(f"its arrays need one first axis of rows; they have {said}", path)
    n_rows = len(next(iter(inputs.values())))
    return PayloadSet(
        inputs=inputs,
        expected=expected,
        segments=("",) * n_rows if segments is None else tuple(str(name) for name in segments),
        labels=labels,
    )


def _refusal(reason: str, path: Path) -> InputError:
    return InputError(
        what=f"the rows can't be read: {reason}",
        where=str(path),
        fix="write them with numpy.savez(path, INPUT=rows, …), one array of rows for each input of the model",
    )
