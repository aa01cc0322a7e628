"""Which keys of `model` go together: a model comes from a factory or from a file, and each needs keys of its own."""

from collections.abc import Set

from pydantic_core import PydanticCustomError

# A factory makes the module that their file of weights goes into; all others are one or the other.
_FILLED_BY_FILE = frozenset({"torch"})

Contradiction = tuple[tuple[str, ...], str]


def wrong_keys(source: str, given: Set[str]) -> list[Contradiction]:
    """What is wrong about the keys that were given beside `source`: the keys that disagree, and a sentence."""
    if source == "onnx":
        return _of_ready_file(given)
    has_factory, has_file = "factory" in given, "file" in given
    wrong: list[Contradiction] = []
    if not has_factory and not (has_file and source not in _FILLED_BY_FILE):
        rest = "" if source in _FILLED_BY_FILE else ", or file and payload"
        wrong.append((("source",), f"{source} needs the key factory as well{rest}"))
    if has_factory and has_file and source not in _FILLED_BY_FILE:
        wrong.append((("file", "factory"), "the model comes from a factory or from a file; remove one of the two"))
    if has_file and not has_factory and "payload" not in given:
        wrong.append((("file",), "a file holds no rows; name them with the key payload: rows.npz"))
    if "payload" in given and (has_factory or not has_file):
        wrong.append((("payload", "source"), "payload means nothing to a factory, which returns its rows; remove it"))
    if "trust" in given and not has_file:
        wrong.append((("trust",), "trust is about a file, and none is named; to name a factory is to trust it"))
    return wrong


def _of_ready_file(given: Set[str]) -> list[Contradiction]:
    wrong: list[Contradiction] = [
        ((key, "source"), f"{key} means nothing to source onnx; remove it")
        for key in ("factory", "trust")
        if key in given
    ]
    if "file" not in given:
        wrong.append((("source",), "onnx needs the key file as well"))
    return wrong


def bool_or_types(value: object) -> object:
    """Pass what `trust` takes; one error for all else, where pydantic would raise one for each of the two shapes."""
    if isinstance(value, bool) or (isinstance(value, list) and value and all(map(_names_a_type, value))):
        return value
    raise PydanticCustomError("trust", "true, or a list of types such as [sklearn.tree._tree.Tree]")


def _names_a_type(item: object) -> bool:
    return isinstance(item, str) and all(part.isidentifier() for part in item.split("."))
