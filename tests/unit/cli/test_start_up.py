"""What a command loads before it does anything; how long that takes is printed by tests/performance/start_up.py."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]
# Everything that loadplan depends on, as it is imported, but typer, rich, and pydantic, with which typer reads values.
VENDORS = {
    *("cattrs", "duckdb", "gevent", "grpc", "h2", "hpack", "httptools", "jinja2", "locust", "numba", "numpy", "onnx"),
    *("onnxruntime", "orjson", "packaging", "pandas", "plotly", "prometheus_client", "psutil", "ruamel", "scipy"),
    *("sklearn", "uvicorn", "uvloop", "xlsxwriter"),
}
COMMANDS = (
    *("run", "quick", "init", "doctor", "export", "bench", "serve", "load", "profile", "fit", "plan", "verify"),
    *("report", "budget", "manifests", "compare", "gate", "catalog", "schema", "completion"),
)


def loaded_by(*commands: Sequence[str]) -> set[str]:
    """The packages that are loaded when these commands have ended, one after the other in one process."""
    script = (
        "import json, os, sys\n"
        "from loadplan.__main__ import main\n"
        "os.dup2(os.open(os.devnull, os.O_WRONLY), 1)\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['loadplan', *words]\n"
        "    try: main()\n"
        "    except SystemExit: pass\n"
        "sys.stderr.write('\\n' + json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(commands)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_the_version_is_told_before_anything_is_loaded() -> None:
    assert loaded_by(["--version"]) & {*VENDORS, "typer", "rich", "pydantic"} == set()


def test_help_loads_typer_alone() -> None:
    assert loaded_by(["--help"], ["-h"], []) & {*VENDORS, "pydantic", "rich"} == set()


def test_what_a_command_is_for_is_told_without_a_vendor() -> None:
    assert loaded_by(*([command, "--help"] for command in COMMANDS)) & VENDORS == set()


def test_a_mistake_in_the_command_line_is_told_without_a_vendor() -> None:
    mistakes = (["benhc"], ["run", "--fast"], ["run"], ["plan", "x.yaml", "--as-of", "May"], ["load", "--rate"])
    assert loaded_by(*mistakes) & VENDORS == set()


def test_completion_is_printed_without_a_vendor() -> None:
    assert loaded_by(["completion", "bash"]) & VENDORS == set()
