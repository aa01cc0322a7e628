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
MEASURING = (
    "run s.yaml",
    "export s.yaml",
    "bench s.yaml",
    "bench m.onnx",
    "load s.yaml",
    "load http://127.0.0.1:9 --rate 10",
    "quick m.onnx --peak-rps 10 --p99-ms 50",
    "gate m.onnx m.onnx",
    "profile s.yaml",
    "plan s.yaml",
    "init m.onnx",
)
OTHERS = (
    "plan asked.yaml --capacities capacities.csv --json",
    "profile s.yaml --on aws/c7i.large --script rented.sh",
    "demand calls.csv",
    "catalog list",
    "init --out new.yaml",
    "run --help",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a scenario of it, one that asks nothing but what to buy, and capacities for that."""
    path = tmp_path_factory.mktemp("macos")
    (path / "m.onnx").write_bytes(small().SerializeToString())
    (path / "s.yaml").write_text(
        "schema: 1\nname: s\nmodel: {source: onnx, file: m.onnx}\ntraffic: {peak_rps: 80}\n"
        "objectives: [{p99_ms: 50}]\nplan: {providers: [aws], regions: [us-east-1]}\n"
    )
    (path / "asked.yaml").write_text(
        "traffic: {peak_rps: 80}\nobjectives: [{p99_ms: 50}]\nplan: {providers: [aws], regions: [us-east-1]}\n"
    )
    (path / "calls.csv").write_text("time\n" + "\n".join(f"{1_700_000_000 + i // 2}" for i in range(4000)) + "\n")
    (path / "capacities.csv").write_text(
        "provider,region,instance_type,batch_size,usable_capacity_rps,p99_ms\naws,,c7i.large,1,100,10\n"
    )
    return path


@pytest.fixture(scope="module")
def on_macos(folder: Path) -> dict[str, tuple[int, str, str]]:
    """Exit code, standard output and standard error of every command."""
    commands = (*MEASURING, *OTHERS, "doctor")
    done = subprocess.run(
        [sys.executable, str(FAKE), json.dumps([line.split() for line in commands])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {line: (code, out, err) for line, (code, out, err) in zip(commands, json.loads(done.stdout), strict=True)}


@pytest.mark.parametrize("line", MEASURING)
def test_what_measures_refuses_in_one_message(on_macos: dict[str, tuple[int, str, str]], line: str) -> None:
    code, _, err = on_macos[line]
    error, where, fix = err.splitlines()

    assert code == 4
    assert error.startswith("error: models are looked at and measured on Linux alone, and this is macOS (arm64)")
    assert where == "where: this machine"
    assert "`loadplan profile SCENARIO --on aws/c7i.large`" in fix


def test_the_doctor_names_the_system_and_asks_nothing_else_of_it(on_macos: dict[str, tuple[int, str, str]]) -> None:
    code, out, err = on_macos["doctor"]

    assert code == 4
    assert "lack   system           models are looked at and measured on Linux alone" in out
    assert "provider" not in out
    assert "error: loadplan can't work here: system" in err


def test_what_measures_nothing_runs(folder: Path, on_macos: dict[str, tuple[int, str, str]]) -> None:
    told = [on_macos[line] for line in OTHERS]

    assert [code for code, _, _ in told] == [0] * len(OTHERS), told
    assert json.loads(told[0][1])["recommended"]["offers"][0]["instance_type"] == "c7i.large"
    assert (folder / "rented.sh").read_text().startswith("#!/usr/bin/env bash\n")
    assert (folder / "new.yaml").is_file()
    assert "peak_rps: 2 " in (folder / "traffic.yaml").read_text()
