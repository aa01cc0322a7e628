"""Files that are there whole or not at all, whatever is pulled at whichever moment.

Every write goes to a temporary name in the same folder, is synced and renamed, and the folder is synced too. All
errors of the disk leave here as `EnvironmentFault`.
"""

import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from loadplan.errors import EnvironmentFault, InputError

# Unfinished files begin with this, so that what a kill left behind can be told and removed.
UNFINISHED = ".unfinished-"

_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space or raise the quota",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "choose a folder that you may write",
    errno.EPERM: "choose a folder that you may write",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "choose another folder with --output",
    errno.EEXIST: "choose another folder with --output",
    errno.ENOTDIR: "choose another folder with --output",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}

# Where a process finds the files that it has open; the second wherever there is no /proc.
_OPEN_FILES = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CHUNK_BYTES = 1 << 20

# What `link` answers where the file system can't, or won't, give a file a second name.
_CANNOT_LINK = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def path_of_open(descriptor: int) -> str:
    """A path to an open file, for DuckDB, which takes *, ? and [ in a path for patterns."""
    return f"{_OPEN_FILES}/{descriptor}"


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`.

    Raises:
        EnvironmentFault: when the disk is full, read-only or failing; the file that was there before still is.
    """
    with replacing(path, n_bytes=len(data)) as descriptor:
        write_all(descriptor, data)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())


@contextmanager
def replacing(path: Path, *, n_bytes: int) -> Iterator[int]:
    """A descriptor to write about `n_bytes` to; the file takes the name `path` when the block ends without an error.

    Raises:
        EnvironmentFault: as `write_bytes`.
        InputError: when the name is a device's, or that of something else that a file must not take the place of.
    """
    temporary = _temporary(path)
    with disk_errors(path, n_bytes=n_bytes):
        make_folder(path.parent)
        _require_no_device(path)
        # O_EXCL and O_NOFOLLOW: a link that somebody planted at this name is refused, not written through.
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o644)
        try:
            try:
                yield descriptor
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temporary.replace(path)
        except BaseException:
            _discard(temporary)
            raise
        sync_folder(path.parent)


def _require_no_device(path: Path) -> None:
    """Root may rename a file over /dev/null, and then nothing on the machine works that writes there."""
    is_there = path.exists()
    if path.parent.resolve() == Path("/dev") or (is_there and not (path.is_file() or path.is_dir())):
        raise InputError(
            what="a file would take the place of a device or a pipe",
            where=str(path),
            fix="name a file; what a command answers is on standard output",
        )


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte, however many calls the kernel makes of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def link_or_copy(source: Path, target: Path) -> None:
    """Give `source` a second name, by hard link where the file system can, else by copy; whole or not at all.

    A shared file is safe because nothing here ever writes into a finished one.

    Raises:
        EnvironmentFault: as `write_bytes`.
    """
    n_bytes = source.stat().st_size
    temporary = _temporary(target)
    with disk_errors(target, n_bytes=n_bytes):
        make_folder(target.parent)
        try:
            os.link(source, temporary)
        except OSError as error:
            if error.errno not in _CANNOT_LINK:
                raise
            with source.open("rb") as file, replacing(target, n_bytes=n_bytes) as descriptor:
                while chunk := file.read(_CHUNK_BYTES):
                    write_all(descriptor, chunk)
            return
        try:
            temporary.replace(target)
        finally:
            # Where both are the same file already, the rename does nothing and leaves the temporary name.
            _discard(temporary)
        sync_folder(target.parent)


def make_folder(path: Path) -> None:
    """Make a folder and its parents, so that a power cut can't lose one whose files are already synced."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file where it is there. Raises EnvironmentFault when the disk is failing."""
    with disk_errors(path, n_bytes=0):
        path.unlink(missing_ok=True)


def sha256_file(path: Path) -> str:
    """The hash of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed process was still writing.

    Raises:
        EnvironmentFault: when it can't be removed.
    """
    with disk_errors(folder, n_bytes=0):
        for leftover in folder.rglob(f"{UNFINISHED}*"):
            leftover.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: Path, *, n_bytes: int) -> Iterator[None]:
    """Turn every error of the operating system in this block into one that a user can act on."""
    try:
        yield
    except OSError as error:
        raise disk_fault(error, path, n_bytes=n_bytes) from error


def disk_fault(error: OSError, path: Path, *, n_bytes: int) -> EnvironmentFault:
    """The error of a write as something a user can act on: what went wrong, bytes needed and free, and the advice."""
    what = f"{n_bytes:,} bytes can't be written" if n_bytes else "the folder can't be changed"
    return EnvironmentFault(
        what=f"{what}: {error.strerror or error}{_free_space(path) if error.errno in _NO_ROOM else ''}",
        where=str(path),
        fix=f"{_ADVICE.get(error.errno or 0, 'check the disk')}, then run the same command again",
    )


def _free_space(path: Path) -> str:
    with suppress(OSError, StopIteration):
        existing = next(folder for folder in path.absolute().parents if folder.exists())
        return f", {shutil.disk_usage(existing).free:,} bytes are free there"
    return ""


def _temporary(path: Path) -> Path:
    return path.with_name(f"{UNFINISHED}{os.getpid()}-{path.name}")


def _discard(temporary: Path) -> None:
    """Remove a temporary file if the disk lets us; if not, the next run does."""
    with suppress(OSError):
        temporary.unlink(missing_ok=True)
