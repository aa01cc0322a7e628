"""A trained model in a file: skops, a pickle where the user trusts it, and the frameworks' own formats.

Opening a pickle (.pkl, .joblib) runs whatever code is in it, so none is opened unless the scenario says `trust: true`.
skops rebuilds objects of known types only; a file that holds others is refused with their names. The formats of the
tree libraries hold numbers and no code. What crashes a reader all the same ends a process that is there for it.
"""

import hashlib
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from loadplan.caveat import Caveat
from loadplan.errors import EnvironmentFault, InputError, LoadplanError, first_line
from loadplan.export.factory import importable, missing_package, problem_of_rows
from loadplan.export.guard import require_regular
from loadplan.export.source import TrainedModel
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_file import read_rows
from loadplan.scenario.spec import ModelSource, ModelSourceKind

_MAX_UNPACKED_BYTES = 2 << 30  # no graph that fits into one file is made of more
_SAVE_AGAIN = "save the model again; don't use a file that you don't trust"


def read_model(source: ModelSource) -> tuple[TrainedModel, tuple[Caveat, ...]]:
    """The model in the file with the rows of `model.payload`, and what is doubtful about it.

    Raises:
        InputError: when the file is missing, damaged, of another format, or would do what it isn't trusted to do; or
            when the rows don't fit the model.
        EnvironmentFault: when the package that reads it isn't installed.
    """
    path = _path(source)
    opener = _OPENERS.get((source.kind, path.suffix.lower()))
    if opener is None:
        known = ", ".join(suffix for kind, suffix in _OPENERS if kind == source.kind)
        raise InputError(
            what=f"a file named {path.suffix or 'without an ending'} holds no model of source {source.kind}",
            where=str(path),
            fix=f"name a file that ends in one of {known}",
        )
    trusts = source.trusts_file or bool(source.trusted_types)
    # Types of the user's own lie beside the model; only whom the user trusts may import them.
    found = importable(path.parent) if trusts else nullcontext()
    with _reading(path), found, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        estimator = opener(path, source)
    return _with_rows(estimator, source), _version_caveats([warning.message for warning in said])


def fill(trained: TrainedModel, source: ModelSource) -> None:
    """Load a file of weights into the module that the factory made.

    Raises:
        InputError: when the file is missing, damaged, holds more than weights, or doesn't fit the module.
        EnvironmentFault: when the package that reads it isn't installed.
    """
    path = _path(source)
    with _reading(path):
        from loadplan.export import torch_file

        torch_file.fill(trained.estimator, path)


def identity(source: ModelSource) -> bytes:
    """What decides which model and which rows they are: the hashes of the files.

    Raises:
        InputError: when one of them can't be read.
    """
    hashes = []
    for path in (_path(source), *([_rows_path(source)] if source.payload is not None else [])):
        require_regular(path)
        with path.open("rb") as file:
            hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
    return "\n".join(hashes).encode()


def _path(source: ModelSource) -> Path:
    assert source.file is not None  # noqa: S101 -- the scenario's reader sees to it
    return Path(source.folder) / source.file


def _rows_path(source: ModelSource) -> Path:
    assert source.payload is not None  # noqa: S101 -- the scenario's reader sees to it
    return Path(source.folder) / source.payload


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """One message for whatever a reader raises on bytes that it didn't write."""
    require_regular(path)
    try:
        if zipfile.is_zipfile(path):
            _require_no_bomb(path)
        yield
    except LoadplanError:
        raise
    except ModuleNotFoundError as error:
        raise missing_package(error, str(path)) from error
    except Exception as error:  # readers raise whatever their own code happens to raise
        raise _unreadable(error, path) from error


