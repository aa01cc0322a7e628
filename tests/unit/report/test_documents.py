"""What `--json` prints: one object whatever happens, and a reason for every figure that is null."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from loadplan.cli import documents
from loadplan.cli.app import app, run_command_line
from loadplan.cli.figures import Document
from loadplan.errors import InvalidMeasurement, LoadplanError, ObjectiveMissed
from loadplan.load.verdict import clean_latency_summary, latency_summary, send_delay_summary
from loadplan.pipeline import resume, road
from loadplan.pipeline.road import RoadEnd
from loadplan.plan.records.fleet import Plan
from loadplan.plan.records.overdispersed import OverdispersedCase
from loadplan.report.findings import Findings

# What ends so is a figure: COMMANDS promises its unit there.
UNITS = ("_s", "_ms", "_rps", "_ratio", "_bytes", "_hz", "_w", "_j", "_gb", "_gib", "_hour", "_month", "_low", "_high")
FIGURES = {"mean", "p50", "p90", "p95", "p99", "p99_9", "max", "median", "number", "p_value", "value", "ratio"}


def null_figures(document: object, path: str = "") -> Iterator[tuple[str, bool]]:
    """Every figure that is null, and whether a reason stands beside it; of an interval one reason is enough."""
    if isinstance(document, list):
        for i, one in enumerate(document):
            yield from null_figures(one, f"{path}[{i}]")
    if isinstance(document, dict):
        for name, value in document.items():
            yield from null_figures(value, f"{path}.{name}")
            is_figure = name in FIGURES or name.endswith(UNITS) or name.startswith("n_")
            if value is None and is_figure:
                reasons = (f"{name}_reason", f"{name.removesuffix('_high')}_low_reason")
                yield f"{path}.{name}", any(document.get(reason) for reason in reasons)


def load_document(known: Findings, i: int) -> Document:
    assert known.loads is not None
    run = known.loads[i]
    valid = run.verdict.valid
    response, clean = (latency_summary(run), clean_latency_summary(run)) if valid else (None, None)
    return documents.load_document(run, response, clean, send_delay_summary(run))


def all_documents(known: Findings) -> dict[str, Any]:
    assert known.export is not None
    assert known.bench is not None
    assert known.fit is not None
    assert known.plan is not None
    assert known.verdict is not None
    nothing_then = OverdispersedCase(
        arrivals="gamma, cv 2", usable_ratio=0.1, n_replicas=None, usd_per_month=None,
        cheapest_offer=None, cheapest_n_replicas=None, cheapest_usd_per_month=None,
    )  # fmt: skip
    few = tuple(replace(cell, p90_s=None, p99_s=None) for cell in known.bench.cells)
    end = RoadEnd(findings=known, folder=Path("results/x"), report=None, failure=None)
    return {
        "run": documents.run_document(end),
        "export": documents.export_document(known.export, Path("results/x")),
        "bench": documents.bench_document(replace(known.bench, cells=few)),
        "load": load_document(known, 0),
        "fit": documents.fit_document(known.fit),
        "plan": documents.plan_document(known.plan),
        "plan without prices": documents.plan_document(replace(known.plan, oldest_price_date=None)),
        "plan in clusters": documents.plan_document(replace(known.plan, overdispersed=nothing_then)),
        "verify": documents.verify_document(known.verdict),
        "verify too few": documents.verify_document(
            replace(known.verdict, measured_p99_s=None, measured_p99_interval=None, prediction_held=None)
        ),
    }


@pytest.mark.parametrize("name", ["findings", "invalid"])
def test_a_figure_that_cannot_be_had_says_why(name: str, request: pytest.FixtureRequest) -> None:
    n_null = 0
    for command, document in all_documents(request.getfixturevalue(name)).items():
        found = list(null_figures(json.loads(json.dumps(document, allow_nan=False)), command))
        assert [path for path, has_reason in found if not has_reason] == []
        n_null += len(found)
    assert n_null > 10  # else nothing was looked at


@pytest.mark.parametrize(
    "words",
    [["show", "t3.large"], ["show", "g5.xlarge"], ["list", "--provider", "nobody"], ["diff"]],
    ids=["a burstable type", "a type with a GPU", "no offer at all", "nothing imported"],
)
def test_so_does_one_of_the_catalogue(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["catalog", *words, "--json"]) == 0
    found = list(null_figures(json.loads(capsys.readouterr().out)))
    assert [path for path, has_reason in found if not has_reason] == []


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_mistake_in_any_command_is_one_object(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line([*command, "--no-such-option", "--json"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == "loadplan.error/1"
    assert said["fix"]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_that_finds_something_takes_json(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """But the server, which finds nothing and logs with --log-format json."""
    assert run_command_line([*command, "--help"]) == 0
    assert ("--json" in capsys.readouterr().out) is (command != ("serve",))


FAILURES = [
    ObjectiveMissed(what="no variant is left", where="the export", fix="allow more"),
    InvalidMeasurement(what="it was loud", where="the bench", fix="be quiet"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=["missed", "invalid"])
@pytest.mark.parametrize("command", ["export", "bench", "plan", "profile"])
def test_a_walk_that_ends_before_there_is_anything_to_show_prints_why_as_the_object(
    command: str,
    failure: LoadplanError,
    findings: Findings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    nothing = replace(findings, export=None, bench=None, loads=None, fit=None, plan=None, verdict=None)
    end = RoadEnd(findings=nothing, folder=Path("x"), report=None, failure=failure)
    monkeypatch.setattr(road, "run", lambda *_, **__: end)
    assert run_command_line([command, "shop.yaml", "--json"]) == failure.exit_code
    said = capsys.readouterr()
    assert json.loads(said.out) == {
        "schema": "loadplan.error/1",
        "what": failure.what,
        "where": failure.where,
        "fix": failure.fix,
    }
    assert said.err.count("error: ") == 1


def test_an_object_that_was_printed_is_the_only_one(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plan that nothing meets ends in 1 after its own object; a run that can't be verified has none but the error."""
    monkeypatch.setattr(resume, "plan_again", lambda *_, **__: replace(plan, feasible=False, recommended=None))
    assert run_command_line(["plan", str(tmp_path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["schema"] == "loadplan.plan/1"

    def elsewhere(*_: object, **__: object) -> None:
        raise FAILURES[1]

    monkeypatch.setattr(resume, "verify_again", elsewhere)
    assert run_command_line(["verify", str(tmp_path), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["schema"] == "loadplan.error/1"
