"""The files that run a run's plan: Kubernetes manifests, a compose file, and the Dockerfile of the image for both."""

import os
from pathlib import Path, PurePath

from loadplan.export.artifact import ExportRun
from loadplan.manifests.compose import compose_yaml, dockerfile
from loadplan.manifests.deployed import read_deployed
from loadplan.manifests.kubernetes import kubernetes_yaml
from loadplan.pipeline.artifacts import EXPORT
from loadplan.pipeline.budget import read_planned
from loadplan.store.codec import read_record
from loadplan.store.files import write_text
from loadplan.store.run_folder import read_run_folder

MANIFESTS_FOLDER = "manifests"


def write_manifests(run: Path, *, folder: Path | None = None, image: str | None = None) -> tuple[Path, ...]:
    """Write `kubernetes.yaml`, `compose.yaml` and `Dockerfile`; returns their paths.

    Args:
        run: the run folder.
        folder: where they go; None: `manifests` in the run folder.
        image: what runs; None: the image for processors that docker/Dockerfile makes.

    Raises:
        InputError: when the run has no plan, its settings are not known, or a machine is too small for a pod.
        ObjectiveMissed: when no fleet is feasible.
        EnvironmentFault: when a file of the run was damaged, or the disk is full or failing.
    """
    planned = read_planned(run)
    deployed = read_deployed(planned.plan, planned.scenario, _exported(run), run=planned.origin.run, image=image)
    target = folder or run / MANIFESTS_FOLDER
    models = PurePath(os.path.relpath(run.resolve(), target.resolve()))
    texts = {
        "kubernetes.yaml": kubernetes_yaml(planned.plan, deployed),
        "compose.yaml": compose_yaml(planned.plan, deployed, models=models),
        "Dockerfile": dockerfile(deployed[0]),
    }
    for name, text in texts.items():
        write_text(target / name, text)
    return tuple(target / name for name in texts)


def _exported(run: Path) -> ExportRun | None:
    """The variants of the run's model; None where nothing was exported."""
    folder = read_run_folder(run)
    if folder.entry("export") is None:
        return None
    folder.require("export")
    return read_record(run / EXPORT, ExportRun, schema="loadplan.export/1")
