"""On macOS: what measures refuses in one message, and all else runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.accuracy.models import small

ROOT = Path(__file__).parents[2]
FAKE = ROOT / "tests" / "fakes" / "macos.py"
Told = list[tuple[int, str, str]]


def on_macos(folder: Path, *commands: list[str]) -> Told:
    done = subprocess.run(
        [sys.executable, str(FAKE), json.dumps(commands)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: Told = [(code, out, err) for code, out, err in json.loads(done.stdout)]
    return told


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model, a scenario of it, one that asks nothing but what to buy, and capacities for that."""
    (tmp_path / "m.onnx").write_bytes(small().SerializeToString())
    (tmp_path / "s.yaml").write_text(
        "schema: 1\nname: s\nmodel: {source: onnx, file: m.onnx}\ntraffic: {peak_rps: 80}\n"
        "objectives: [{p99_ms: 50}]\nplan: {providers: [aws], regions: [us-east-1]}\n"
    )
    (tmp_path / "asked.yaml").write_text(
        "traffic: {peak_rps: 80}\nobjectives: [{p99_ms: 50}]\nplan: {providers: [aws], regions: [us-east-1]}\n"
    )
    (tmp_path / "capacities.csv").write_text(
        "provider,region,instance_type,batch_size,usable_capacity_rps,p99_ms\naws,,c7i.large,1,100,10\n"
    )
    return tmp_path


def test_what_measures_refuses_in_one_message(folder: Path) -> None:
    commands = [
        ["run", "s.yaml"],
        ["export", "s.yaml"],
        ["bench", "s.yaml"],
        ["bench", "m.onnx"],
        ["load", "s.yaml"],
        ["load", "http://127.0.0.1:9", "--rate", "10"],
        ["quick", "m.onnx", "--peak-rps", "10", "--p99-ms", "50"],
        ["gate", "m.onnx", "m.onnx"],
        ["profile", "s.yaml"],
        ["plan", "s.yaml"],
        ["doctor"],
    ]
    for words, (code, _, err) in zip(commands, on_macos(folder, *commands), strict=True):
        assert code == 4, (words, err)
        lines = err.splitlines()
        assert [line.partition(":")[0] for line in lines] == ["error", "where", "fix"], (words, err)
        if words != ["doctor"]:
            assert "on Linux alone, and this is macOS (arm64)" in lines[0], words
        assert "profile SCENARIO --on" in lines[2], words


def test_the_doctor_names_the_system_and_asks_nothing_that_it_lacks(folder: Path) -> None:
    ((_, out, err),) = on_macos(folder, ["doctor"])

    assert "lack   system           models are looked at and measured on Linux alone" in out
    assert "error: loadplan can't work here: system" in err


def test_what_measures_nothing_runs(folder: Path) -> None:
    planned, priced, listed, begun, versioned = on_macos(
        folder,
        ["plan", "asked.yaml", "--capacities", "capacities.csv", "--json"],
        ["profile", "s.yaml", "--on", "aws/c7i.large", "--script", "rented.sh"],
        ["catalog", "list"],
        ["init", "--out", "new.yaml"],
        ["run", "--help"],
    )

    assert planned[0] == 0, planned[2]
    assert json.loads(planned[1])["recommended"]["offers"][0]["instance_type"] == "c7i.large"
    assert priced[0] == 0, priced[2]
    assert (folder / "rented.sh").read_text().startswith("#!/usr/bin/env bash\n")
    assert (listed[0], begun[0], versioned[0]) == (0, 0, 0)


def test_on_linux_nothing_is_refused(folder: Path) -> None:
    """The fake takes away what it says it takes away: the same command without it looks at the model."""
    done = subprocess.run(
        [sys.executable, "-m", "loadplan", "init", "m.onnx", "--out", "of-model.yaml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    ((code, _, err),) = on_macos(folder, ["init", "m.onnx", "--out", "again.yaml"])

    assert done.returncode == 0, done.stderr
    assert code == 4
    assert "macOS" in err
