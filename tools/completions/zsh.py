"""The completion file of zsh."""

from completions.command_tree import Node, Option, Value
from completions.quoting import quoted


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
    told = "\n".join(f"                {quoted(f'{one.name}:{one.help}')}" for one in group.members)
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
        specs.append(quoted(f"{at}:{_plain(argument.label)}:{_zsh_action(argument.value)}"))
    body = " \\\n".join(f"                        {spec}" for spec in specs)
    return f"                {node.name})\n                    _arguments \\\n{body} ;;"


def _zsh_option(option: Option) -> str:
    told = f"[{_plain(option.help)}]"
    value = "" if option.value.kind == "flag" else f":{_plain(option.label)}:{_zsh_action(option.value)}"
    once = "*" if option.is_repeated else f"({' '.join(option.names)})" if len(option.names) > 1 else ""
    names = [_zsh_name(name, takes_value=bool(value)) for name in option.names]
    if len(names) == 1:
        return quoted(f"{once}{names[0]}{told}{value}")
    return f"{quoted(once)}{{{','.join(names)}}}{quoted(f'{told}{value}')}"


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
