"""Write the completion files of the shells: `python tools/build_completions.py [FOLDER]`.

Made of the command tree, into `loadplan/cli/completions` by default, from where `loadplan completion SHELL` prints
them. The decision a reader would question: the files are static. A Tab that asked loadplan itself would start Python
and typer, which takes a third of a second; commands and options change with the version only.
"""

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

sys.path.insert(0, str(Path(__file__).parents[1]))

from loadplan.cli.app import app

_FOLDER = Path(__file__).parents[1] / "loadplan" / "cli" / "completions"
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


def bash(tree: Node) -> str:
    """Two tables, and the function that reads the line by them."""
    nodes = list(tree.walk())
    commands = [_bash_command(node) for node in nodes]
    by_value: dict[str, list[str]] = {}
    for node in nodes:
        for option in node.options:
            if option.value.kind != "flag":
                own = [f"'{' '.join((*node.path, name))}'" for name in option.names]
                by_value.setdefault(option.value.text, []).extend(own)
    values = [f"        {' | '.join(options)}) value='{value}' ;;\n" for value, options in by_value.items()]
    return _BASH.replace("@COMMANDS@", "".join(commands).rstrip()).replace("@VALUES@", "".join(values).rstrip())


def _bash_command(node: Node) -> str:
    arguments = " ".join(_quoted(argument.value.text) for argument in node.arguments)
    return (
        f"        '{' '.join(node.path)}')\n"
        f"            commands='{' '.join(member.name for member in node.members)}'\n"
        f"            options='{' '.join(name for option in node.options for name in option.names)}'\n"
        f"            arguments=({arguments})\n"
        f"            more={int(any(argument.is_repeated for argument in node.arguments))} ;;\n"
    )


_BASH = """\
# Completion of loadplan for bash. Made of its commands by tools/build_completions.py: a Tab starts no Python.
#   loadplan completion bash > ~/.local/share/bash-completion/completions/loadplan
# where the package bash-completion is installed; else keep it anywhere and `source` it in ~/.bashrc.

# What a command holds: commands below it, options, and what each of its arguments is.
_loadplan_command() {
    commands='' options='' arguments=() more=0
    case "$1" in
@COMMANDS@
    esac
}

# What the value of an option is; empty: it takes none.
_loadplan_value() {
    value=''
    case "$1" in
@VALUES@
    esac
}

_loadplan_offer() {
    local kind=${1%%:*} details=${1#*:} typed=${current//\\\\/} name ending
    local -a names=()
    typed=${typed#[\\"\\']}
    case "$kind" in
        words) mapfile -t COMPREPLY < <(compgen -W "$details" -- "$current") ;;
        folders)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$typed") ;;
        files)
            compopt -o filenames 2>/dev/null
            mapfile -t names < <(compgen -f -- "$typed")
            for name in "${names[@]}"; do
                [[ -d ${name/#\\~/$HOME} ]] && COMPREPLY+=("$name") && continue
                for ending in $details; do [[ $name == *."$ending" ]] && COMPREPLY+=("$name"); done
            done
            # Any file will do, or theirs ends otherwise.
            [[ -z $details || ${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=("${names[@]}") ;;
    esac
}

_loadplan() {
    local current=${COMP_WORDS[COMP_CWORD]} command='' wanted='' word commands options value more
    local -a arguments
    local -i i=1 place=0
    COMPREPLY=()
    _loadplan_command ''
    while ((i < COMP_CWORD)); do
        word=${COMP_WORDS[i]}
        if [[ $word == -* ]]; then
            _loadplan_value "${command:+$command }$word"
            if [[ -n $value ]]; then
                # bash parts words at `=` too: `--out=x` comes as three.
                i+=1
                if [[ ${COMP_WORDS[i]} == '=' ]]; then
                    if ((i == COMP_CWORD)); then current=''; else i+=1; fi
                fi
                if ((i >= COMP_CWORD)); then wanted=$value; fi
            fi
        elif [[ -n $commands ]]; then
            command=${command:+$command }$word
            _loadplan_command "$command"
        else
            place+=1
        fi
        i+=1
    done
    if [[ -z $wanted && $current != -* ]]; then
        if [[ -n $commands ]]; then
            wanted="words:$commands"
        else
            if ((more && place >= ${#arguments[@]})); then place=${#arguments[@]}-1; fi
            wanted=${arguments[place]:-}
        fi
    fi
    _loadplan_offer "${wanted:-words:$options}"
}

complete -F _loadplan loadplan
"""


def zsh(tree: Node) -> str:
    """A function for each group, with a case for each command."""
    groups = [node for node in tree.walk() if node.members]
    functions = "\n".join(_zsh_group(group) for group in groups)
    return _ZSH.replace("@FUNCTIONS@", functions)


_ZSH = """\
#compdef loadplan
# Completion of loadplan for zsh. Made of its commands by tools/build_completions.py: a Tab starts no Python.
#   loadplan completion zsh > "${fpath[1]}/_loadplan"
# or into any folder of $fpath, before `compinit` in ~/.zshrc.

@FUNCTIONS@
if [[ $funcstack[1] == _loadplan ]]; then
    _loadplan "$@"
else
    compdef _loadplan loadplan
fi
"""


