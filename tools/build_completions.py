"""Write the completion files of the shells: `python tools/build_completions.py [FOLDER]`.

Made of the command tree, into `loadplan/cli/completions` by default, from where `loadplan completion SHELL` prints
them. The decision a reader would question: the files are static. A Tab that asked loadplan itself would start Python
and typer, which takes a third of a second; commands and options change with the version only.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from completions.bash import bash
from completions.command_tree import read_tree
from completions.fish import fish
from completions.zsh import zsh

_FOLDER = Path(__file__).parents[1] / "loadplan" / "cli" / "completions"


def main() -> None:
    """All three."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _FOLDER
    tree = read_tree()
    for shell, write in (("bash", bash), ("zsh", zsh), ("fish", fish)):
        (folder / f"loadplan.{shell}").write_text(write(tree), encoding="utf-8")


if __name__ == "__main__":
    main()
