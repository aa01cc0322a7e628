"""The rules for data that lies beside a model file: where it may be, and how much of it may be read.

A model names its data files itself, so a hostile one names whatever it likes. Every file is opened once, without
waiting (a named pipe would hang) and without following a last link, and judged by its descriptor; a size is compared
with the real file before anything is allocated. Whoever links a model in is met half-way: a Hugging Face cache holds
links into one folder of blobs, so the model is resolved first, and its data must then lie in its real folder.
"""

import hashlib
import math
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from loadplan.errors import InputError

# Bits of one element by TensorProto.DataType; text (8) can't lie outside, and what isn't listed isn't known.
_BITS = {
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 8),
    **dict.fromkeys((4, 5, 10, 16), 16),
    **dict.fromkeys((1, 6, 12), 32),
    **dict.fromkeys((7, 11, 13, 14), 64),
    15: 128,
    **dict.fromkeys((21, 22, 23), 4),
    **dict.fromkeys((25, 26), 2),
}
_KEYS = frozenset({"location", "offset", "length", "checksum"})
# ONNX Runtime takes this location for an address in its own memory.
_MEMORY_MARK = "_ORT_MEM_ADDR_"
_MAX_DIGITS = 19
_MAX_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The bytes of one tensor in a file that was looked at."""

    file: int  # open descriptor
    offset: int
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One file that tensors lie in."""

    location: str  # as the model names it
    descriptor: int
    n_bytes: int


class DataFolder:
    """What a model may read beside itself. The files stay open, so what was judged is what is read."""

    def __init__(self, model: Path) -> None:
        self._model = model
        self._beside = model.absolute().parent  # where a link to the model lies
        self._real = model.resolve().parent
        self._files: dict[str, DataFile] = {}
        self.found_beside_link = True  # False: the data lies with the real model, not with the link to it

    @property
    def files(self) -> tuple[DataFile, ...]:
        """Every file that a tensor named so far, in that order."""
        return tuple(self._files.values())

    def slice_of(
        self, tensor: str, entries: Sequence[tuple[str, str]], *, dims: Sequence[int], data_type: int
    ) -> Slice:
        """Where the tensor's bytes are.

        Raises:
            InputError: when its entries are not plain, lead out of the folder, or ask for more than the file holds.
        """
        where = f"{self._model}, tensor {shown(tensor)}"
        keys = [key for key, _ in entries]
        wrong = next((key for key in keys if key not in _KEYS or keys.count(key) > 1), None)
        if wrong is not None:
            raise _refusal(f"its external data has the unknown or repeated key {shown(wrong)}", where)
        given = dict(entries)
        file = self._file(given.get("location", ""), where)
        offset = _whole_number(given.get("offset", "0"), "offset", where)
        n_bytes = _n_bytes(dims, data_type, where)
        length = _whole_number(given.get("length", str(n_bytes)), "length", where)
        if length != n_bytes:
            raise _refusal(f"its external data is {length:,} bytes long, and its shape needs {n_bytes:,}", where)
        if offset + length > file.n_bytes:
            raise _refusal(
                f"its external data ends at byte {offset + length:,}, and the file {shown(file.location)} "
                f"has {file.n_bytes:,}",
                where,
            )
        return Slice(file=file.descriptor, offset=offset, n_bytes=n_bytes)

    def _file(self, location: str, where: str) -> DataFile:
        if location not in self._files:
            _require_plain(location, where)
            self._files[location] = self._open(location, where)
        return self._files[location]

    def _open(self, location: str, where: str) -> DataFile:
        path = self._beside / location
        if self._model.is_symlink() and not os.path.lexists(path):
            path, self.found_beside_link = self._real / location, False
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self._real):
            raise _outside(location, where)
        try:
            descriptor, status = open_regular(real)
        except FileNotFoundError:
            raise InputError(
                what=f"the external data file {shown(location)} is missing",
                where=where,
                fix=f"put it beside the model, in {self._real}",
            ) from None
        except OSError as error:
            raise _refusal(f"its external data file {shown(location)} can't be read: {error.strerror}", where) from None
        if status.st_nlink != 1:
            os.close(descriptor)
            raise InputError(
                what=f"the external data file {shown(location)} is a hard link, so it may be any file of this disk",
                where=where,
                fix="copy it: cp FILE COPY && mv COPY FILE",
            )
        return DataFile(location=location, descriptor=descriptor, n_bytes=status.st_size)


def open_regular(path: Path) -> tuple[int, os.stat_result]:
    """A descriptor of a regular file and what it says of itself; never waits and never follows a last link.

    Raises:
        OSError: when there is no such file, or it is of another kind.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(0, "it is not a regular file")
    return descriptor, status


def read(part: Slice) -> bytes:
    """The bytes of one tensor.

    Raises:
        OSError: when the disk fails, or the file has become shorter.
    """
    pieces, at, end = [], part.offset, part.offset + part.n_bytes
    while at < end:
        piece = os.pread(part.file, min(end - at, 1 << 26), at)
        if not piece:
            raise OSError(0, "the file became shorter while it was read")
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces)


def sha256(descriptor: int) -> str:
    """The hash of an open file from its first byte."""
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def shown(name: str) -> str:
    """A name out of a model file, safe to print."""
    quoted = ascii(name)
    return quoted if len(quoted) <= _MAX_SHOWN else quoted[:_MAX_SHOWN] + "…"


def _require_plain(location: str, where: str) -> None:
    if _MEMORY_MARK in location:
        raise _refusal("its external data names an address in memory", where)
    if not location or "\0" in location:
        raise _refusal("its external data names no file", where)
    # Windows' own forms too: a model that carries one was made to leave its folder somewhere.
    foreign = PureWindowsPath(location)
    if location.startswith("/") or foreign.drive or foreign.root or ".." in foreign.parts:
        raise _outside(location, where)


def _whole_number(text: str, key: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise _refusal(f"its external data has the {key} {shown(text)}, which is no number of bytes", where)
    return int(text)


def _n_bytes(dims: Sequence[int], data_type: int, where: str) -> int:
    if data_type not in _BITS or any(dim < 0 for dim in dims):
        raise _refusal("its type or its shape can't lie in external data", where)
    return (math.prod(dims) * _BITS[data_type] + 7) // 8


def _outside(location: str, where: str) -> InputError:
    return InputError(
        what=f"the external data {shown(location)} leads out of the model's folder",
        where=where,
        fix="put the data beside the model and name it by a relative path without '..' and without links",
    )


def _refusal(what: str, where: str) -> InputError:
    return InputError(what=what, where=where, fix="export the model again; don't use a file that you don't trust")
