"""`loadplan` as if on macOS: without what Linux alone has. `python macos.py '[["plan", "x.yaml"], ["doctor"]]'`.

Runs the commands one after the other, and prints a JSON list of exit code, standard output and standard error. Other
people's packages are imported before the system changes under them: theirs for macOS are not here.
"""

import contextlib
import importlib
import io
import json
import os
import platform
import resource
import select
import socket
import sys
import time

import psutil

_OF_OTHERS = (
    *("asyncio", "cattrs", "duckdb", "gevent", "jinja2", "multiprocessing", "numba", "numpy", "onnx", "onnxruntime"),
    *("packaging.requirements", "plotly.graph_objects", "psutil", "pydantic", "rich.console", "rich.progress"),
    *("ruamel.yaml", "scipy.optimize", "scipy.special", "subprocess", "tempfile", "typer", "urllib.request"),
    *("uvicorn", "uvloop", "xlsxwriter"),
)
_OF_LINUX = (
    (os, ("sched_getaffinity", "sched_setaffinity", "memfd_create", "posix_fallocate", "pidfd_open")),
    (select, ("epoll", "EPOLLIN", "EPOLLOUT", "EPOLLHUP", "EPOLLERR")),
    (time, ("CLOCK_BOOTTIME",)),
    (socket, ("SOCK_NONBLOCK", "SOCK_CLOEXEC")),
    (resource, ("prlimit",)),
)


def become_macos() -> None:
    for module, names in _OF_LINUX:
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    sys.platform = "darwin"
    platform.system, platform.machine, platform.release = lambda: "Darwin", lambda: "arm64", lambda: "25.1.0"
    memory = psutil.virtual_memory()  # which psutil for Linux reads in /proc
    psutil.virtual_memory = lambda: memory
    sys.addaudithook(refuse_proc)


def refuse_proc(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(("/proc/", "/sys/")):
        raise FileNotFoundError(2, "No such file or directory", arguments[0])


def main() -> None:
    for name in _OF_OTHERS:
        importlib.import_module(name)
    become_macos()
    from loadplan.cli.app import run_command_line

    told = []
    for words in json.loads(sys.argv[1]):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_command_line(words)
        told.append((code, out.getvalue(), err.getvalue()))
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
