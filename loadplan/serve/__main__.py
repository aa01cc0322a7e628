"""The server process: `python -m loadplan.serve --model PATH …`. Started, never imported.

Says one line of JSON on standard output when it is ready, and errors on standard error; argparse keeps its start light.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from loadplan.errors import LoadplanError
from loadplan.execution import ExecutionConfig, ServingConfig
from loadplan.serve.config import ServeConfig, ServerReady
from loadplan.units import SECONDS_PER_MS


def main(arguments: list[str]) -> int:
    """Run the server; return the exit code."""
    config = _read_config(arguments, parent_pid=os.getppid())
    try:
        # Only now, after the parent has been looked at: a parent that dies during the slow imports must be missed.
        from loadplan.serve.server import serve

        serve(config, on_ready=_say_ready)
    except LoadplanError as error:
        sys.stderr.write(f"error: {error.what}\nwhere: {error.where}\nfix:   {error.fix}\n")
        return error.exit_code
    return 0


def _say_ready(ready: ServerReady) -> None:
    for caveat in ready.caveats:
        sys.stderr.write(f"warning: {caveat.what}\nfix:     {caveat.fix}\n")
    sys.stdout.write(json.dumps({"url": ready.url, "model": ready.model, "pid": ready.pid}) + "\n")
    sys.stdout.flush()


def _read_config(arguments: list[str], *, parent_pid: int) -> ServeConfig:
    parser = argparse.ArgumentParser(prog="python -m loadplan.serve", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, metavar="PATH", help="ONNX file")
    parser.add_argument("--name", help="name in the API (default: the file's)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--max-batch-size", type=int, default=1, metavar="ROWS")
    parser.add_argument("--batch-window-ms", type=float, default=0.0, metavar="MS")
    parser.add_argument("--max-queue-rows", type=int, default=1024, metavar="ROWS")
    parser.add_argument("--max-body-mib", type=int, default=16, metavar="MIB", help="larger requests get 413")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="intra-op threads of the session")
    parser.add_argument("--provider", default="CPU")
    parser.add_argument(
        "--pads",
        action="store_true",
        help="pad requests of different lengths with zeros to share a batch; the model must answer them the same",
    )
    parser.add_argument("--cores", type=_read_cores, default=(), metavar="0,1", help="pin the process to these")
    parser.add_argument(
        "--exit-with-parent",
        type=int,
        nargs="?",
        const=parent_pid,
        metavar="PID",
        help="end when the parent process has ended; with its PID also when it ended before this process could look",
    )
    options = parser.parse_args(arguments)
    return ServeConfig(
        model=options.model,
        name=options.name or options.model.stem,
        host=options.host,
        port=options.port,
        execution=ExecutionConfig(variant=options.model.stem, provider=options.provider, n_threads=options.threads),
        serving=ServingConfig(
            max_batch_size=options.max_batch_size,
            batch_window_s=options.batch_window_ms * SECONDS_PER_MS,
            max_queue_rows=options.max_queue_rows,
        ),
        pads=options.pads,
        cores=options.cores,
        max_body_bytes=options.max_body_mib << 20,
        parent_pid=options.exit_with_parent,
    )


def _read_cores(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