def _zsh_group(group: Node) -> str:
    name = "_".join(("_loadplan", *group.path))
    options = " ".join(_zsh_option(option) for option in group.options)
    told = "\n".join(f"                {_quoted(f'{one.name}:{one.help}')}" for one in group.members)
    cases = "\n".join(_zsh_case(member) for member in group.members)
    return (
        f"{name}() {{\n"
        "    local curcontext=$curcontext state line\n"
        "    typeset -A opt_args\n"
        f"    _arguments -C {options} '1: :->command' '*:: :->rest'\n"
        "    case $state in\n"
        "        command)\n"
        "            local -a commands=(\n"
        f"{told}\n"
        "            )\n"
        "            _describe -t commands command commands ;;\n"
        "        rest)\n"
        '            curcontext="${curcontext%:*:*}:loadplan-$line[1]:"\n'
        "            case $line[1] in\n"
        f"{cases}\n"
        "            esac ;;\n"
        "    esac\n"
        "}\n"
    )


def _zsh_case(node: Node) -> str:
    if node.members:
        return f"                {node.name}) {'_'.join(('_loadplan', *node.path))} ;;"
    specs = [_zsh_option(option) for option in node.options]
    for place, argument in enumerate(node.arguments, start=1):
        at = "*" if argument.is_repeated else str(place)
        specs.append(_quoted(f"{at}:{_plain(argument.label)}:{_zsh_action(argument.value)}"))
    body = " \\\n".join(f"                        {spec}" for spec in specs)
    return f"                {node.name})\n                    _arguments \\\n{body} ;;"


def _zsh_option(option: Option) -> str:
    told = f"[{_plain(option.help)}]"
    value = "" if option.value.kind == "flag" else f":{_plain(option.label)}:{_zsh_action(option.value)}"
    once = "*" if option.is_repeated else f"({' '.join(option.names)})" if len(option.names) > 1 else ""
    names = [_zsh_name(name, takes_value=bool(value)) for name in option.names]
    if len(names) == 1:
        return _quoted(f"{once}{names[0]}{told}{value}")
    return f"{_quoted(once)}{{{','.join(names)}}}{_quoted(f'{told}{value}')}"


def _zsh_name(name: str, *, takes_value: bool) -> str:
    if not takes_value:
        return name
    return f"{name}=" if name.startswith("--") else f"{name}+"


def _zsh_action(value: Value) -> str:
    match value.kind:
        case "words":
            return f"({' '.join(value.words)})"
        case "folders":
            return "_files -/"
        case "files" if value.words:
            return f'_files -g "*.({"|".join(value.words)})"'
        case "files":
            return "_files"
        case _:
            return " "


def _plain(text: str) -> str:
    """Without what parts a spec of zsh."""
    for mark in "\\[]:":
        text = text.replace(mark, f"\\{mark}")
    return text


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def fish(tree: Node) -> str:
    """A line for each command and option."""
    lines = []
    for node in tree.walk():
        at = " ".join(("__loadplan_in", *node.path))
        here = " ".join(("__loadplan_at", *node.path))
        lines += [
            f"complete -c loadplan -n '{here}' -a {member.name} -d {_fish_quoted(member.help)}"
            for member in node.members
        ]
        lines += [_fish_option(at, option) for option in node.options]
        if node.arguments:
            lines += _fish_arguments(at, node.arguments)
    return _FISH.replace("@LINES@", "\n".join(lines))


_FISH = """\
# Completion of loadplan for fish. Made of its commands by tools/build_completions.py: a Tab starts no Python.
#   loadplan completion fish > ~/.config/fish/completions/loadplan.fish

# Whether the line begins with these words.
function __loadplan_in
    set -l typed (commandline -opc)
    test (count $typed) -gt (count $argv); or return 1
    for i in (seq (count $argv))
        test $typed[(math $i + 1)] = $argv[$i]; or return 1
    end
end

# Whether the next word is right behind them.
function __loadplan_at
    test (count (commandline -opc)) -eq (math (count $argv) + 1); and __loadplan_in $argv
end

complete -c loadplan -f
@LINES@
"""


def _fish_option(at: str, option: Option) -> str:
    names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
    return f"complete -c loadplan -n '{at}' {names}{_fish_value(option.value)} -d {_fish_quoted(option.help)}"


def _fish_value(value: Value) -> str:
    match value.kind:
        case "flag":
            return ""
        case "free":
            return " -x"
        case "files" if not value.words:
            return " -r -F"
        case _:
            return f" -x -a {_fish_offer(value)}"


def _fish_arguments(at: str, arguments: tuple[Argument, ...]) -> list[str]:
    """All that any of them may be, whatever its place."""
    lines = []
    for value in dict.fromkeys(argument.value for argument in arguments):
        if value.kind == "files" and not value.words:
            lines.append(f"complete -c loadplan -n '{at}' -F")
        elif value.kind != "free":
            lines.append(f"complete -c loadplan -n '{at}' -a {_fish_offer(value)}")
    return lines


def _fish_offer(value: Value) -> str:
    match value.kind:
        case "words":
            return _fish_quoted(" ".join(value.words))
        case "folders":
            return "'(__fish_complete_directories)'"
        case _:
            return _fish_quoted(f"({'; '.join(f'__fish_complete_suffix .{ending}' for ending in value.words)})")


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def main() -> None:
    """All three."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _FOLDER
    tree = read_tree()
    for shell, write in (("bash", bash), ("zsh", zsh), ("fish", fish)):
        (folder / f"loadplan.{shell}").write_text(write(tree), encoding="utf-8")


if __name__ == "__main__":
    main()
