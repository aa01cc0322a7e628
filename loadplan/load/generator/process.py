"""Starts Locust as a process of its own, and waits for its records or its end."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import loadplan
from loadplan.child_process import how_it_ended, last_lines, stop
from loadplan.errors import InvalidMeasurement
from loadplan.load.records import LoadSpec

_START_LIMIT_S = 60.0  # importing Locust takes a second, many on a machine that is busy
_END_LIMIT_S = 20.0  # judging and writing the records of millions of requests
_LOOK_EVERY_S = 0.2
STOP_LIMIT_S = 1.5
INTERRUPTED = "it was interrupted before its end"
LOCUSTFILE = Path(__file__).with_name("locustfile.py")
# Only the end of the run is Locust's to tell; figures and logs are not asked for.
_LOCUST_OPTIONS = ("--only-summary", "--skip-log-setup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearers:
    """Who wants to know how a run goes."""

    began: Callable[[], None]  # the first request is about to fall due
    progress: Callable[[float], None]  # share done, 0 to 1


def shown_at(web_port: int | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """Options and variables of a Locust that begins at once, with its web page on this port of loopback or without."""
    if web_port is None:
        return ("--headless", "--users", "1"), {}
    page = ("--autostart", "--users", "1", "--web-host", "127.0.0.1", "--web-port", str(web_port))
    return page, {"LOADPLAN_TELLS_LOCUST": "1"}


@contextmanager
def start_locust(
    folder: Path, locustfile: Path, *options: str, variables: Mapping[str, str] | None = None, log: str = "log"
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a locustfile with these options and variables in the folder of its job; killed at the end of the block."""
    with (folder / log).open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", str(locustfile), *options, *_LOCUST_OPTIONS],
            cwd=folder,
            env=locust_environment(folder) | dict(variables or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,  # Ctrl-C reaches the driver alone, which then ends the generator
        )
    try:
        yield process
    finally:
        stop(process, grace_s=0.0)
        if process.stdout is not None:
            process.stdout.close()


def locust_environment(folder: Path) -> dict[str, str]:
    """The caller's environment, without Locust's own settings, which would change the run."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    package_root = str(Path(loadplan.__file__).parents[1])
    paths = [package_root, *filter(None, [kept.get("PYTHONPATH")])]
    # Locust also reads ~/.locust.conf, so home is the folder of the job.
    return kept | {
        "HOME": str(folder),
        "LOADPLAN_JOB_FOLDER": str(folder),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
    }


def watch_generator(
    process: subprocess.Popen[bytes],
    folder: Path,
    *,
    spec: LoadSpec,
    hearers: Hearers,
    start_limit_s: float = _START_LIMIT_S,
) -> None:
    """Wait for the end of the generator, or for the moment at which its result is there and it should have ended."""
    assert process.stdout is not None  # noqa: S101 -- it was asked for
    pipe = process.stdout
    expected_s = spec.duration_s + spec.timeout_s
    began: float | None = None
    deadline = time.monotonic() + start_limit_s
    while time.monotonic() < deadline:
        readable, _, _ = select.select([pipe], [], [], _LOOK_EVERY_S)
        if readable:
            if not os.read(pipe.fileno(), 4096):
                with suppress(subprocess.TimeoutExpired):
                    process.wait(1.0)
                return
            if began is None:
                hearers.began()
                began = time.monotonic()
                deadline = began + expected_s + _END_LIMIT_S
        if began is not None:
            hearers.progress(min(1.0, (time.monotonic() - began) / spec.duration_s))
        if (folder / "result.json").exists():
            deadline = min(deadline, time.monotonic() + 5.0 * _LOOK_EVERY_S)


def stop_sending(process: subprocess.Popen[bytes], folder: Path, *, limit_s: float = STOP_LIMIT_S) -> bool:
    """End the arrivals at once; whether the records of what had ended by then came within a second or so."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline and process.poll() is None:
        if (folder / "result.json").exists():
            break
        time.sleep(0.01)
    return (folder / "result.json").exists()


def ended_early(process: subprocess.Popen[bytes], folder: Path, *, spec: LoadSpec) -> InvalidMeasurement:
    """The error of a generator that left no records. To be asked once the process has ended."""
    return InvalidMeasurement(
        what=f"the load generator ended {how_it_ended(process.returncode)} before its records were written: "
        + last_lines(folder / "log"),
        where=f"load run {spec.name}",
        fix="run the same command again; if it happens again, report the lines above",
    )
