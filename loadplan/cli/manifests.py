"""`loadplan manifests`: the files that run a run's plan."""

from pathlib import Path
from typing import Annotated

import typer

from loadplan.cli import console
from loadplan.cli.options import DebugOption, JsonOption, RunArgument

ImageOption = Annotated[
    str | None, typer.Option("--image", metavar="IMAGE", help="The server's image; by default that of docker/.")
]
FolderOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="DIR", help="Where the files go; by default RUN/manifests.")
]


def register(app: typer.Typer) -> None:
    """Hang the command into the tree."""
    app.command()(manifests)


def manifests(
    run: RunArgument,
    image: ImageOption = None,
    output: FolderOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Kubernetes manifests, a compose file and a Dockerfile that run a run's plan with its settings."""
    from loadplan.pipeline.manifests import write_manifests

    files = [str(path) for path in write_manifests(run, folder=output, image=image)]
    console.result("\n".join(files), {"schema": "loadplan.manifests/1", "files": files}, as_json=as_json)
    return console.exit_code(None, debug=debug)
