"""A folder for what a child process leaves behind when it is killed, and the end of those whose owner was killed too.

Its owner holds a lock on it, which the kernel drops when the owner ends, however that happens: so a folder without a
holder belongs to nobody, and whoever needs one next removes it.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "loadplan-scratch-"
_YOUNG_S = 60.0  # between its making and its locking a folder has no holder, either


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of one's own in the system's place for temporary files; gone when the block ends."""
    _remove_abandoned(Path(tempfile.gettempdir()))
    path = Path(tempfile.mkdtemp(prefix=_PREFIX))
    holder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        yield path
    finally:
        os.close(holder)
        shutil.rmtree(path, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    """Those of this user's processes that were killed. Whatever the disk says to it, the next one tries again."""
    for path in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            holder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                status = os.fstat(holder)
                if status.st_uid == os.getuid() and time.time() - status.st_mtime > _YOUNG_S:
                    fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(holder)
