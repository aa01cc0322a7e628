"""The requests as a file: a NumPy archive without pickle, so that reading one can never run code.

The same payloads give the same bytes, because the archive's members carry no time; the run folder's hashes rest on
that. Members: `inputs.<name>` or, for inputs as long as the row, `sequences.<name>`; `expected.<name>`; `segments`;
`labels`, `groups` and `lengths` where there are any.
"""

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InputError
from loadplan.scenario.payloads import PayloadSet
from loadplan.store.files import write_bytes

_INPUT = "inputs."
_SEQUENCE = "sequences."
_EXPECTED = "expected."

# What NumPy and the archive reader raise on bytes that were cut or changed.
_DAMAGE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, TypeError)


def save_payloads(path: Path, payloads: PayloadSet) -> None:
    """Write the archive whole or not at all.

    Raises:
        InputError: when an array holds Python objects, which only a pickle could store.
        EnvironmentFault: when the disk is full, read-only or failing.
    """
    arrays: dict[str, NDArray[np.generic]] = {
        **{
            (_SEQUENCE if name in payloads.sequences else _INPUT) + name: rows for name, rows in payloads.inputs.items()
        },
        **{_EXPECTED + name: rows for name, rows in payloads.expected.items()},
        "segments": np.array(payloads.segments, dtype=np.str_),
    }
    if payloads.labels is not None:
        arrays["labels"] = payloads.labels
    if payloads.groups is not None:
        arrays["groups"] = payloads.groups
    if payloads.lengths is not None:
        arrays["lengths"] = payloads.lengths
    unstorable = [name for name, values in arrays.items() if values.dtype.hasobject]
    if unstorable:
        raise InputError(
            what=f"the payload array {unstorable[0]!r} holds Python objects",
            where=str(path),
            fix="use numbers or NumPy text",
        )
    archive = io.BytesIO()
    np.savez_compressed(archive, allow_pickle=False, **arrays)
    write_bytes(path, archive.getvalue())


def load_payloads(path: Path) -> PayloadSet:
    """Read what `save_payloads` wrote.

    Raises:
        InputError: when the file is missing, damaged, or not one of these archives.
    """
    try:
        # From memory, because np.load leaves the file open when it is no archive.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except _DAMAGE as error:
        raise _refusal(path, str(error)[:200] or type(error).__name__) from error
    sequences = tuple(name.removeprefix(_SEQUENCE) for name in arrays if name.startswith(_SEQUENCE))
    inputs = {name.partition(".")[2]: rows for name, rows in arrays.items() if name.startswith((_INPUT, _SEQUENCE))}
    expected = {name.removeprefix(_EXPECTED): rows for name, rows in arrays.items() if name.startswith(_EXPECTED)}
    if not inputs or "segments" not in arrays or len({len(rows) for rows in arrays.values()}) != 1:
        raise _refusal(path, "it is no archive of payloads, or its arrays differ in length")
    return PayloadSet(
        inputs=inputs,
        expected=expected,
        segments=tuple(str(name) for name in arrays["segments"]),
        labels=arrays.get("labels"),
        groups=arrays.get("groups"),
        lengths=arrays.get("lengths"),
        sequences=sequences,
    )


def _refusal(path: Path, reason: str) -> InputError:
    return InputError(what=f"the payloads can't be read: {reason}", where=str(path), fix="export the model again")
