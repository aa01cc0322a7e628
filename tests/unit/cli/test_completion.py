"""What a Tab offers, in the shells themselves; those that this machine lacks are skipped."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from loadplan.cli.app import run_command_line

ROOT = Path(__file__).parents[3]
FILES = ROOT / "loadplan" / "cli" / "completions"


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} here")
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("shop.yaml", "shop.yml", "model.onnx", "notes.txt", "prices.csv", "with space.yaml"):
        (tmp_path / name).touch()
    (tmp_path / "results").mkdir()
    return tmp_path


def offered_by_bash(line: str, folder: Path) -> list[str]:
    """What bash is given for the last word, as readline parts the line: at blanks, and at `=` as a word of its own."""
    words = [word for part in line.split(" ") for word in (re.split("(=)", part) if part else [""])]
    if line.endswith("="):
        words = words[:-1]
    script = (
        f"source {FILES / 'loadplan.bash'}; COMP_WORDS=({' '.join(f'{word!r}' for word in words)}); "
        f'COMP_CWORD={len(words) - 1}; _loadplan; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run([shell("bash"), "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return sorted(line for line in done.stdout.splitlines() if line)


def test_the_files_are_those_of_the_command_tree(tmp_path: Path) -> None:
    """Else: `python tools/build_completions.py`."""
    subprocess.run([sys.executable, ROOT / "tools" / "build_completions.py", tmp_path], check=True, cwd=ROOT)
    for name in ("bash", "zsh", "fish"):
        assert (FILES / f"loadplan.{name}").read_text() == (tmp_path / f"loadplan.{name}").read_text()


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_command_prints_the_file_of_each_shell(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["completion", name]) == 0
    shipped = resources.files("loadplan.cli").joinpath(f"completions/loadplan.{name}").read_text()
    assert capsys.readouterr().out == shipped


def test_another_shell_is_a_mistake_that_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["completion", "csh"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "error: Invalid value for 'SHELL': 'csh' is not one of 'bash', 'zsh', 'fish'."
    assert said[2] == "fix:   see `loadplan completion --help`"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        pytest.param("loadplan ben", ["bench"], id="a command"),
        pytest.param("loadplan catalog va", ["validate"], id="a command of a group"),
        pytest.param("loadplan run --un", ["--until"], id="an option"),
        pytest.param("loadplan --v", ["--version"], id="an option of loadplan itself"),
        pytest.param("loadplan catalog list --pro", ["--provider"], id="an option of a command of a group"),
        pytest.param("loadplan run --until ver", ["verify"], id="a value there are few of"),
        pytest.param("loadplan run --until=ver", ["verify"], id="one behind an equals sign"),
        pytest.param("loadplan serve --inference=", ["auto", "inline", "thread"], id="all of them"),
        pytest.param("loadplan completion ", ["bash", "fish", "zsh"], id="an argument there are few of"),
        pytest.param("loadplan run ", ["results", "shop.yaml", "shop.yml", "with space.yaml"], id="scenarios"),
        pytest.param("loadplan run shop", ["shop.yaml", "shop.yml"], id="scenarios by their beginning"),
        pytest.param("loadplan run notes", ["notes.txt"], id="a scenario that ends otherwise"),
        pytest.param("loadplan report ", ["results"], id="run folders"),
        pytest.param("loadplan bench mo", ["model.onnx"], id="models"),
        pytest.param(
            "loadplan plan shop.yaml --capacities ", ["prices.csv", "results"], id="a list behind an argument"
        ),
        pytest.param("loadplan bench --budget 5s mo", ["model.onnx"], id="an argument behind an option with a value"),
        pytest.param("loadplan bench --budget=5s mo", ["model.onnx"], id="with an equals sign"),
        pytest.param("loadplan load --rate ", [], id="a number nobody can guess"),
        pytest.param("loadplan report results no", [], id="one argument too many"),
        pytest.param("loadplan nonsense --", [], id="no command"),
    ],
)
def test_bash_offers(line: str, offered: list[str], folder: Path) -> None:
    assert offered_by_bash(line, folder) == offered


def test_a_person_at_bash_types_a_command_with_few_letters(folder: Path) -> None:
    """Through readline, with a real Tab and a file whose name has a space."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execve(
            shell("bash"), ["bash", "--norc", "--noprofile", "-i"], {"PS1": "$ ", "TERM": "dumb", "HOME": str(folder)}
        )
    try:
        show = "loadplan() { printf '<%s>' \"$@\"; echo END; }"
        typed = f"source {FILES / 'loadplan.bash'}; {show}; echo READY''\n"
        os.write(terminal, typed.encode())
        read_until(terminal, "READY\r\n")
        os.write(terminal, b"loadplan ru\twi\t--unt\tver\t\n")
        assert "<run><with space.yaml><--until><verify>END" in read_until(terminal, "END\r\n")
    finally:
        os.write(terminal, b"exit\n")
        os.waitpid(child, 0)
        os.close(terminal)


def read_until(terminal: int, wanted: str) -> str:
    said = ""
    while wanted not in said:
        ready, _, _ = select.select([terminal], [], [], 30.0)
        assert ready, f"bash fell silent after: {said}"
        said += os.read(terminal, 4096).decode()
    return said


def test_fish_offers(folder: Path) -> None:
    def offered(line: str) -> list[str]:
        script = f"source {FILES / 'loadplan.fish'}; complete -C {line!r}"
        done = subprocess.run(
            [shell("fish"), "--no-config", "-c", script], cwd=folder, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return [line.partition("\t")[0] for line in done.stdout.splitlines()]

    assert offered("loadplan ben") == ["bench"]
    assert offered("loadplan catalog va") == ["validate"]
    assert offered("loadplan run --un") == ["--until"]
    assert offered("loadplan run --until ver") == ["verify"]
    assert "shop.yaml" in offered("loadplan run sh")
    assert offered("loadplan report re") == ["results/"]
    assert offered("loadplan load --rate ") == []


def test_zsh_takes_the_file(folder: Path) -> None:
    script = f"autoload -Uz compinit && compinit -u -D; source {FILES / 'loadplan.zsh'}; print -r -- $_comps[loadplan]"
    done = subprocess.run([shell("zsh"), "-f", "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("_loadplan", "")
