"""The script for a rented machine, run by a real bash on a machine whose commands are made up."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from loadplan.pipeline.rental import Rental
from loadplan.pipeline.rental_script import rental_script, write_rental_script
from tests.unit.catalog.test_rules import offer

# Each writes down how it was called. `python3.13` makes a venv whose python and loadplan do so as well.
COMMANDS = {
    "id": "echo 1000",
    "sudo": 'shift; exec "$@"',
    "shutdown": 'echo "shutdown $*" >>"$CALLS"; [ -z "${STUCK:-}" ]',
    "curl": 'echo "curl $*" >>"$CALLS"',
    "python3.13": """
        if [ "$1" = -m ]; then
            echo "venv" >>"$CALLS"
            mkdir -p venv/bin
            cp "$FAKES/pip" venv/bin/python
            cp "$FAKES/loadplan" venv/bin/loadplan
        fi""",
    "pip": 'echo "pip $*" >>"$CALLS"; [ -z "${NO_NETWORK:-}" ] || { echo "no network" >&2; exit 1; }',
    "loadplan": 'echo "loadplan $*" >>"$CALLS"; [ -z "${NOISY:-}" ] || exit 3; echo profile >"${@: -1}"',
}
RENTAL = Rental(
    offer=offer("c7i.large", "0.08925"),
    measured_minutes=5,
    minutes=20,
    usd=Decimal("0.03"),
    most_minutes=50,
    most_usd=Decimal("0.08"),
    is_free_when_off=True,
    folder=Path("/home/me/my shop"),
    file="my shop.yaml",
    requirement="loadplan[cpu,sklearn]==0.1.0",
    profile="shop-c7i.large.parquet",
    commands=("scp there", "plan at home"),
)
OFF_AT_THE_LIMIT, OFF_SOON = "shutdown -h +50", "shutdown -h +10"
PIP = "pip -m pip install --quiet --disable-pip-version-check loadplan[cpu,sklearn]==0.1.0"
LOADPLAN = "loadplan profile my shop.yaml --out shop-c7i.large.parquet"

Run = Callable[..., tuple["subprocess.CompletedProcess[str]", list[str]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run(STUCK="1")` runs the script with these in its environment; what it said, and what was called."""
    fakes, there = tmp_path / "fakes", tmp_path / "measured"
    fakes.mkdir()
    there.mkdir()

    def run_script(found: Rental = RENTAL, fake: dict[str, str] | None = None, **environment: str):  # type: ignore[no-untyped-def]
        for name, text in {**COMMANDS, **(fake or {})}.items():
            (fakes / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
            (fakes / name).chmod(0o755)
        write_rental_script(there / "rented.sh", found)
        calls = tmp_path / "calls"
        variables = {"PATH": f"{fakes}:{os.defpath}", "FAKES": str(fakes), "CALLS": str(calls), **environment}
        done = subprocess.run(
            ["bash", str(there / "rented.sh")], env=variables, capture_output=True, text=True, check=False
        )
        return done, calls.read_text().splitlines() if calls.exists() else []

    return run_script


def test_it_says_what_it_costs_before_all_else_measures_and_switches_the_machine_off(run: Run, tmp_path: Path) -> None:
    done, calls = run()

    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[0] == (
        "aws/c7i.large in us-east-1: $0.08925 an hour, about 20 minutes for $0.03, 50 at most for $0.08"
    )
    assert calls == [OFF_AT_THE_LIMIT, "venv", PIP, LOADPLAN, OFF_SOON]
    assert (tmp_path / "measured" / "shop-c7i.large.parquet").read_text() == "profile\n"
    assert "switches itself off in 10 minutes. Off, it costs its disk until you delete it." in done.stdout
    assert (tmp_path / "measured" / "rented.log").read_text() == done.stdout


@pytest.mark.parametrize(
    ("what", "code", "calls_between"),
    [({"NO_NETWORK": "1"}, 1, ["venv", PIP]), ({"NOISY": "1"}, 3, ["venv", PIP, LOADPLAN])],
    ids=["nothing can be installed", "a noisy machine"],
)
def test_after_a_failure_it_switches_the_machine_off_too(
    run: Run, what: dict[str, str], code: int, calls_between: list[str]
) -> None:
    done, calls = run(**what)

    assert done.returncode == code
    assert calls == [OFF_AT_THE_LIMIT, *calls_between, OFF_SOON]
    assert f"it ended with exit code {code}" in done.stdout


def test_a_machine_that_cannot_be_switched_off_from_inside_measures_nothing(run: Run) -> None:
    done, calls = run(STUCK="1")

    assert done.returncode == 4
    assert calls == [OFF_AT_THE_LIMIT]
    assert "nothing is measured on it: delete it yourself" in done.stdout


def test_what_takes_longer_than_the_limit_is_cut(run: Run) -> None:
    """It has what is left of 40 minutes after the installation, and the machine goes off all the same."""
    done, calls = run(fake={"timeout": 'echo "timeout $2" >>"$CALLS"; exit 124'})

    assert done.returncode == 124
    *_, cut, off = calls
    assert 2_000 < int(cut.removeprefix("timeout ")) <= 2_400
    assert off == OFF_SOON


def test_the_profile_is_uploaded_where_a_place_is_named_and_nobody_is_waited_for(run: Run) -> None:
    done, calls = run(PUT_URL="https://bucket.example/x?signed")

    assert done.returncode == 0, done.stdout
    assert calls[-2:] == [
        "curl --fail --silent --show-error --upload-file shop-c7i.large.parquet https://bucket.example/x?signed",
        "shutdown -h +1",
    ]


def test_another_build_is_installed_where_one_is_named(run: Run) -> None:
    done, calls = run(LOADPLAN="./loadplan-9-py3-none-any.whl[cpu]")

    assert done.returncode == 0, done.stdout
    assert calls[2] == PIP.replace("loadplan[cpu,sklearn]==0.1.0", "./loadplan-9-py3-none-any.whl[cpu]")


def test_without_a_python_that_does_it_says_which_image_has_one(run: Run) -> None:
    wrong = dict.fromkeys(("python3.13", "python3.12", "python3.11", "python3"), "exit 1")
    done, calls = run(fake=wrong)

    assert done.returncode == 4
    assert "Ubuntu 24.04" in done.stdout
    assert calls == [OFF_AT_THE_LIMIT, OFF_SOON]


def test_where_a_machine_that_is_off_costs_as_before_it_says_so(run: Run) -> None:
    done, _ = run(replace(RENTAL, is_free_when_off=False))

    assert "Off, it costs as before: aws bills it until you delete it." in done.stdout


def test_the_commands_copy_run_and_fetch(tmp_path: Path) -> None:
    script = tmp_path / "rented.sh"

    assert write_rental_script(script, RENTAL) == (
        "scp -r '/home/me/my shop' HOST:measured",
        f"scp {script} HOST:measured/rented.sh",
        "ssh HOST bash measured/rented.sh",
        "scp HOST:measured/shop-c7i.large.parquet .",
        "plan at home",
    )


def test_no_name_is_taken_for_a_command(tmp_path: Path) -> None:
    """Bash reads the head of the script, and says what the names are."""
    odd = replace(RENTAL, file='$(touch gone); it\'s "x".yaml')
    head = rental_script(odd).split("\n\n")[0]
    done = subprocess.run(
        ["bash", "-c", f'{head}\nprintf %s "$SCENARIO"'], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout == odd.file
    assert not list(tmp_path.iterdir())
