"""Starts one server process and stops it: model, port, warm-up, signals.

The order matters to whoever waits: a model that can't be loaded and a port that is taken are found before anything is
warmed up, and nothing can connect before the model is warm. SIGTERM and SIGINT stop it gracefully: no new connections,
what is on its way is answered (for 10 s at most), and the call returns.
"""

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import uvicorn
import uvloop

from loadplan.errors import EnvironmentFault, InputError
from loadplan.inference import Session, open_session, run
from loadplan.serve import listening
from loadplan.serve.app import Application
from loadplan.serve.assembly import Parts, assemble
from loadplan.serve.config import ServeConfig, ServerReady
from loadplan.serve.connection import Connection
from loadplan.serve.inference_runner import Infer
from loadplan.serve.warm_up import check_batching, check_config, warm_up
from loadplan.system import require_linux

# An idle connection of a load generator must survive its pauses; uvicorn's own 5 s break keep-alive pools.
_KEEP_ALIVE_S = 600
_STOP_LIMIT_S = 10
# libuv takes one new connection per turn and listening descriptor, and a turn may hold an inference: after a stall,
# when all callers connect anew, the last of hundreds would wait for as many inferences.
_ACCEPTED_PER_TURN = 16
_TICKS_PER_S = 10  # of uvicorn's own clock
_PR_SET_PDEATHSIG = 1  # from <sys/prctl.h>

OnReady = Callable[[ServerReady], None]
InferWith = Callable[[Session], Infer]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ports:
    """Sockets that are bound, and let nobody in yet."""

    http: socket.socket
    grpc: socket.socket | None  # holds the port that gRPC will share; it never listens itself


def by_runtime(session: Session) -> Infer:
    """Inferences as they usually are: ONNX Runtime's."""
    return partial(run, session)


def serve(config: ServeConfig, *, on_ready: OnReady = lambda _: None, infer_with: InferWith = by_runtime) -> None:
    """Serve one model in this process until SIGTERM or SIGINT; `on_ready` is called once, when requests are accepted.

    `infer_with` makes the inferences of the opened model, for who wants to serve it by a law of his own.

    Raises:
        InputError: when the model can't be read or can't be served as asked.
        EnvironmentFault: when the port is taken, this machine can't run the model, or gRPC is asked for and missing.
    """
    check_config(config)
    if config.parent_pid is not None:
        end_with_parent(config.parent_pid)
    if config.grpc_port is not None:
        from loadplan.serve.grpc_front import load_grpc

        load_grpc()
    _pin(config.cores)
    session = open_session(config.model, config.execution)  # after pinning: its threads inherit the cores
    check_batching(session, config)
    infer = infer_with(session)
    with _bound(config) as ports:
        full_batch_s = warm_up(infer, session, config)
        listening.listen(ports.http, config.host, config.port)
        # What is alive now lives as long as the process: the garbage collector need not look at it again.
        gc.collect()
        gc.freeze()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assembled = partial(assemble, config, session, infer, full_batch_s=full_batch_s)
            runner.run(_serve(config, assembled, ports, on_ready))


@contextlib.contextmanager
def _bound(config: ServeConfig) -> Iterator[_Ports]:
    is_shared = config.member is not None
    with contextlib.ExitStack() as stack:
        http = stack.enter_context(listening.bind(config.host, config.port, is_shared=is_shared))
        grpc = None
        if config.grpc_port is not None:
            # Of several processes the one that started them has reserved it for all.
            take = partial(listening.bind, is_shared=True) if is_shared else listening.reserve
            grpc = stack.enter_context(take(config.host, config.grpc_port))
        yield _Ports(http=http, grpc=grpc)


class _Server(uvicorn.Server):
    """uvicorn's server that returns after a graceful stop instead of dying by the signal that asked for it."""

    def __init__(self, parts: Parts, *, on_started: Callable[[], None]) -> None:
        super().__init__(_uvicorn_config(parts.app))
        self._parts = parts
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        grpc = self._parts.grpc
        await asyncio.gather(super().shutdown(sockets=sockets), *([] if grpc is None else [grpc.stop(_STOP_LIMIT_S)]))

    async def on_tick(self, counter: int) -> bool:
        if self._parts.siblings is not None:
            self._parts.siblings.publish()
        if counter % _TICKS_PER_S == 0:
            now_s = asyncio.get_running_loop().time()
            for connection in tuple(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.close_if_slow(now_s)
        if self.should_exit:
            self._parts.readiness.is_stopping = True
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        kinds = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(kind, self.handle_exit) for kind in kinds]
        try:
            yield
        finally:
            for kind, handler in zip(kinds, before, strict=True):
                signal.signal(kind, handler)


async def _serve(config: ServeConfig, assembled: Callable[[], Parts], ports: _Ports, on_ready: OnReady) -> None:
    parts = assembled()  # in the loop that they belong to
    ready = _ready(config, ports, parts)
    if parts.siblings is not None:
        parts.siblings.publish()  # before the first request, so that each knows of all when all are ready
    if parts.grpc is not None and ready.grpc is not None:
        await parts.grpc.start(ready.grpc)
    server = _Server(parts, on_started=partial(on_ready, ready))
    # The server closes all of them when it stops, so that nobody is let in who would get no answer.
    await server.serve(sockets=[ports.http, *(ports.http.dup() for _ in range(_ACCEPTED_PER_TURN - 1))])


def _uvicorn_config(app: Application) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        log_config=None,
        log_level="error",
        backlog=listening.BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_STOP_LIMIT_S,
    )


def _ready(config: ServeConfig, ports: _Ports, parts: Parts) -> ServerReady:
    address = listening.address_of(config.host, ports.http.getsockname()[1])
    return ServerReady(
        url=f"http://{address}",
        grpc=None if ports.grpc is None else listening.address_of(config.host, ports.grpc.getsockname()[1]),
        model=config.name,
        pid=os.getpid(),
        inference=parts.place,
        caveats=listening.exposure(ports.http),
    )


def _pin(cores: tuple[int, ...]) -> None:
    if not cores:
        return
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:
        raise InputError(
            what=f"the process can't run on the cores {', '.join(map(str, cores))}",
            where="the cores asked for",
            fix=f"choose from {', '.join(map(str, sorted(os.sched_getaffinity(0))))}",
        ) from error


def end_with_parent(parent_pid: int) -> None:
    """Have the kernel end this process when its parent has ended, however that happened.

    The kernel watches the *thread* that started this process: start it from one that lives as long as it is needed.

    Raises:
        EnvironmentFault: when the parent has ended already, or the kernel isn't Linux's.
    """
    require_linux()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        raise EnvironmentFault(
            what=f"the process {parent_pid}, which this server was to end with, has already ended",
            where="the start of the server",
            fix="start it from a process that waits for it",
        )
