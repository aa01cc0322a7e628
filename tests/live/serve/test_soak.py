"""The soak itself: it passes a server that is right, and finds one whose answers are one caller off."""

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]

# The server as it is, but for the rows of each batch, which go to the request before theirs.
_ROTATED = """
import sys
from loadplan.serve import batcher
from loadplan.serve.__main__ import main

divide = batcher._divide


def rotated(batch, outputs):
    divide(batch[1:] + batch[:1] if len({waiting.n_rows for waiting in batch}) == 1 else batch, outputs)


batcher._divide = rotated
sys.exit(main(sys.argv[1:]))
"""


def _soak(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/soak.py", "--requests", "4000", "--seconds", "0", *options]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=100)


@pytest.mark.nightly
def test_a_right_server_passes_with_full_batches_and_many_requests_given_up() -> None:
    end = _soak()
    assert (end.returncode, end.stderr) == (0, "")
    assert int(end.stdout.split()[0].replace(",", "")) >= 4000
    assert int(end.stdout.split("right, ")[1].split()[0]) > 100


def test_a_server_that_gives_answers_to_the_next_caller_fails(tmp_path: Path) -> None:
    wrong = tmp_path / "rotated.py"
    wrong.write_text(_ROTATED)
    end = _soak("--server", str(wrong))
    assert end.returncode == 1
    assert end.stdout.startswith("WRONG: request r")
