"""The completion file of bash: tables of commands and values, and the function that reads the line by them."""

from completions.command_tree import Node
from completions.quoting import quoted


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
    arguments = " ".join(quoted(argument.value.text) for argument in node.arguments)
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
