"""All commands of loadplan with what may follow each, as typer has them."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from loadplan.cli.app import app

_FOLDERS = {"RUN", "DIR"}
_ENDINGS = {"SCENARIO": ("yaml", "yml"), "MODEL.onnx": ("onnx",), "FILE.csv": ("csv",), "URL": ()}

Kind = Literal["flag", "free", "words", "files", "folders"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What may stand for an option or an argument."""

    kind: Kind
    words: tuple[str, ...] = ()  # of words: all there are; of files: their usual endings, none: any file will do

    @property
    def text(self) -> str:
        """As the script for bash has it."""
        return f"{self.kind}:{' '.join(self.words)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option with all its spellings."""

    names: tuple[str, ...]
    help: str
    value: Value
    label: str = ""  # of its value
    is_repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One by its place."""

    label: str
    value: Value
    is_repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A command, or a group of commands."""

    path: tuple[str, ...]  # such as ("catalog", "list"); empty: loadplan itself
    help: str  # its first sentence
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...] = ()
    members: "tuple[Node, ...]" = ()

    @property
    def name(self) -> str:
        """As it is typed after its group."""
        return self.path[-1]

    def walk(self) -> "Iterator[Node]":
        """Itself and all below."""
        yield self
        for member in self.members:
            yield from member.walk()


def read_tree() -> Node:
    """All commands that are not hidden, as typer has them."""
    root = _node(typer.main.get_command(app), ())
    version = Option(names=("--version",), help="Show the version and exit.", value=Value(kind="flag"))
    return Node(path=(), help=root.help, options=(version, *root.options), members=root.members)


def _node(command: Any, path: tuple[str, ...]) -> Node:
    helps = tuple(command.context_settings.get("help_option_names", ())) or ("-h", "--help")
    options = [Option(names=helps, help="Show this message and exit.", value=Value(kind="flag"))]
    arguments = []
    hints = get_type_hints(inspect.unwrap(command.callback)) if command.callback else {}
    for param in command.params:
        if getattr(param, "hidden", False):
            continue
        value, label = _value(param, hints[param.name]), param.metavar or param.name.upper()
        if param.param_type_name == "argument":
            arguments.append(Argument(label=label, value=value, is_repeated=param.nargs == -1))
        else:
            options.append(
                Option(
                    names=(*param.opts, *param.secondary_opts),  # such as --check and --no-check
                    help=param.help or "",
                    value=value,
                    label=label,
                    is_repeated=param.multiple,
                )
            )
    members = tuple(
        _node(member, (*path, name)) for name, member in getattr(command, "commands", {}).items() if not member.hidden
    )
    return Node(
        path=path,
        help=_first_sentence(command.help or ""),
        options=tuple(options),
        arguments=tuple(arguments),
        members=members,
    )


def _value(param: Any, hint: object) -> Value:
    """By the type, and for paths by how the help calls them."""
    if getattr(param, "is_flag", False):
        return Value(kind="flag")
    one = _type_of_one(hint)
    if get_origin(one) is Literal:
        return Value(kind="words", words=tuple(map(str, get_args(one))))
    label = (param.metavar or "").strip("[]")
    is_path = one is Path or param.param_type_name == "argument" or label.startswith("FILE")
    if not is_path or label == "NAME":
        return Value(kind="free")
    names = label.split(" or ")
    if _FOLDERS.issuperset(names):
        return Value(kind="folders")
    if not all(name in _ENDINGS or name in _FOLDERS for name in names):
        return Value(kind="files")
    return Value(kind="files", words=tuple(ending for name in names for ending in _ENDINGS.get(name, ())))


def _type_of_one(hint: object) -> object:
    """Without None, and of a list the type of its members."""
    while get_origin(hint) in (Union, UnionType, list):
        hint = next(part for part in get_args(hint) if part is not NoneType)
    return hint


def _first_sentence(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split()).removesuffix(".")
