"""The completion file of fish."""

from completions.command_tree import Argument, Node, Option, Value


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
