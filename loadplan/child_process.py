"""Child processes that end when asked, end with their parent, and leave their last words."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, however that happens. Called by the child."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent or (parent == 1 and not _is_first_process_python()):
        os.kill(os.getpid(), signal.SIGKILL)  # the parent ended before the kernel was asked


def _is_first_process_python() -> bool:
    """Whether loadplan is the first process itself, as in a container, and not the system's that adopts orphans."""
    with suppress(OSError):
        return Path("/proc/1/exe").samefile(sys.executable)
    return False


def stop(process: subprocess.Popen[bytes], *, grace_s: float) -> None:
    """SIGTERM, and after the grace SIGKILL to everything in the process's group. Returns when it is gone."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def allow_all_files(process: subprocess.Popen[bytes]) -> None:
    """Let the child open as many files, so connections, as this process's hard limit allows."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError):  # it may have ended already; whoever waits for it will say so
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, most))


def last_lines(log: Path, *, n_lines: int = 20) -> str:
    """The end of a log, for an error message; says so when there is nothing in it."""
    lines = log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()[-n_lines:]
    return "\n".join(lines) or "its log is empty"


def how_it_ended(code: int) -> str:
    """`with exit code 3`, or `by SIGKILL`."""
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
