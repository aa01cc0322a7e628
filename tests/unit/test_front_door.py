"""`import loadplan`: every name is there, typed, and costs nothing before it is used."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import loadplan
from loadplan.cli import measure
from loadplan.cli.options import parse_counts
from loadplan.units import parse_duration

FOLDER = Path(loadplan.__file__).parent
NAMES = [name for name in loadplan.__all__ if name != "__version__"]


def stub() -> dict[str, str]:
    """Names of the stub, and the modules that it has them from."""
    tree = ast.parse((FOLDER / "__init__.pyi").read_text())
    return {
        alias.name: node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_what_type_checkers_are_told_it_is(name: str) -> None:
    assert getattr(loadplan, name) is getattr(import_module(stub()[name]), name)


def test_type_checkers_are_told_of_every_name_and_no_other() -> None:
    assert sorted(stub()) == sorted(NAMES)
    assert set(NAMES) <= set(dir(loadplan))


def test_no_name_is_that_of_a_module_below_which_would_hide_it() -> None:
    below = {path.stem for path in FOLDER.iterdir() if path.suffix in {"", ".py"}}
    assert below & set(NAMES) == set()


def test_what_is_not_there_is_missing_as_everywhere() -> None:
    with pytest.raises(AttributeError, match="'loadplan' has no attribute 'walk'"):
        loadplan.walk  # type: ignore[attr-defined]  # noqa: B018


def test_the_import_loads_nothing_and_a_scenario_no_vendor_of_measurement_or_show(tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text("schema: 1\ntraffic: {peak_rps: 100}\nobjectives:\n  - {p99_ms: 50}\n")
    script = (
        "import sys; import loadplan; "
        "print(sorted(name for name in sys.modules if name.startswith('loadplan'))); "
        "loadplan.read_scenario('plain.yaml').traffic.peak_rps; "
        "print(sorted({'onnxruntime', 'locust', 'plotly', 'typer', 'pandas', 'duckdb', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(FOLDER.parent)},
    )  # fmt: skip
    assert done.stdout.splitlines() == ["['loadplan']", "[]"]


def test_a_benchmark_from_python_measures_what_the_command_does() -> None:
    of_function = inspect.signature(loadplan.bench_model).parameters
    of_command = inspect.signature(measure.bench).parameters
    assert of_function["batch_sizes"].default == parse_counts(of_command["batch_sizes"].default, "")
    assert of_function["n_threads"].default == parse_counts(of_command["threads"].default, "")
    assert of_function["providers"].default == (of_command["providers"].default,)
    assert of_function["budget_s"].default == parse_duration(of_command["budget"].default)


def test_a_load_run_from_python_is_by_default_what_the_command_drives() -> None:
    asked, of_command = loadplan.LoadRequest(), inspect.signature(measure.load).parameters
    assert asked.duration_s == parse_duration(of_command["duration"].default)
    assert asked.max_rate_rps == of_command["max_rps"].default
    assert asked.seed == of_command["seed"].default
