"""`loadplan`, as a process of its own each time."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
Loadplan = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def forks() -> Iterator["subprocess.Popen[str]"]:
    """It ends with the file: tests elsewhere assert that no process was left behind."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("forks.py"))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def loadplan(forks: "subprocess.Popen[str]", tmp_path_factory: pytest.TempPathFactory) -> Loadplan:
    """`loadplan("plan", "x.yaml", cwd=folder)` runs the command there to its end."""
    said = tmp_path_factory.mktemp("said")

    def run(*arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
        return in_a_fork(forks, arguments, cwd=cwd, said=said)

    return run


def in_a_fork(
    forks: "subprocess.Popen[str]", arguments: Sequence[str | Path], *, cwd: Path, said: Path
) -> "subprocess.CompletedProcess[str]":
    """A command in this folder to its end; what it prints goes through files in the folder `said`."""
    out, err = said / "out", said / "err"
    words = [str(argument) for argument in arguments]
    order = {"arguments": words, "folder": str(cwd), "out": str(out), "err": str(err)}
    assert forks.stdin is not None
    assert forks.stdout is not None
    forks.stdin.write(f"{json.dumps(order)}\n")
    forks.stdin.flush()
    code = int(forks.stdout.readline())
    return subprocess.CompletedProcess(words, code, out.read_text(), err.read_text())
