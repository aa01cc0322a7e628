"""`loadplan` many times over: this process imports what commands import, and forks one that is the command for each.

Starting Python and importing takes a second for each of dozens of commands; what such a process does, prints and
answers is the same. One order a line on standard input, its exit code on standard output. What is imported when, and
what signals do, needs a `python -m loadplan` of its own.
"""

import json
import os
import sys

import loadplan.cli.capacity
import loadplan.cli.documents
import loadplan.pipeline.adhoc
import loadplan.pipeline.benchmark
import loadplan.pipeline.quick
import loadplan.pipeline.rental
import loadplan.pipeline.resume
import loadplan.pipeline.road
import loadplan.scenario.reader  # noqa: F401 -- all of these are for the commands
from loadplan.__main__ import main
from loadplan.cli import app  # noqa: F401 -- so is this one


def become_the_next_command() -> bool:
    """Returns True in each of the forked, and False in this process when nothing more is asked."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(**json.loads(line))
            return True
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()
    return False


def become(arguments: list[str], folder: str, out: str, err: str) -> None:
    """Folder, arguments, standard streams and path as of `python -m loadplan` in that folder."""
    os.chdir(folder)
    sys.path[0] = folder
    sys.argv = ["loadplan", *arguments]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)


if __name__ == "__main__" and become_the_next_command():
    main()
