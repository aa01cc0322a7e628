"""Rows that a user brings for a ready model: a NumPy archive of arrays by input name, read without pickle.

Members: one array for each input of the model, all with as many rows; on request the right answers as
`expected.<output>`, the truth as `labels`, one name per row as `segments`, the list in which each was ranked as
`groups`, and where rows differ in length how many positions of each are real as `lengths`, zeros beyond them. An input
that has one of these names is written as `inputs.<name>`. The archive is hostile until read: no array is allocated
before its header was compared with what the archive holds, and that is bounded.
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
    beside = {name: arrays.pop(name, None) for name in ("labels", "segments", "groups", "lengths")}
    labels, segments, groups, lengths = beside.values()
    expected = {name.removeprefix(_EXPECTED): rows for name, rows in arrays.items() if name.startswith(_EXPECTED)}
    inputs = {name.removeprefix(_INPUT): rows for name, rows in arrays.items() if not name.startswith(_EXPECTED)}
    counts = {
        name: len(values) if values.ndim else 0 for name, values in {**arrays, **beside}.items() if values is not None
    }
    if not inputs or 0 in counts.values() or len(set(counts.values())) != 1:
        said = ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing"
        raise _refusal(f"its arrays need one first axis of rows; they have {said}", path)
    if lengths is not None and (lengths.ndim != 1 or lengths.dtype.kind not in "iu" or lengths.min() < 1):
        raise _refusal("its lengths are not one whole number from 1 up for each row", path)
    n_rows = len(next(iter(inputs.values())))
    return PayloadSet(
        inputs=inputs,
        expected=expected,
        segments=("",) * n_rows if segments is None else tuple(str(name) for name in segments),
        labels=labels,
        groups=None if groups is None else np.unique(groups, return_inverse=True)[1],
        lengths=None if lengths is None else lengths.astype(np.int64),
    )


def _refusal(reason: str, path: Path) -> InputError:
    return InputError(
        what=f"the rows can't be read: {reason}",
        where=str(path),
        fix="write them with numpy.savez(path, INPUT=rows, …), one array of rows for each input of the model",
    )
