"""A journal per long stage: each finished piece is one line, synced as it is made.

A kill tears at most the last line, which is dropped; so a stage goes on where it was and repeats at most one piece.
"""

import json
import os
from pathlib import Path
from typing import TypeVar

from loadplan.errors import InputError
from loadplan.store import codec, files

T = TypeVar("T")


class Journal:
    """The pieces that one stage has made so far under one key."""

    def __init__(self, path: Path, key: str) -> None:
        """Open the journal at `path`; what was written under another key is discarded."""
        self._path = path
        header = json.dumps({"key": key}) + "\n"
        if not path.exists() or not path.read_bytes().startswith(header.encode()):
            files.write_text(path, header)
        self._drop_torn_line()

    def entries(self, kind: type[T]) -> list[T]:
        """The pieces made so far, in order; from the first damaged line on they are made again."""
        pieces: list[T] = []
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]
        for i, line in enumerate(lines):
            try:
                pieces.append(codec.loads(line, kind, where=f"{self._path}, line {i + 2}"))
            except InputError:
                self._keep_lines(1 + i)
                break
        return pieces

    def append(self, piece: object) -> None:
        """Keep one more piece, for good when this returns.

        Raises:
            EnvironmentFault: when the disk is full or failing.
        """
        data = (codec.dumps(piece) + "\n").encode()
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptor, view) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise files.disk_fault(error, self._path, n_bytes=len(data)) from error

    def _drop_torn_line(self) -> None:
        data = self._path.read_bytes()
        if not data.endswith(b"\n"):
            files.write_bytes(self._path, data[: data.rfind(b"\n") + 1])

    def _keep_lines(self, n_lines: int) -> None:
        kept = self._path.read_bytes().splitlines(keepends=True)[:n_lines]
        files.write_bytes(self._path, b"".join(kept))