def _require_no_bomb(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        n_bytes = sum(member.file_size for member in archive.infolist())
    if n_bytes > _MAX_UNPACKED_BYTES:
        raise InputError(what=f"the file unpacks to {n_bytes:,} bytes", where=str(path), fix=_SAVE_AGAIN)


def _skops(path: Path, source: ModelSource) -> Any:
    from skops.io import get_untrusted_types, load

    found = get_untrusted_types(file=path)
    allowed = found if source.trusts_file else list(source.trusted_types)
    foreign = [name for name in found if name not in allowed]
    if foreign:
        wanted = ", ".join(sorted({*foreign, *allowed}))
        raise InputError(
            what=f"the file holds types that skops doesn't vouch for: {', '.join(foreign)}",
            where=str(path),
            fix=f"if you know who made it, name what it may hold: model.trust: [{wanted}]",
        )
    return load(path, trusted=allowed)


def _pickle(path: Path, source: ModelSource) -> Any:
    if not source.trusts_file:
        types = "a list of types can't bind a pickle, and " if source.trusted_types else ""
        raise InputError(
            what=f"{types}opening this file runs whatever code is in it, as with every pickle: it was not opened",
            where=str(path),
            fix=f"save the model without code: {_WITHOUT_CODE[source.kind]}; or, if you made the file yourself, write "
            "model.trust: true",
        )
    if source.kind == "torch":
        from loadplan.export import torch_file

        return torch_file.whole_module(path)
    import joblib

    return joblib.load(path)


def _xgboost(path: Path, _: ModelSource) -> Any:
    """As the class that it was saved from, or that its objective is of."""
    import json

    from xgboost import Booster, XGBClassifier, XGBRanker, XGBRegressor

    kinds = {"classifier": XGBClassifier, "ranker": XGBRanker, "regressor": XGBRegressor}
    booster = Booster(model_file=str(path))
    saved_from = json.loads(booster.attr("scikit_learn") or "{}").get("_estimator_type")
    objective = str(json.loads(booster.save_config())["learner"]["objective"]["name"])
    kind = {"binary": "classifier", "multi": "classifier", "rank": "ranker"}.get(
        objective.partition(":")[0], "regressor"
    )
    model = kinds.get(saved_from, kinds[kind])()
    model.load_model(path)
    return model


def _lightgbm(path: Path, _: ModelSource) -> Any:
    """LightGBM's own file knows its trees and not the class that trained them: that is put together here."""
    from lightgbm import Booster, LGBMClassifier, LGBMRanker, LGBMRegressor
    from sklearn.preprocessing import LabelEncoder

    booster = Booster(model_file=str(path))
    objective = str(booster.dump_model(num_iteration=1).get("objective", "none"))
    name = objective.partition(" ")[0]
    kinds = {
        "binary": LGBMClassifier,
        "multiclass": LGBMClassifier,
        "lambdarank": LGBMRanker,
        "rank_xendcg": LGBMRanker,
    }
    model = kinds.get(name, LGBMRegressor)()
    model._Booster, model._objective, model.fitted_ = booster, name, True
    model._n_features = model._n_features_in = booster.num_feature()
    if isinstance(model, LGBMClassifier):
        classes = np.arange(max(booster.num_model_per_iteration(), 2))  # what they were called, the file doesn't say
        model._classes, model._n_classes = classes, len(classes)
        model._le, model._class_map = LabelEncoder().fit(classes), dict(zip(classes, classes, strict=True))
    return model


_OPENERS: Mapping[tuple[ModelSourceKind, str], Callable[[Path, ModelSource], Any]] = MappingProxyType(
    {
        ("sklearn", ".skops"): _skops,
        ("sklearn", ".joblib"): _pickle,
        ("sklearn", ".pkl"): _pickle,
        ("xgboost", ".json"): _xgboost,
        ("xgboost", ".ubj"): _xgboost,
        ("xgboost", ".joblib"): _pickle,
        ("xgboost", ".pkl"): _pickle,
        ("lightgbm", ".txt"): _lightgbm,
        ("lightgbm", ".joblib"): _pickle,
        ("lightgbm", ".pkl"): _pickle,
        ("torch", ".pt"): _pickle,
        ("torch", ".pth"): _pickle,
    }
)


_WITHOUT_CODE: Mapping[ModelSourceKind, str] = MappingProxyType(
    {
        "sklearn": "skops.io.dump(model, 'model.skops')",
        "xgboost": "model.save_model('model.ubj')",
        "lightgbm": "model.booster_.save_model('model.txt')",
        "torch": "torch.save(model.state_dict(), 'model.pt'), with a model.factory that makes the module",
    }
)


def _with_rows(estimator: Any, source: ModelSource) -> TrainedModel:
    path = _rows_path(source)
    payloads = read_rows(path)
    if payloads.expected:
        raise InputError(
            what=f"the rows bring answers ({', '.join(payloads.expected)}), which the model in the file gives itself",
            where=str(path),
            fix="remove the arrays that begin with `expected.`",
        )
    trained = TrainedModel(
        estimator=estimator,
        rows=_tensors(payloads) if source.kind == "torch" else _table(payloads, estimator, path),
        labels=payloads.labels,
        segments=payloads.segments if any(payloads.segments) else None,
        groups=None if payloads.groups is None else payloads.groups.tolist(),
        lengths=payloads.lengths,
    )
    problem = problem_of_rows(trained, source.kind)
    if problem is not None:
        raise InputError(what=problem, where=str(path), fix="give a table of finite numbers, or one array a column")
    return trained


def _tensors(payloads: PayloadSet) -> Any:
    """Arrays by the names of the module's inputs; one alone may have any name."""
    inputs = dict(payloads.inputs)
    return inputs if len(inputs) > 1 else next(iter(inputs.values()))


def _table(payloads: PayloadSet, estimator: Any, path: Path) -> Any:
    """One array of several columns as it is, or one array a column as a DataFrame in the order of the model's own."""
    fitted_on = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    arrays = dict(payloads.inputs)
    first = next(iter(arrays.values()))
    if len(arrays) == 1 and first.ndim == 2:
        if len(fitted_on) != first.shape[1]:
            return first
        arrays = {name: first[:, column] for column, name in enumerate(fitted_on)}
    if any(values.size != payloads.n_rows for values in arrays.values()):
        raise InputError(
            what="the rows are neither one table nor one array a column: "
            + ", ".join(f"{name} {values.shape}" for name, values in arrays.items()),
            where=str(path),
            fix="write them with numpy.savez(path, rows=TABLE), or numpy.savez(path, COLUMN=values, …)",
        )
    if fitted_on and sorted(fitted_on) != sorted(arrays):
        raise InputError(
            what=f"the rows hold the columns {', '.join(arrays)}; the model was fitted on {', '.join(fitted_on)}",
            where=str(path),
            fix="name the arrays as the columns were named",
        )
    from pandas import DataFrame

    return DataFrame({name: arrays[name].reshape(-1) for name in fitted_on or arrays})


def _version_caveats(said: list[Warning | str]) -> tuple[Caveat, ...]:
    """One for each version of scikit-learn that wrote a part of the file; what else was said goes its usual way."""
    versions = {}
    for message in said:
        written = getattr(message, "original_sklearn_version", None)  # of sklearn.exceptions.InconsistentVersionWarning
        if written is None:
            warnings.warn(message, stacklevel=2)
        else:
            versions[written] = getattr(message, "current_sklearn_version", "another one")
    return tuple(
        Caveat(
            code="export.other_version",
            what=f"the model file was written by scikit-learn {written} and read by {read}, so it may answer otherwise "
            "than it did when it was trained",
            fix=f"install scikit-learn {written}, or train it again with {read}",
        )
        for written, read in versions.items()
    )


def _unreadable(error: Exception, path: Path) -> LoadplanError:
    if isinstance(error, MemoryError):
        return EnvironmentFault(what="the model file doesn't fit into memory", where=str(path), fix="free some memory")
    said = first_line(error)[:200]
    return InputError(
        what=f"the model file can't be opened: {type(error).__name__}{f': {said}' if said else ''}",
        where=str(path),
        fix=_SAVE_AGAIN,
    )
