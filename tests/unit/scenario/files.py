"""Files of scenarios, and what the reader says of one that it refuses."""

from pathlib import Path

import pytest

from loadplan.errors import InputError
from loadplan.scenario.reader import read_scenario

MINIMAL = """\
traffic:
  peak_rps: 300
objectives:
  - {p99_ms: 50}
"""


def write(folder: Path, text: str | bytes, name: str = "shop.yaml") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def mistakes(folder: Path, text: str | bytes) -> list[str]:
    """The lines of the one error, without the path before the line number."""
    path = write(folder, text)
    with pytest.raises(InputError) as caught:
        read_scenario(path)
    assert caught.value.where == str(path)
    return [line.removeprefix(f"{path}:") for line in caught.value.what.splitlines()]
