"""What goes wrong while DuckDB reads a log, told as whose fault it is: the log's, or the machine's."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from errno import EDQUOT, EFBIG, ENOSPC
from pathlib import Path

from loadplan.errors import EnvironmentFault, InputError, first_line

# DuckDB tells of a full disk in the system's own words.
_NO_ROOM = tuple(os.strerror(code) for code in (ENOSPC, EDQUOT, EFBIG))


@contextmanager
def reading(paths: Sequence[Path]) -> Iterator[None]:
    """Whatever DuckDB raises inside becomes a message.

    Raises:
        EnvironmentFault: when memory, or the disk for temporary files, has no room for what the log takes.
        InputError: when the log can't be read.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        where, said = ", ".join(map(str, paths)), first_line(error)
        if isinstance(error, duckdb.OutOfMemoryException) or any(words in str(error) for words in _NO_ROOM):
            raise EnvironmentFault(
                what=f"there is no room to read the log: {said}",
                where=where,
                fix="free memory and disk, or point TMPDIR at a disk with room; nothing of the log was changed",
            ) from error
        raise InputError(
            what=f"the log can't be read: {said}", where=where, fix="see that the files are whole and of one kind"
        ) from error
