"""What a person sees: results on standard output, progress and errors on standard error, machines get one object.

Progress bars are drawn only on a terminal; elsewhere each stage says one line when it begins, one when it ends, and
one every 30 s in between.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from loadplan.errors import LoadplanError
from loadplan.pipeline.observer import Nobody

if TYPE_CHECKING:
    from rich.progress import TaskID

_SECONDS_BETWEEN_LINES = 30.0


class StopRequest:
    """The user's or the system's wish to stop, which must not get lost.

    A KeyboardInterrupt that hits a destructor or a callback of an extension module is printed or dropped by the
    interpreter, and the work goes on. So the wish is kept, and raised again at the next sign of progress.
    """

    def __init__(self) -> None:
        self.is_made = False

    def make(self) -> None:
        """Stop now, or at the next sign of progress at the latest."""
        self.is_made = True
        raise KeyboardInterrupt

    def heed(self) -> None:
        """Raise KeyboardInterrupt where the wish was made and got lost."""
        if self.is_made:
            raise KeyboardInterrupt


stop_request = StopRequest()


class OneObject:
    """Whether the one object that `--json` promises was printed: an error prints it only where nothing else did."""

    def __init__(self) -> None:
        self.is_shown = False


one_object = OneObject()


class LineObserver:
    """Tells the road's progress in plain lines on standard error."""

    def __init__(self) -> None:
        self._last_line_s = time.monotonic()

    def begin(self, stage: str, purpose: str) -> None:
        """A stage starts."""
        stop_request.heed()
        self._say(f"{stage:<9} {purpose}")

    def progress(self, done_ratio: float, detail: str) -> None:
        """Something was done; said at most every 30 s."""
        stop_request.heed()
        if time.monotonic() - self._last_line_s >= _SECONDS_BETWEEN_LINES:
            self._say(f"{'':<9} {done_ratio:4.0%} {detail}")

    def end(self, stage: str, outcome: str) -> None:
        """A stage is finished."""
        self._say(f"{stage:<9} done: {outcome}")

    def close(self) -> None:
        """Nothing is held open."""

    def _say(self, line: str) -> None:
        self._last_line_s = time.monotonic()
        print(line, file=sys.stderr, flush=True)


class BarObserver:
    """Draws one progress bar per stage on a terminal's standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bars = Progress(
            TextColumn("[bold]{task.fields[stage]:<9}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=Console(stderr=True),
        )
        self._task: TaskID | None = None
        self._bars.start()

    def begin(self, stage: str, purpose: str) -> None:
        """A stage starts: a new bar."""
        stop_request.heed()
        self._bars.console.print(f"{'':<9} {purpose}", style="dim", markup=False, highlight=False)
        self._task = self._bars.add_task("", total=1.0, stage=stage)

    def progress(self, done_ratio: float, detail: str) -> None:
        """The bar moves."""
        stop_request.heed()
        if self._task is not None:
            # Full only at the end: a bar that is full stops its clock, and a live run may be driven again.
            self._bars.update(self._task, completed=min(done_ratio, 0.999), description=detail)

    def end(self, stage: str, outcome: str) -> None:  # noqa: ARG002 -- the bar already carries the stage's name
        """The bar is full and stays."""
        if self._task is not None:
            self._bars.update(self._task, completed=1.0, description=outcome)
            self._bars.stop_task(self._task)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bars.stop()


class SilentObserver(Nobody):
    """Says nothing."""

    def begin(self, stage: str, purpose: str) -> None:  # noqa: ARG002 -- nothing is said
        """A stage starts."""
        stop_request.heed()

    def progress(self, done_ratio: float, detail: str) -> None:  # noqa: ARG002 -- nothing is said
        """Something was done."""
        stop_request.heed()

    def close(self) -> None:
        """Nothing is held open."""


ConsoleObserver = LineObserver | BarObserver | SilentObserver


def observer(*, quiet: bool) -> ConsoleObserver:
    """The observer that suits where standard error goes."""
    if quiet:
        return SilentObserver()
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return BarObserver()
    return LineObserver()


def show_json(document: Mapping[str, object]) -> None:
    """The one object of a `--json` command, on standard output."""
    one_object.is_shown = True
    print(json.dumps(document, indent=2, allow_nan=False))


def show_error(error: LoadplanError, *, as_json: bool, debug: bool) -> None:
    """What happened, where, what to do; the traceback only when asked for."""
    if debug:
        traceback.print_exception(error)
    print(f"error: {error.what}\nwhere: {error.where}\nfix:   {error.fix}", file=sys.stderr)
    if as_json and not one_object.is_shown:
        with suppress(OSError):  # standard output itself may be what is broken
            show_json({"schema": "loadplan.error/1", "what": error.what, "where": error.where, "fix": error.fix})
            sys.stdout.flush()


@contextmanager
def watching(*, quiet: bool) -> Iterator[ConsoleObserver]:
    """An observer that leaves the terminal as it was, whatever happens."""
    watcher = observer(quiet=quiet)
    try:
        yield watcher
    finally:
        watcher.close()


def result(text: str, document: Mapping[str, object], *, as_json: bool) -> None:
    """What a command found, for a person or for a machine, on standard output."""
    if as_json:
        show_json(document)
    else:
        print(text)


def note(text: str) -> None:
    """What a person wants to know beside the result, on standard error."""
    print(text, file=sys.stderr)


def exit_code(failure: LoadplanError | None, *, debug: bool) -> int:
    """0, or the code of what went wrong, said once on standard error."""
    if failure is None:
        return 0
    show_error(failure, as_json=False, debug=debug)
    return failure.exit_code
