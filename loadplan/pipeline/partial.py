"""Keeps the records of a run that proves nothing, for whoever wants to look at what was measured."""

from datetime import UTC, datetime
from pathlib import Path

from loadplan.load.records import LoadRun
from loadplan.load.table import load_columns, load_metadata
from loadplan.store.codec import write_columns


def keep_partial(run: LoadRun, results: Path) -> Path:
    """Write the requests and the verdict of the run to a file of its own in `results/partial`, and say where.

    Raises:
        EnvironmentFault: when the disk is full or failing.
    """
    folder = results / "partial"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S_%fZ}-{run.spec.name}.parquet"
    write_columns(path, load_columns(run), metadata=load_metadata(run))
    return path
