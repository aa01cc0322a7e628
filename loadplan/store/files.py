"""Files that are there whole or not at all, whatever is pulled at whichever moment."""

import errno
import hashlib
import os
import shutil
from pathlib import Path

from loadplan.errors import EnvironmentFault

# Unfinished files carry this in their name, so that what a kill left behind can be told and removed.
UNFINISHED = ".unfinished-"


def write_bytes(path: Path, data: bytes) -> None:
    """Write to a temporary name in the same folder, sync, rename, and sync the folder.

    Raises:
        EnvironmentFault: when the disk is full, read-only or failing; nothing is left under either name that wasn't.
    """
    temporary = path.with_name(f"{UNFINISHED}{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write_synced(temporary, data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise disk_fault(error, path, n_bytes=len(data)) from error


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())


def sync_folder(folder: Path) -> None:
    """Make renames and removals in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_file(path: Path) -> str:
    """The hash of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed process was still writing."""
    for leftover in folder.rglob(f"{UNFINISHED}*"):
        leftover.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Give `source` a second name, by hard link where the file system can, else by copy; whole or not at all."""
    temporary = target.with_name(f"{UNFINISHED}{os.getpid()}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        temporary.replace(target)
        # A link to the same file makes the rename a no-op that leaves the temporary name.
        temporary.unlink(missing_ok=True)
        sync_folder(target.parent)
    except OSError as error:
        raise disk_fault(error, target, n_bytes=source.stat().st_size) from error


def disk_fault(error: OSError, path: Path, *, n_bytes: int) -> EnvironmentFault:
    """The error of a write as something a user can act on."""
    free = ""
    try:
        existing = next(folder for folder in path.parents if folder.exists())
        free = f", {shutil.disk_usage(existing).free:,} bytes are free there"
    except (OSError, StopIteration):
        pass
    advice = {
        errno.ENOSPC: "free some space",
        errno.EDQUOT: "free some space or raise the quota",
        errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
        errno.EROFS: "choose a folder that can be written, with -o DIR",
        errno.EACCES: "choose a folder that you may write, with -o DIR",
        errno.EPERM: "choose a folder that you may write, with -o DIR",
    }
    return EnvironmentFault(
        what=f"{n_bytes:,} bytes can't be written: {error.strerror or error}{free}",
        where=str(path),
        fix=advice.get(error.errno or 0, "check the disk") + ", then run the same command again",
    )


def _write_synced(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
