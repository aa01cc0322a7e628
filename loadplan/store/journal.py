"""A journal per long stage: each finished piece is one line, synced as it is made.

A line is the hash of its text and the text, so a line that a kill tore or a disk changed is told from a whole one. It
is overwritten by the next piece; a stage goes on where it was and repeats at most the piece it was making.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import TypeVar

from loadplan.errors import InputError
from loadplan.store import codec, files

T = TypeVar("T")

_SCHEMA = "loadplan.journal/1"
_N_HASH_DIGITS = 16


class Journal:
    """The pieces that one stage has made so far under one key."""

    def __init__(self, path: Path, key: str) -> None:
        """Open the journal at `path`; what was written under another key is discarded.

        Raises:
            EnvironmentFault: when the journal can't be read or begun.
        """
        self._path = path
        self._lines = read_whole_lines(path)
        header = journal_header(key)
        if self._lines[:1] != [header]:
            files.write_bytes(path, header)
            self._lines = [header]

    def entries(self, kind: type[T]) -> list[T]:
        """The pieces made so far, in order; from the first on that is not a `kind`, they are to be made again."""
        pieces: list[T] = []
        for i, line in enumerate(self._lines[1:], start=1):
            try:
                pieces.append(codec.loads(_text(line), kind, where=f"{self._path}, line {i + 1}"))
            except InputError:
                del self._lines[i:]
                break
        return pieces

    def append(self, piece: object) -> None:
        """Keep one more piece, for good when this returns.

        Raises:
            EnvironmentFault: when the disk is full or failing.
        """
        line = _line(codec.dumps(piece))
        end = sum(map(len, self._lines))
        with files.disk_errors(self._path, n_bytes=len(line)):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.ftruncate(descriptor, end)  # what lies beyond was torn, or is to be made again
                os.lseek(descriptor, end, os.SEEK_SET)
                files.write_all(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self._lines.append(line)


def read_whole_lines(path: Path) -> list[bytes]:
    """The lines of a journal up to the first that is torn or damaged; none where there is no journal."""
    with files.disk_errors(path, n_bytes=0):
        if not path.is_file():
            return []
        lines = path.read_bytes().splitlines(keepends=True)
    whole: list[bytes] = []
    for line in lines:
        if line != _line(_text(line)):
            break
        whole.append(line)
    return whole


def journal_header(key: str) -> bytes:
    """The first line of the journal of a stage under this key."""
    return _line(json.dumps({"schema": _SCHEMA, "key": key}))


def _line(text: str) -> bytes:
    data = text.encode()
    return hashlib.sha256(data).hexdigest()[:_N_HASH_DIGITS].encode() + b" " + data + b"\n"


def _text(line: bytes) -> str:
    return line[_N_HASH_DIGITS + 1 : -1].decode(errors="replace")
