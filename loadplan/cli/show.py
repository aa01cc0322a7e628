"""The command that only shows something: the JSON Schema of a scenario."""

import typer

from loadplan.cli import console
from loadplan.cli.options import DebugOption


def register(app: typer.Typer) -> None:
    """Hang these commands into the tree."""
    app.command()(schema)


def schema(debug: DebugOption = False) -> None:  # noqa: ARG001 -- read from the arguments by the error handler
    """The JSON Schema of a scenario file, for editors."""
    from loadplan.scenario.reader import json_schema

    console.show_json(json_schema())
