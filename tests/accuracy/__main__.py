"""How near the predictions come, measured live: `make accuracy`, or `python -m tests.accuracy [--minutes M] …`.

It says first how long it will take. Every finished run is kept under `build/accuracy/`, by commit, so after Ctrl-C, a
kill, or the end of `--minutes` the same command goes on where it was. A tree with uncommitted changes is refused, for
nobody could make its figures again; `--try` drives it all the same, and writes its table beside its runs.
"""

import argparse
import fcntl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loadplan.clock import utc_now
from loadplan.errors import EnvironmentFault, InputError, LoadplanError
from loadplan.machine import read_machine, usable_cores
from loadplan.store.files import write_text
from tests.accuracy import services
from tests.accuracy.design import PARTS, Design, estimated_s, full_design, only
from tests.accuracy.findings import Findings, Judge
from tests.accuracy.plot import plot
from tests.accuracy.replicas import prepare_any
from tests.accuracy.runs import Prepare, Runs, TimeIsUp
from tests.accuracy.table import Circumstances, table

_SERVICES = "services"
_ROOT = Path(__file__).parents[2]
_BUILD, _RESULTS = _ROOT / "build" / "accuracy", _ROOT / "results" / "accuracy"


def main(arguments: Sequence[str] | None = None) -> int:
    """Drive what is missing, write the table and the plot, and return the exit code of what went wrong."""
    options = _options(arguments)
    try:
        if _SERVICES in options.only:
            return _measure_services(options)
        design = only(full_design(), options.only)
        if not options.is_try:
            require_clean_tree(_ROOT)
        if len(usable_cores()) < 2:
            raise EnvironmentFault(
                what="this machine has one usable core, and server and generator need one each",
                where="make accuracy",
                fix="run it on a machine with two cores or more",
            )
        about = _circumstances(options)
        folder = _folder(about)
        _tell(f"about {estimated_s(design) / 60.0:.0f} minutes in all, less what is kept in {folder}")
        with alone(folder):
            found = measure(design, folder, deadline_s=_deadline_s(options.minutes))
            write(found, about, folder if options.is_try else _RESULTS)
    except LoadplanError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("stopped; finished runs are kept, and the same command goes on\n")
        return 130
    return 0


def _circumstances(options: argparse.Namespace) -> Circumstances:
    return Circumstances(
        commit=commit_of(_ROOT)[:12],
        machine=read_machine().cpu_model,
        date=utc_now().date().isoformat(),
        is_try=options.is_try,
        asked=tuple(options.only),
    )


def _folder(about: Circumstances) -> Path:
    return _BUILD / ("try" if about.is_try else f"{about.commit}-{read_machine().fingerprint}")


def _measure_services(options: argparse.Namespace) -> int:
    """Running services instead of our own server: another design, with a table of its own."""
    if not options.is_try:
        require_clean_tree(_ROOT)
    names = [name for name in options.only if name != _SERVICES]
    about = _circumstances(options)
    folder = _folder(about) / _SERVICES
    with alone(folder):
        text = services.measure(folder, names, about, deadline_s=_deadline_s(options.minutes), tell=_tell)
        services.write(text, folder if options.is_try else _RESULTS)
    sys.stdout.write(text)
    return 0


def measure(design: Design, folder: Path, *, deadline_s: float | None, prepare: Prepare = prepare_any) -> Findings:
    """All of a design, as far as it comes until the deadline; whatever was finished before is read.

    `prepare` makes a subject ready to be driven.

    Raises:
        LoadplanError: when a subject can't be exported, benchmarked or served.
    """
    runs = Runs(folder, design, deadline_s=deadline_s, tell=_tell, prepare=prepare)
    for subject in design.subjects:
        runs.prepared(subject.name)
    try:
        runs.drive_saturations()
        runs.drive_rounds()
        runs.drive_capacities()
        Judge(runs).drive_decisions()
    except TimeIsUp:
        _tell("the time is up; the same command goes on where it was")
    _tell("fitting, and predicting what was held out")
    return Judge(runs).findings()


def write(found: Findings, about: Circumstances, folder: Path) -> None:
    """The table and the plot."""
    folder.mkdir(parents=True, exist_ok=True)
    text = table(found, about)
    write_text(folder / "accuracy.md", text)
    write_text(folder / "accuracy.svg", plot([*found.cases, *found.fleets]))
    sys.stdout.write(text)
    _tell(f"written to {folder}")


def require_clean_tree(root: Path) -> None:
    """Raises InputError where the figures could not be made again from a commit; its own results don't count."""
    changed = _git(root, "status", "--porcelain", "--", ".", ":!results/accuracy").splitlines()
    if changed:
        raise InputError(
            what=f"the tree has {len(changed)} uncommitted changes, such as {changed[0].strip()}",
            where="make accuracy",
            fix="commit them first, or look at a try: make accuracy ARGS=--try",
        )


def commit_of(root: Path) -> str:
    """The commit that is checked out."""
    return _git(root, "rev-parse", "HEAD").strip()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else measures into this folder meanwhile. Raises EnvironmentFault where somebody does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EnvironmentFault(
                what="another process is measuring", where=str(folder), fix="wait for it, or stop it"
            ) from error
        yield


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make accuracy", description=__doc__.splitlines()[0])
    of_services = [_SERVICES, *(subject.name for subject in services.SUBJECTS if subject.name not in PARTS)]
    names = list(dict.fromkeys([*(subject.name for subject in full_design().subjects), *PARTS, *of_services]))
    parser.add_argument("--minutes", type=float, metavar="M", help="begin no run after so long; the table says so")
    parser.add_argument(
        "--only", nargs="+", default=[], choices=names, metavar="NAME", help=f"a part of it: {', '.join(names)}"
    )
    parser.add_argument("--try", dest="is_try", action="store_true", help="on a tree with uncommitted changes too")
    return parser.parse_args(arguments)


def _deadline_s(minutes: float | None) -> float | None:
    return None if minutes is None else time.monotonic() + 60.0 * minutes


def _git(root: Path, *arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise EnvironmentFault(
            what="git does not say which commit this is", where=str(root), fix="run it in a clone, with git installed"
        ) from error


def _tell(text: str) -> None:
    sys.stdout.write(f"{utc_now():%H:%M:%S} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
