"""Writes a scenario file to begin with, about a model file where one is named."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from loadplan.errors import InputError
from loadplan.execution import TensorSpec
from loadplan.export.guard import inspect_model, require_regular
from loadplan.scenario.section import NAME_PATTERN
from loadplan.scenario.spec import ModelSourceKind
from loadplan.scenario.starter import StarterModel, starter_text
from loadplan.scenario.yaml_tree import has_control_character
from loadplan.store.files import write_text

# A pickle says nothing of who made it before it is opened, which nobody has allowed yet: most are of scikit-learn.
SOURCE_OF_SUFFIX: Mapping[str, ModelSourceKind] = MappingProxyType(
    {
        ".onnx": "onnx",
        ".skops": "sklearn",
        ".joblib": "sklearn",
        ".pkl": "sklearn",
        ".json": "xgboost",
        ".ubj": "xgboost",
        ".txt": "lightgbm",
        ".safetensors": "torch",
        ".pt": "torch",
        ".pth": "torch",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """A scenario file that was written."""

    path: Path
    inputs: tuple[TensorSpec, ...]  # of the model; none where there is none, or its file doesn't tell
    yours: tuple[str, ...]  # keys that only the user knows, such as `traffic.peak_rps`


def write_starter(out: Path, *, model: Path | None = None, may_replace: bool = False) -> Starter:
    """Write a scenario with every key in it; about a model file it names its source by its ending, and its inputs.

    Raises:
        InputError: when the file is there already and may not be replaced, its name can't name a folder of results,
            or the model's file is missing, hostile, or of no kind that is known by its ending.
        EnvironmentFault: when the file can't be written, or no usable ONNX Runtime is installed to look at a model.
    """
    _require_place(out, may_replace=may_replace)
    described = None if model is None else _described(model, folder=out.resolve().parent)
    made = starter_text(described)
    write_text(out, made.text)
    return Starter(path=out, inputs=() if described is None else described.inputs, yours=made.yours)


def _require_place(out: Path, *, may_replace: bool) -> None:
    if out.is_dir():
        raise InputError(what="this is a folder, not a file", where=str(out), fix="name a file, such as scenario.yaml")
    if re.fullmatch(NAME_PATTERN, out.stem) is None:
        raise InputError(
            what=f"results are kept in a folder of the scenario's name, and {out.stem!r:.60} can't name one",
            where=str(out),
            fix="use letters, digits, dots, dashes and underscores, such as scenario.yaml",
        )
    if out.exists() and not may_replace:
        raise InputError(
            what="there is such a file already", where=str(out), fix="name another with --out, or replace it: --force"
        )


def _described(model: Path, *, folder: Path) -> StarterModel:
    source = SOURCE_OF_SUFFIX.get(model.suffix.lower())
    if source is None:
        raise InputError(
            what=f"a file named {model.suffix or 'without an ending'} is no model that is known by its ending",
            where=str(model)[:200],
            fix=f"name a file that ends in one of {', '.join(SOURCE_OF_SUFFIX)}; or name none, and write `model` "
            "yourself",
        )
    if has_control_character(str(model.resolve())):
        raise InputError(
            what="the path of the model file has control characters in it, which no scenario may hold",
            where=repr(str(model))[:200],
            fix="rename it",
        )
    inputs: tuple[TensorSpec, ...] = ()
    if source == "onnx":
        inputs = inspect_model(model).inputs
    else:
        require_regular(model)
    return StarterModel(source=source, file=_named_from(folder, model.resolve()), inputs=inputs)


def _named_from(folder: Path, model: Path) -> str:
    """As the scenario's reader wants it: relative where it lies in the scenario's folder, else absolute."""
    return str(model.relative_to(folder) if model.is_relative_to(folder) else model)
