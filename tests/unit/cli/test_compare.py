"""`loadplan compare` on small bench files: what it prints, writes and exits with."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np
import pytest

from loadplan.bench.records import BenchCell, BenchRun, CellRound
from loadplan.bench.summary import by_cell, summarise_cell
from loadplan.cli.app import run_command_line
from loadplan.cli.junit import CheckedCase, write_junit
from loadplan.execution import ExecutionConfig
from loadplan.machine import read_machine
from loadplan.pipeline.artifacts import write_bench


@pytest.fixture(autouse=True)
def own_signal_handlers() -> Iterator[None]:
    """The command line takes the signals of its process, which here is the tests'."""
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.getsignal(kind) for kind in kinds]
    yield
    for kind, handler in zip(kinds, handlers, strict=True):
        signal.signal(kind, handler)


def write(path: Path, times_s: dict[int, float], *, spread: float = 0.001, variant: str = "fp32") -> Path:
    """A sweep whose visits scatter by `spread` around the time of each batch size."""
    rounds = tuple(
        CellRound(
            cell=BenchCell(execution=ExecutionConfig(variant=variant), batch_size=size),
            i_round=i,
            service_times_s=np.full(2, time_s * (1.0 + spread * (-1) ** i)),
            lost_ratio=0.0,
            dropped_ratio=0.0,
        )
        for size, time_s in times_s.items()
        for i in range(6)
    )
    cells = tuple(summarise_cell(visits) for visits in by_cell(rounds).values())
    write_bench(path, BenchRun(machine=read_machine(), rounds=rounds, cells=cells, caveats=()))
    return path


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return write(tmp_path / "before.parquet", {1: 1e-3, 8: 4e-3, 16: 8e-3})


@pytest.fixture
def after(tmp_path: Path) -> Path:
    return write(tmp_path / "after.parquet", {1: 1e-3, 8: 4.4e-3, 32: 16e-3})


def test_a_slower_cell_fails_the_check_and_is_named(
    before: Path, after: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["compare", str(before), str(after)]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("1 slower, 0 faster, 1 with no change beyond 3.0%, 0 too noisy to say\n")
    assert "only in the first" in said.out
    assert "error: fp32 CPU, threads 1, sessions 1, batch 8 is slower: ×1.100" in said.err


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--fail-on", "none"], 0),
        (["--threshold", "15%"], 0),
        (["--threshold", "15%", "--fail-on", "slower,missing"], 1),
        (["--fail-on", "faster"], 0),
        (["--fail-on", "worse"], 2),
        (["--threshold", "0.15"], 2),
    ],
    ids=["nothing", "a wider threshold", "what is missing", "what is faster", "no such finding", "no share"],
)
def test_what_fails_the_check_is_what_was_asked_for(before: Path, after: Path, options: list[str], code: int) -> None:
    assert run_command_line(["compare", str(before), str(after), *options]) == code


def test_a_faster_one_passes(before: Path, after: Path) -> None:
    assert run_command_line(["compare", str(after), str(before)]) == 0


def test_noise_alone_is_an_invalid_measurement(tmp_path: Path, before: Path) -> None:
    wild = write(tmp_path / "wild.parquet", {1: 1e-3}, spread=0.3)
    assert run_command_line(["compare", str(before), str(wild)]) == 3


def test_json_is_one_object_with_figures_in_si_units(
    before: Path, after: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["compare", str(before), str(after), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "loadplan.compare/1"
    slower = document["cells"][1]
    assert (slower["variant"], slower["n_threads"], slower["batch_size"], slower["change"]) == ("fp32", 1, 8, "slower")
    assert slower["ratio_low"] < 1.1 < slower["ratio_high"]
    assert slower["p_value"] < 0.001
    assert [cell["batch_size"] for cell in document["only_in_base"]] == [16]
    assert [cell["batch_size"] for cell in document["only_in_head"]] == [32]
    assert "batch 8 is slower" in document["failure"]["what"]


def test_junit_has_a_case_per_cell(tmp_path: Path, before: Path, after: Path) -> None:
    assert run_command_line(["compare", str(before), str(after), "--junit", str(tmp_path / "junit.xml")]) == 1
    suite = Xml.parse(tmp_path / "junit.xml").getroot()[0]
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "3", "failures": "1", "errors": "0", "skipped": "1"}
    outcomes = {str(case.get("name")).rsplit(" ", 1)[1]: [child.tag for child in case] for case in suite}
    assert outcomes == {"1": [], "8": ["failure"], "16": ["skipped"]}


def test_text_that_xml_cannot_write_and_marks_are_harmless(tmp_path: Path) -> None:
    name = 'a\x00\x1b<b>&"\ufffe'
    write_junit(tmp_path / "j.xml", suite="s", cases=[CheckedCase(name=name, outcome="failure", message=name)])
    (case,) = Xml.parse(tmp_path / "j.xml").getroot()[0]
    assert case.get("name") == 'a\ufffd\ufffd<b>&"\ufffd'


def test_what_is_no_benchmark_is_named(tmp_path: Path, before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.parquet").write_text("no columns")
    assert run_command_line(["compare", str(before), str(tmp_path / "text.parquet")]) == 2
    assert "text.parquet" in capsys.readouterr().err
    assert run_command_line(["compare", str(tmp_path), str(before)]) == 2
    assert "not a run folder" in capsys.readouterr().err
