"""Starts the server and stops it: model, port, warm-up, signals.

The order matters to whoever waits: a model that can't be loaded and a port that is taken are found before anything is
warmed up, and nothing can connect before the model is warm. SIGTERM and SIGINT stop it gracefully: no new connections,
what is on its way is answered (for 10 s at most), and the call returns.
"""

import asyncio
import contextlib
import ctypes
import errno
import gc
import os
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address

import psutil
import uvicorn
import uvloop

import loadplan
from loadplan.caveat import Caveat
from loadplan.errors import EnvironmentFault, InputError
from loadplan.execution import padding_problem
from loadplan.inference import Session, example_text, open_session, run
from loadplan.serve import protocol
from loadplan.serve.app import Application, ServedModel
from loadplan.serve.batcher import Batcher, Infer
from loadplan.serve.config import ServeConfig, ServerReady
from loadplan.serve.connection import Connection
from loadplan.serve.joining import joining_of, sequence_names
from loadplan.serve.metrics import Counters, batch_sizes_up_to
from loadplan.serve.readiness import Readiness, blank_rows

# An idle connection of a load generator must survive its pauses; uvicorn's own 5 s break keep-alive pools.
_KEEP_ALIVE_S = 600
_STOP_LIMIT_S = 10
_BACKLOG = 2048
# libuv takes one new connection per turn and listening descriptor, and a turn may hold an inference: after a stall,
# when all callers connect anew, the last of hundreds would wait for as many inferences.
_ACCEPTED_PER_TURN = 16
_PR_SET_PDEATHSIG = 1  # from <sys/prctl.h>

OnReady = Callable[[ServerReady], None]


def serve(config: ServeConfig, *, on_ready: OnReady = lambda _: None) -> None:
    """Serve one model until SIGTERM or SIGINT; `on_ready` is called once, when requests are accepted.

    Raises:
        InputError: when the model can't be read or can't be served as asked.
        EnvironmentFault: when the port is taken, or this machine can't run the model.
    """
    _check(config)
    if config.parent_pid is not None:
        _end_with_parent(config.parent_pid)
    _pin(config.cores)
    session = open_session(config.model, config.execution)  # after pinning: its threads inherit the cores
    _check_batching(session, config)
    with contextlib.closing(_bind(config.host, config.port)) as listener:
        infer = partial(run, session)
        _warm_up(infer, session, config)
        _listen(listener, config)
        # What is alive now lives as long as the process: the garbage collector need not look at it again.
        gc.collect()
        gc.freeze()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config, session, infer, listener, on_ready))


