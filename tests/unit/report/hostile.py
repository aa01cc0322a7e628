"""Other strings in the place of every string of a record, however deep: what a hostile scenario or model may bring."""

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

# Texts that loadplan itself writes into a record and looks things up by: nobody else's ever stand there.
OWN_WORDS = {
    ("WatchedSeries", "name"),
}


def rewritten(record: T, change: Callable[[str], str]) -> T:
    """The record with every text in it changed, keys of mappings too; words of a fixed list stay."""
    return _rewritten(record, type(record), change)  # type: ignore[no-any-return]


def _rewritten(value: Any, kind: Any, change: Callable[[str], str]) -> Any:  # noqa: PLR0911 -- one for each kind
    if value is None:
        return None
    origin = get_origin(kind)
    if origin is Literal:
        return value
    if origin in (Union, types.UnionType):
        if isinstance(value, str):
            return value if any(get_origin(one) is Literal for one in get_args(kind)) else change(value)
        return _rewritten(value, type(value) if is_dataclass(value) else _container(kind), change)
    if isinstance(value, str):
        return change(value) if kind is str else value
    if is_dataclass(value):
        return _rewritten_record(value, change)
    if isinstance(value, Mapping):
        key_kind, value_kind = get_args(kind)
        return {_rewritten(key, key_kind, change): _rewritten(one, value_kind, change) for key, one in value.items()}
    if isinstance(value, tuple) and get_args(kind):
        kinds = get_args(kind)
        each = kinds if origin is tuple and kinds[-1] is not Ellipsis else (kinds[0],) * len(value)
        return tuple(_rewritten(one, one_kind, change) for one, one_kind in zip(value, each, strict=True))
    return value


def _container(kind: Any) -> Any:
    """Of what may be missing, what it is when it isn't."""
    return next((one for one in get_args(kind) if get_args(one)), None)


def _rewritten_record(record: Any, change: Callable[[str], str]) -> Any:
    hints = get_type_hints(type(record))
    changed = {
        field.name: _rewritten(getattr(record, field.name), hints[field.name], change)
        for field in fields(record)
        if field.init and (type(record).__name__, field.name) not in OWN_WORDS
    }
    return replace(record, **changed)
