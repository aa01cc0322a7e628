"""`loadplan report` on the folder of a run: kept, made anew, in several files, and the same after a stop."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from loadplan.cli.app import run_command_line
from loadplan.errors import InvalidMeasurement
from loadplan.pipeline import steps
from loadplan.pipeline.artifacts import read_findings
from loadplan.pipeline.observer import Nobody
from loadplan.pipeline.resume import report_again
from loadplan.pipeline.stage import NO_PRICES, Road
from loadplan.report import assets
from loadplan.report.assets import maker_digest
from loadplan.report.findings import Findings
from loadplan.store.run_folder import hold_run_folder
from tests.unit.report.planned_run import NOW, write_findings
from tests.unit.report.reading import answer, everything

Capture = pytest.CaptureFixture[str]


class Told(Nobody):
    """Keeps how each stage ended."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def end(self, stage: str, outcome: str) -> None:
        self.outcomes.append(outcome)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadplan.clock.utc_now", lambda: datetime(2026, 11, 24, tzinfo=UTC))


@pytest.fixture
def run(tmp_path: Path, findings: Findings) -> Path:
    return write_findings(tmp_path, findings)


def stop(run: Path, why: str) -> None:
    """Write the report of a walk that came so far and was ended by this."""
    with hold_run_folder(run, now=NOW) as folder:
        known = read_findings(folder)
        road = Road(
            folder=folder,
            scenario=known.scenario,
            scenario_file="digits.yaml",
            scenario_text="",
            machine=known.machine,
            observer=Nobody(),
            as_of=NOW.date(),
            prices=NO_PRICES,
        )
        steps.report(road, known, InvalidMeasurement(what=why, where="load", fix="wait for quiet"))


def outcomes(run: Path) -> list[str]:
    told = Told()
    report_again(run, observer=told)
    return told.outcomes


def test_a_page_is_kept_until_what_makes_it_changes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report_again(run)
    before = (run / "report.html").read_bytes()
    assert outcomes(run) == ["unchanged, kept"]
    monkeypatch.setattr(steps, "maker_digest", lambda: "another loadplan")
    assert outcomes(run) != ["unchanged, kept"]
    assert (run / "report.html").read_bytes() == before


@pytest.mark.parametrize(
    "changed", ["template/page.css", "template/page.html.jinja", "vendor/plotly-cartesian.min.js.gz", "answer.py"]
)
def test_whatever_makes_a_page_is_in_the_hash_of_its_maker(tmp_path: Path, changed: str) -> None:
    package = Path(assets.__file__).parent
    copy = shutil.copytree(package, tmp_path / "report", ignore=shutil.ignore_patterns("__pycache__"))
    assert maker_digest(copy) == maker_digest()
    (copy / changed).write_bytes((copy / changed).read_bytes() + b" ")
    assert maker_digest(copy) != maker_digest()


def test_what_python_compiled_is_not_in_the_hash(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("a = 1\n")
    before = maker_digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    assert maker_digest(tmp_path) == before


def test_a_run_that_was_stopped_says_why_however_often_its_page_is_written(tmp_path: Path, findings: Findings) -> None:
    run = write_findings(tmp_path, replace(findings, fit=None, plan=None, verdict=None, verification=None))
    stop(run, "the generator's core was taken")
    first = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    report_again(run)
    assert (run / "report.html").read_bytes() == first
    said = answer(first.decode())
    assert "STOPPED" in said
    assert "the generator's core was taken; wait for quiet" in said


def test_what_stopped_an_earlier_walk_is_not_said_of_a_run_that_came_further(
    tmp_path: Path, findings: Findings
) -> None:
    run = write_findings(tmp_path, replace(findings, plan=None, verdict=None, verification=None))
    stop(run, "the generator's core was taken")
    write_findings(tmp_path, findings)
    report_again(run)
    page = (run / "report.html").read_text()
    assert "the generator's core was taken" not in page
    assert "PASS" in answer(page)


def test_the_versions_on_the_page_are_those_that_did_the_work(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("stage", "steps"):
        monkeypatch.setattr(f"loadplan.pipeline.{module}.versions", lambda: {"numpy": "99.9"})
    report_again(run)
    page = everything((run / "report.html").read_text())
    assert "numpy 2.4" in page
    assert "numpy 99.9" not in page


def test_a_page_for_viewers_that_forbid_scripts_lies_in_a_folder_of_its_own(run: Path, capsys: Capture) -> None:
    assert run_command_line(["report", str(run), "--assets", "split", "--quiet"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == run / "report" / "report.html"
    assert {file.name for file in path.parent.iterdir()} == {"report.html", "report.css", "report.js", "plotly.js"}
    first = path.read_bytes()
    assert run_command_line(["report", str(run), "--quiet"]) == 0
    assert everything(first.decode()) == everything((run / "report.html").read_text())
    assert run_command_line(["report", str(run), "--assets", "split", "--quiet"]) == 0
    assert path.read_bytes() == first


def test_assets_lie_in_the_page_or_beside_it(run: Path, capsys: Capture) -> None:
    assert run_command_line(["report", str(run), "--assets", "elsewhere"]) == 2
    assert "inline" in capsys.readouterr().err