class _Server(uvicorn.Server):
    """uvicorn's server that returns after a graceful stop instead of dying by the signal that asked for it."""

    def __init__(self, config: uvicorn.Config, *, on_started: Callable[[], None], on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_started()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # once a second
            now_s = asyncio.get_running_loop().time()
            for connection in tuple(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.close_if_slow(now_s)
        if self.should_exit:
            self._on_stop()
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


async def _serve(
    config: ServeConfig, session: Session, infer: Infer, listener: socket.socket, on_ready: OnReady
) -> None:
    counters = Counters(config.serving.max_batch_size)
    readiness = Readiness(infer, blank_rows(session.inputs, 1, text=example_text(session)))
    padded = sequence_names(session.inputs) if config.pads else frozenset()
    app = Application(
        ServedModel(
            name=config.name,
            signature=protocol.read_signature(session.inputs, session.outputs, padded=padded),
            server_metadata=protocol.server_metadata(loadplan.__version__),
            model_metadata=protocol.model_metadata(config.name, session.inputs, session.outputs),
        ),
        Batcher(infer, config.serving, counters=counters, joining=joining_of(session.inputs, pads=config.pads)),
        counters=counters,
        readiness=readiness,
        max_body_bytes=config.max_body_bytes,
    )

    def stop() -> None:
        readiness.is_stopping = True

    server = _Server(
        _uvicorn_config(app),
        on_started=lambda: on_ready(_ready(config, listener)),
        on_stop=stop,
    )
    # The server closes all of them when it stops, so that nobody is let in who would get no answer.
    await server.serve(sockets=[listener, *(listener.dup() for _ in range(_ACCEPTED_PER_TURN - 1))])


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
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_STOP_LIMIT_S,
    )


def _check(config: ServeConfig) -> None:
    serving, execution = config.serving, config.execution
    if min(serving.max_batch_size, serving.max_queue_rows) < 1 or serving.batch_window_s < 0.0:
        raise InputError(
            what=f"a batch of {serving.max_batch_size} rows, a queue of {serving.max_queue_rows} and a window of "
            f"{serving.batch_window_s} s can't be served",
            where="the serving configuration",
            fix="ask for at least one row, and a window of 0 or more",
        )
    if not 0 <= config.port <= 65535:  # the resolver would silently take it modulo 65536
        raise InputError(what=f"{config.port} is not a port", where="the port asked for", fix="choose one up to 65535")
    if serving.n_server_processes != 1 or execution.n_sessions != 1:
        raise InputError(
            what=f"{serving.n_server_processes} processes with {execution.n_sessions} sessions were asked for",
            where="the serving configuration",
            fix="ask for one process with one session; start several servers for more",
        )


def _check_batching(session: Session, config: ServeConfig) -> None:
    for spec in (*session.inputs, *session.outputs):
        if not spec.shape:
            raise InputError(
                what=f"the tensor {spec.name!r} is a single number, so it has no axis for rows",
                where=str(config.model),
                fix="export the model with the rows as the first axis of every input and output",
            )
    for spec in session.inputs:
        if spec.shape[0] is not None and config.serving.max_batch_size != spec.shape[0]:
            raise InputError(
                what=f"the model takes exactly {spec.shape[0]} rows, the batch size asked for is "
                f"{config.serving.max_batch_size}",
                where=str(config.model),
                fix=f"export the model with a dynamic first axis, or serve it with a batch size of {spec.shape[0]}",
            )
    problem = padding_problem(session.inputs, session.outputs) if config.pads else None
    if problem is not None:
        raise InputError(
            what=f"requests can't be padded to share a batch of this model: {problem}",
            where=str(config.model),
            fix="serve it without --pads",
        )


def _warm_up(infer: Infer, session: Session, config: ServeConfig) -> None:
    """One inference per batch size: memory is laid out and code paths are chosen before the first request."""
    sizes = batch_sizes_up_to(config.serving.max_batch_size)
    text = example_text(session)
    for n_rows in sizes if session.inputs[0].shape[0] is None else (session.inputs[0].shape[0],):
        try:
            outputs = infer(blank_rows(session.inputs, n_rows, text=text))
        except Exception as error:
            raise InputError(
                what=f"the model fails on {n_rows} rows of zeros: {(str(error).splitlines() or [''])[0][:300]}",
                where=str(config.model),
                fix="check that the model runs, and that it takes any number of rows",
            ) from error
        for name, output in outputs.items():
            if len(output) != n_rows and config.serving.max_batch_size > 1:
                raise InputError(
                    what=f"the output {name!r} has {len(output)} rows for {n_rows} rows of input",
                    where=str(config.model),
                    fix="export the model with the rows as the first axis of every output, or serve batches of 1",
                )


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise InputError(
            what=f"{host!r} is not an address to listen on: {error}",
            where="the host asked for",
            fix="give an address of this machine, such as 127.0.0.1",
        ) from error
    listener = socket.socket(family, kind, number)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _port_fault(error, host, port) from error
    return listener


def _listen(listener: socket.socket, config: ServeConfig) -> None:
    try:
        listener.listen(_BACKLOG)
    except OSError as error:  # somebody else bound the same port meanwhile and listened first
        raise _port_fault(error, config.host, config.port) from error


def _port_fault(error: OSError, host: str, port: int) -> EnvironmentFault | InputError:
    if error.errno != errno.EADDRINUSE:
        return EnvironmentFault(
            what=f"the server can't listen on {host}:{port}: {error.strerror}",
            where="the network",
            fix="choose an address of this machine and a port above 1023",
        )
    return EnvironmentFault(
        what=f"port {port} on {host} is taken{_holder(port)}",
        where="the network",
        fix="stop that program, or choose another port (0 takes a free one)",
    )


def _holder(port: int) -> str:
    try:
        listening = (entry for entry in psutil.net_connections("tcp") if entry.status == psutil.CONN_LISTEN)
        pid = next((entry.pid for entry in listening if entry.laddr.port == port), None)
        return f" by process {pid} ({psutil.Process(pid).name()})" if pid else ""
    except psutil.Error:
        return ""  # not allowed to know


def _ready(config: ServeConfig, listener: socket.socket) -> ServerReady:
    port = listener.getsockname()[1]
    host = f"[{config.host}]" if ":" in config.host else config.host
    return ServerReady(
        url=f"http://{host}:{port}", model=config.name, pid=os.getpid(), caveats=_exposure(listener, port)
    )


def _exposure(listener: socket.socket, port: int) -> tuple[Caveat, ...]:
    address = listener.getsockname()[0]
    if ip_address(address).is_loopback:
        return ()
    return (
        Caveat(
            code="serve.exposed",
            what=f"the server listens on {address}:{port}, where other machines can reach it without a password",
            fix="leave the host out to listen on 127.0.0.1 only, or see to it that a firewall stands before it",
        ),
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


def _end_with_parent(parent_pid: int) -> None:
    """Have the kernel end this process when its parent has ended, however that happened.

    The kernel watches the *thread* that started this process: start it from one that lives as long as it is needed.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        raise EnvironmentFault(
            what=f"the process {parent_pid}, which this server was to end with, has already ended",
            where="the start of the server",
            fix="start it from a process that waits for it",
        )
