"""Which keys of `model` go together: a model comes from a factory or from a file, and each needs keys of its own."""

from collections.abc import Set

from pydantic_core import PydanticCustomError

from loadplan.scenario.section import Contradiction

# Sources whose factory makes a module for the weights in the file; of all others it is one or the other.
_FILLED = frozenset({"torch"})
_WITHOUT_FILE = frozenset({"transformers"})


def wrong_keys(source: str, given: Set[str]) -> list[Contradiction]:
    """What is wrong about the keys that were given beside `source`: the keys that disagree, and a sentence."""
    foreign = {"onnx": ("factory", "trust"), **dict.fromkeys(_WITHOUT_FILE, ("file", "payload", "trust"))}
    wrong: list[Contradiction] = [
        ((key, "source"), f"{key} means nothing to source {source}; remove it")
        for key in foreign.get(source, ())
        if key in given
    ]
    if source == "onnx" or source in _WITHOUT_FILE:
        needed = "file" if source == "onnx" else "factory"
        return wrong if needed in given else [*wrong, (("source",), f"{source} needs the key {needed} as well")]
    return _of_factory_or_file(source, given)


def _of_factory_or_file(source: str, given: Set[str]) -> list[Contradiction]:
    has_factory, has_file = "factory" in given, "file" in given
    wrong: list[Contradiction] = []
    if not has_factory and not has_file:
        wrong.append((("source",), f"{source} needs the key factory as well, or file and payload"))
    if has_factory and has_file and source not in _FILLED:
        wrong.append((("file", "factory"), "the model comes from a factory or from a file; remove one of the two"))
    if has_file and not has_factory and "payload" not in given:
        wrong.append((("file",), "a file holds no rows; name them with the key payload, such as rows.npz"))
    if "payload" in given and has_factory:
        wrong.append((("payload", "factory"), "payload means nothing to a factory, which returns its rows; remove it"))
    if "trust" in given and has_factory and has_file and source in _FILLED:
        wrong.append((("trust", "factory"), "trust means nothing to a file of weights; remove it"))
    if "trust" in given and not has_file:
        wrong.append((("trust",), "trust is about a file, and none is named; to name a factory is to trust it"))
    return wrong


def bool_or_types(value: object) -> object:
    """Pass what `trust` takes; one error for all else, where pydantic would raise one for each of the two shapes."""
    if isinstance(value, bool) or (isinstance(value, list) and value and all(map(_names_a_type, value))):
        return value
    raise PydanticCustomError("trust", "true, or a list of types such as [sklearn.tree._tree.Tree]")


def _names_a_type(item: object) -> bool:
    return isinstance(item, str) and all(part.isidentifier() for part in item.split("."))
