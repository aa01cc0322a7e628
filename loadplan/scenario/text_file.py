"""Text files that users write: read whole, in UTF-8, and never larger than they need to be."""

from pathlib import Path

from loadplan.errors import InputError

MAX_BYTES = 1_000_000


def read_text(path: Path, *, max_bytes: int = MAX_BYTES) -> str:
    """The text of a regular file of at most `max_bytes`, without a byte order mark.

    Raises:
        InputError: when the file is missing, a folder, a device, unreadable, too large or not UTF-8.
    """
    if path.is_dir():
        raise _refusal("this is a folder, not a file", path, "name the file itself")
    if not path.exists():
        raise _refusal("there is no such file", path, "check the path")
    if not path.is_file():  # opening a named pipe would wait for ever
        raise _refusal("this is not a regular file", path, "name a plain text file")
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise _refusal(f"the file can't be read: {error.strerror}", path, "check its permissions") from error
    if len(data) > max_bytes:
        raise _refusal(
            f"the file is larger than {max_bytes // 1_000_000} MB", path, "name the right file, or shorten it"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _refusal(f"line {line} is not UTF-8 text", path, "save the file as UTF-8") from error


def _refusal(what: str, path: Path, fix: str) -> InputError:
    return InputError(what=what, where=str(path), fix=fix)
