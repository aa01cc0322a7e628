"""Runs the user's factory: a function in a Python file beside the scenario. To name it in the scenario is to trust it.

The module is loaded from its file under a name of its own, so it can't shadow an installed package, and the folder is
importable only while it runs: two scenarios with a `helpers.py` each don't meet in one process.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, ModuleType

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import EnvironmentFault, InputError, LoadplanError
from loadplan.export.frame import is_frame, problem_of_frame
from loadplan.export.source import TrainedModel
from loadplan.export.tensors import problem_of_tensors
from loadplan.scenario.spec import ModelSource, ModelSourceKind

# The import name of each framework that an extra brings.
_EXTRA_OF_PACKAGE = {
    "sklearn": "sklearn",
    "skl2onnx": "sklearn",
    "skops": "sklearn",
    "onnx": "sklearn",
    "onnxmltools": "boosting",
    "xgboost": "boosting",
    "lightgbm": "boosting",
    "torch": "torch",
    "onnxscript": "torch",
    "safetensors": "transformers",
    "transformers": "transformers",
}
_ROWS_WANTED: Mapping[ModelSourceKind, str] = MappingProxyType(
    {
        "torch": "return held-out rows as an array of finite numbers, or a mapping from the name of each input to one",
        "transformers": "return held-out sentences: TrainedModel(estimator=TextEncoder(…), rows=[…])",
    }
)
_TABLE_WANTED = "return held-out rows as a table of finite numbers; a DataFrame may have columns of text as well"


def build_model(source: ModelSource) -> TrainedModel:
    """Call the factory and look its answer over.

    Raises:
        InputError: when the file, the function or what it returns can't be used, or the factory fails.
        EnvironmentFault: when the factory imports a package that isn't installed.
    """
    assert source.factory is not None  # noqa: S101 -- the scenario's reader sees to it
    module_name, _, function_name = source.factory.partition(":")
    path = Path(source.folder) / f"{module_name}.py"
    where = f"{path}, {function_name}()"
    if not path.is_file():
        raise InputError(
            what=f"there is no file {path.name} for the factory {source.factory!r}",
            where=source.folder,
            fix="put the module beside the scenario file, or correct model.factory",
        )
    try:
        # What the user's code prints is for people, and standard output may be for a machine.
        with importable(path.parent), redirect_stdout(sys.stderr):
            trained = _function(path, function_name)()
    except LoadplanError:
        raise
    except ModuleNotFoundError as error:
        raise missing_package(error, where) from error
    except (Exception, SystemExit) as error:  # whatever the user's own code raises is the user's to mend
        raise InputError(
            what=f"the factory failed with {type(error).__name__}: {str(error)[:300]}",
            where=where,
            fix="run the function alone in Python and mend it",
        ) from error
    return _checked(trained, source.kind, where)


def missing_package(error: ModuleNotFoundError, where: str) -> EnvironmentFault:
    """Which installation brings the package that could not be imported."""
    package = (error.name or "?").partition(".")[0]
    extra = _EXTRA_OF_PACKAGE.get(package)
    fix = f'run: pip install "loadplan[{extra}]"' if extra else f"install {package}, which the factory imports"
    return EnvironmentFault(what=f"the package {package} is not installed", where=where, fix=fix)


def _function(path: Path, name: str) -> Callable[[], object]:
    function = getattr(_load(path), name, None)
    if not callable(function):
        raise InputError(
            what=f"{path.name} has no function {name}",
            where=str(path),
            fix="define it, or correct model.factory",
        )
    return function  # type: ignore[no-any-return]  # callable() is all that can be known before the call


def _load(path: Path) -> ModuleType:
    name = f"loadplan_factory_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101  # a .py file always has a loader
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look a class's module up here
    spec.loader.exec_module(module)
    return module


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let the factory import its neighbours; afterwards neither the folder nor they can be imported by others."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if not name.startswith("loadplan") and file is not None and Path(file).is_relative_to(folder):
                del sys.modules[name]


def _checked(trained: object, kind: ModelSourceKind, where: str) -> TrainedModel:
    if not isinstance(trained, TrainedModel):
        raise InputError(
            what=f"the factory returned {type(trained).__name__}, not a TrainedModel",
            where=where,
            fix="return loadplan.export.source.TrainedModel(estimator=…, rows=…)",
        )
    problem = problem_of_rows(trained, kind)
    if problem is not None:
        raise InputError(what=problem, where=where, fix=_ROWS_WANTED.get(kind, _TABLE_WANTED))
    beside = (("labels", trained.labels), ("segments", trained.segments), ("groups", trained.groups))
    for name, values in beside:
        if values is not None and len(values) != trained.n_rows:
            raise InputError(
                what=f"the factory returned {trained.n_rows} rows and {len(values)} {name}",
                where=where,
                fix=f"return one of the {name} for each row, or none at all",
            )
    return replace(trained, labels=None if trained.labels is None else _as_array(trained.labels))


def _as_array(labels: object) -> NDArray[np.generic]:
    """The labels of a Series too, and words as NumPy's text, which can be stored without running code."""
    values = np.asarray(labels)
    return values.astype(np.str_) if values.dtype.kind == "O" else values


def problem_of_rows(trained: TrainedModel, kind: ModelSourceKind) -> str | None:
    """What each source takes: tensors, sentences, or a table."""
    if trained.lengths is not None and kind != "torch":
        return f"lengths of rows mean nothing to source {kind}"
    if kind == "torch":
        return problem_of_tensors(trained.rows, trained.lengths)
    if kind == "transformers":
        return _problem_of_sentences(trained.rows)
    return problem_of_frame(trained.rows) if is_frame(trained.rows) else _problem_of_table(trained.rows)


def _problem_of_sentences(rows: object) -> str | None:
    if isinstance(rows, str) or not isinstance(rows, Sequence):
        return f"the rows are of the type {type(rows).__name__}, not a list of sentences"
    if not rows:
        return "there are no rows"
    row = next(
        (row for row, sentence in enumerate(rows) if not isinstance(sentence, str) or not sentence.strip()), None
    )
    return None if row is None else f"row {row} is {rows[row]!r:.40}, not a sentence"


def _problem_of_table(given: object) -> str | None:
    rows = np.asarray(given)
    if rows.ndim != 2 or 0 in rows.shape:
        return f"the rows have the shape {rows.shape}, not (rows, features)"
    if not (np.issubdtype(rows.dtype, np.number) or rows.dtype == np.bool_):
        return f"the rows are of the type {rows.dtype}, not numbers"
    with np.errstate(over="ignore", invalid="ignore"):
        n_not_finite = int((~np.isfinite(rows.astype(np.float32))).sum())
    return f"{n_not_finite} values of the rows are not finite in float32" if n_not_finite else None
