"""How long a command takes before it does anything: `python -m tests.performance.start_up [N]`. Prints.

CPU time, user and system, of whole processes: the middle of N (15) in turn, so that a busy moment of the machine meets
all of them. Wanted: 30 ms for `--version`, 320 ms for `--help`. Python alone stands beside them, and a Tab, which a
static file answers within bash.
"""

import os
import pty
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_COMPLETION = _ROOT / "loadplan" / "cli" / "completions" / "loadplan.bash"
_TAB = f"source {_COMPLETION}; COMP_WORDS=(loadplan run --unt); COMP_CWORD=2; _loadplan"


def main() -> None:
    """One line for each command."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    loadplan = [sys.executable, "-m", "loadplan"]
    commands: dict[str, Callable[[], None]] = {
        "python -c pass": lambda: _quietly([sys.executable, "-c", "pass"]),
        "loadplan --version": lambda: _quietly([*loadplan, "--version"]),
        "loadplan --help": lambda: _quietly([*loadplan, "--help"]),
        "loadplan --help on a terminal": lambda: _on_a_terminal([*loadplan, "--help"]),
        "loadplan load --help": lambda: _quietly([*loadplan, "load", "--help"]),
        "loadplan run --fast (a mistake)": lambda: _quietly([*loadplan, "run", "--fast"]),
        "loadplan completion bash": lambda: _quietly([*loadplan, "completion", "bash"]),
        "import loadplan": lambda: _quietly([sys.executable, "-c", "import loadplan"]),
    }
    if bash := shutil.which("bash"):
        commands["a Tab in a bash of its own"] = lambda: _quietly([bash, "-c", _TAB])
    taken_s: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(n):
        for name, command in commands.items():
            taken_s[name].append(_cpu_s(command))
    for name, times_s in taken_s.items():
        low_ms, middle_ms = 1e3 * min(times_s), 1e3 * statistics.median(times_s)
        sys.stdout.write(f"{name:<34} {middle_ms:6.0f} ms of CPU time (least {low_ms:.0f} ms)\n")


def _cpu_s(command: Callable[[], None]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _quietly(command: list[str]) -> None:
    subprocess.run(command, cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def _on_a_terminal(command: list[str]) -> None:
    """Where help is drawn in boxes."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(_ROOT)
        os.execv(command[0], command)
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:  # how a terminal says that its last process has left
        pass
    os.waitpid(child, 0)
    os.close(terminal)


if __name__ == "__main__":
    main()
