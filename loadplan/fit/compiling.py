"""The simulators compiled ahead, on another core, while something is done that no clock is held to.

Compiling them takes some ten seconds, once for each version on a machine: of a fit that ought to take less, or of an
export that leaves a core idle.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SERVERS, SERVICES = "loadplan.fit.compile_process", "loadplan.fit.black_box.compile_process"
_LIMIT_S = 120.0  # whatever is still missing then, the fit compiles itself


@contextmanager
def compiled_meanwhile(simulators: str = SERVERS) -> Iterator[None]:
    """The body of the `with`, and nothing left to compile after it; a compiler that fails costs only the time.

    `simulators` are those of our own server, or those of a running service.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", simulators],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LIMIT_S)
    finally:
        process.kill()
        process.wait()


def compiled_folder() -> Path:
    """Where compiled simulators are kept.

    Raises:
        RuntimeError: where no folder for them can be written: numba looks for one as soon as a simulator is imported.
    """
    from loadplan.fit.simulate import rest

    folder = rest.stats.cache_path
    if folder is None:
        raise RuntimeError("compiled simulators are not kept")
    return Path(folder)
