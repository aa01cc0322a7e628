"""The commands that only show something that was shipped: the JSON Schema of a scenario, a shell's completion file."""

from importlib import resources
from typing import Annotated, Literal

import typer

from loadplan.cli import console
from loadplan.cli.options import DebugOption, JsonOption

Shell = Literal["bash", "zsh", "fish"]
ShellArgument = Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]


def register(app: typer.Typer) -> None:
    """Hang these commands into the tree."""
    app.command()(schema)
    app.command()(completion)


def schema(
    as_json: JsonOption = False,  # noqa: ARG001 -- it is JSON in any case
    debug: DebugOption = False,  # noqa: ARG001 -- read from the arguments by the error handler
) -> None:
    """The JSON Schema of a scenario file, for editors."""
    from loadplan.scenario.reader import json_schema

    console.show_json(json_schema())


def completion(
    shell: ShellArgument,
    as_json: JsonOption = False,
    debug: DebugOption = False,  # noqa: ARG001 -- read from the arguments by the error handler
) -> None:
    """The file that completes commands, options and files at a Tab; its first lines say where to keep it."""
    file = resources.files("loadplan.cli").joinpath(f"completions/loadplan.{shell}")
    script = file.read_text(encoding="utf-8").rstrip("\n")
    document = {"schema": "loadplan.completion/1", "shell": shell, "script": script}
    console.result(script, document, as_json=as_json)
