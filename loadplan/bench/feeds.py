"""The rows that are timed, as the server would feed them."""

from dataclasses import replace
from pathlib import Path

from loadplan.scenario.payload_file import load_payloads
from loadplan.scenario.payloads import PayloadSet


def read_feeds(path: Path) -> PayloadSet:
    """The payloads of a file, text as Python strings: the runtime reads NumPy's own text at another speed.

    Raises:
        InputError: as `load_payloads`.
    """
    payloads = load_payloads(path)
    as_fed = {name: v.astype(object) if v.dtype.kind == "U" else v for name, v in payloads.inputs.items()}
    return replace(payloads, inputs=as_fed)
