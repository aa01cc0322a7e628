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
from loadplan.serve.config import Membership, ServeConfig, ServerReady
from loadplan.units import SECONDS_PER_MS


def main(arguments: list[str]) -> int:
    """Run the server; return the exit code."""
    config = _read_config(arguments, parent_pid=os.getppid())
    voice = _Voice(config)
    try:
        # Only now, after the parent has been looked at: a parent that dies during the slow imports must be missed.
        if config.member is None and config.serving.n_server_processes != 1:
            from loadplan.serve.supervisor import supervise

            code = supervise(config, arguments, on_ready=voice.ready)
        else:
            from loadplan.serve.server import serve

            serve(config, on_ready=voice.ready)
            code = 0
    except LoadplanError as error:
        voice.failed(error)
        return error.exit_code
    voice.stopped(code)
    return code


class _Voice:
    """What the process says about itself: readiness on standard output, all else on standard error."""

    def __init__(self, config: ServeConfig) -> None:
        self._config = config

    def ready(self, ready: ServerReady) -> None:
        member = self._config.member
        if member is None:  # of several processes, the one that started them warns
            for caveat in ready.caveats:
                if not self._log("warning", what=caveat.what, fix=caveat.fix):
                    sys.stderr.write(f"warning: {caveat.what}\nfix:     {caveat.fix}\n")
        said = {"url": ready.url, "model": ready.model, "pid": ready.pid, "inference": ready.inference}
        if ready.grpc is not None:
            said["grpc"] = ready.grpc
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
        self._log("ready", **said)

    def failed(self, error: LoadplanError) -> None:
        if not self._log("error", what=error.what, where=error.where, fix=error.fix):
            sys.stderr.write(f"error: {error.what}\nwhere: {error.where}\nfix:   {error.fix}\n")

    def stopped(self, code: int) -> None:
        self._log("stopped", code=code)

    def _log(self, event: str, **fields: object) -> bool:
        """Whether it was logged: in the other format the caller writes text, or nothing."""
        if self._config.log_format == "text":
            return False
        from loadplan.serve.request_log import EventLog

        member = self._config.member
        common = {"pid": os.getpid()} | ({} if member is None else {"process": member.index})
        EventLog(common).write(event, **{name: value for name, value in fields.items() if name != "pid"})
        return True


def _read_config(arguments: list[str], *, parent_pid: int) -> ServeConfig:
    options = _parser(parent_pid).parse_args(arguments)
    return ServeConfig(
        model=options.model,
        name=options.name or options.model.stem,
        host=options.host,
        port=options.port,
        grpc_port=options.grpc_port,
        execution=ExecutionConfig(variant=options.model.stem, provider=options.provider, n_threads=options.threads),
        serving=ServingConfig(
            max_batch_size=options.max_batch_size,
            batch_window_s=options.batch_window_ms * SECONDS_PER_MS,
            max_queue_rows=options.max_queue_rows,
            n_server_processes=1 if options.member else options.processes,
        ),
        inference=options.inference,
        pads=options.pads,
        cores=options.cores,
        max_body_bytes=options.max_body_mib << 20,
        log_format=options.log_format,
        log_every_nth=options.log_every_nth,
        parent_pid=options.exit_with_parent,
        member=options.member,
    )


def _parser(parent_pid: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadplan.serve", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, metavar="PATH", help="ONNX file")
    parser.add_argument("--name", help="name in the API (default: the file's)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--grpc-port", type=int, metavar="PORT", help="serve gRPC too; 0: a free one")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="servers behind the port, each whole")
    parser.add_argument("--cores", type=_read_cores, default=(), metavar="0,1", help="pin to these, dealt out evenly")
    _add_serving(parser)
    parser.add_argument("--log-format", choices=["text", "json"], default="text", help="of standard error")
    parser.add_argument(
        "--log-every-nth", type=int, default=0, metavar="N", help="in JSON: log every N-th request; 0: failures only"
    )
    parser.add_argument(
        "--exit-with-parent",
        type=int,
        nargs="?",
        const=parent_pid,
        metavar="PID",
        help="end when the parent process has ended; with its PID also when it ended before this process could look",
    )
    parser.add_argument("--member", type=_read_member, help=argparse.SUPPRESS)
    return parser


def _add_serving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-batch-size", type=int, default=1, metavar="ROWS")
    parser.add_argument("--batch-window-ms", type=float, default=0.0, metavar="MS")
    parser.add_argument("--max-queue-rows", type=int, default=1024, metavar="ROWS")
    parser.add_argument("--max-body-mib", type=int, default=16, metavar="MIB", help="larger requests get 413")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="intra-op threads of the session")
    parser.add_argument("--provider", default="CPU")
    parser.add_argument(
        "--inference",
        choices=["inline", "thread", "auto"],
        default="inline",
        help="where it runs; auto: in a thread when a full batch takes 5 ms or more at the start",
    )
    parser.add_argument(
        "--pads",
        action="store_true",
        help="pad requests of different lengths with zeros to share a batch; the model must answer them the same",
    )


def _read_cores(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _read_member(text: str) -> Membership:
    index, _, folder = text.partition(":")
    return Membership(index=int(index), folder=Path(folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
