"""The ASGI application: paths to answers. It knows HTTP statuses; `protocol` knows documents, `batcher` the queue.

Answers don't go through ASGI's `send`: it can only be awaited, and the task that awaits it would be woken a turn later,
behind the next inference; and it writes head and body apart, which is two system calls and two packets. Instead every
request's scope holds the `Client` that waits (put there by `connection`), which takes a whole answer at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from loadplan.inference import Tensors
from loadplan.serve import protocol
from loadplan.serve.batcher import Batcher
from loadplan.serve.exchange import Exchange
from loadplan.serve.metrics import Counters, ServerMetrics
from loadplan.serve.readiness import Readiness
from loadplan.serve.request_log import RequestLog
from loadplan.serve.signature import MODEL_VERSION, BadRequest, InferRequest, Signature
from loadplan.v2_tensors import HEADER_LENGTH

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Page = Callable[[], tuple[int, bytes]]

# The key of the scope under which the connection puts the `Client`.
CLIENT: Final = "loadplan.client"

_JSON: Final = b"application/json"
_BINARY: Final = b"application/octet-stream"
_METRICS: Final = b"text/plain; version=0.0.4; charset=utf-8"
_CLOSE: Final = b"connection: close\r\n"
_RETRY: Final = b"retry-after: 1\r\n"  # in whole seconds; a full queue is worked off well within one
_QUEUE_FULL: Final = protocol.write_error("the queue is full")
_HEADER_LENGTH: Final = HEADER_LENGTH.lower().encode()
_STATUS_OF: Final = {"failed": 500, "expired": 504}


class Client(Protocol):
    """Who waits for the answer to one request."""

    def is_gone(self) -> bool:
        """Whether the connection has been closed."""

    def forget(self) -> None:
        """Called instead of `answer` when the client is gone."""

    def answer(self, status: int, body: bytes, *, kind: bytes, headers: bytes = b"") -> None:
        """Send a whole answer now. `headers` are lines, each with its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """What is told about the model."""

    name: str
    signature: Signature
    server_metadata: bytes
    model_metadata: bytes


class Application:
    """ASGI entry point of one model. `batcher` is public for the connections, which tell it that they have read."""

    def __init__(
        self,
        model: ServedModel,
        batcher: Batcher,
        *,
        counters: Counters,
        metrics: ServerMetrics,
        readiness: Readiness,
        log: RequestLog | None,
        max_body_bytes: int,
    ) -> None:
        self.batcher = batcher
        self._loop = asyncio.get_running_loop()  # asked for once: each time is a system call
        self._model = model
        self._counters = counters
        self._readiness = readiness
        self._metrics = metrics
        self._log = log
        self._max_body_bytes = max_body_bytes
        here = f"/v2/models/{model.name}"
        version = f"{here}/versions/{MODEL_VERSION}"
        self._infer_paths = frozenset((f"{here}/infer", f"{version}/infer"))
        self._pages: Mapping[str, Page] = {
            "/v2": lambda: (200, model.server_metadata),
            "/v2/health/live": lambda: (200, orjson.dumps({"live": True})),
            "/v2/health/ready": self._server_ready,
            "/metrics": lambda: (200, self._metrics.render()),
            here: lambda: (200, model.model_metadata),
            version: lambda: (200, model.model_metadata),
            f"{here}/ready": self._model_ready,
            f"{version}/ready": self._model_ready,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- see the module
        """Answer one request."""
        client: Client = scope[CLIENT]
        path, method = scope["path"], scope["method"]
        if path in self._infer_paths:
            if method == "POST":
                await self._infer(scope, receive, client)
            else:
                _reply_error(client, 405, "only POST here", b"allow: POST\r\n", _CLOSE)
        elif path in self._pages:
            if method in ("GET", "HEAD"):
                status, body = self._pages[path]()
                client.answer(status, body, kind=_METRICS if path == "/metrics" else _JSON)
            else:
                _reply_error(client, 405, "only GET here", b"allow: GET, HEAD\r\n", _CLOSE)
        else:
            _reply_error(client, 404, self._not_found(path), _CLOSE)

    async def _infer(self, scope: Scope, receive: Receive, client: Client) -> None:
        counters = self._counters
        counters.n_received += 1
        try:
            body = await _read_body(scope, receive, self._max_body_bytes)
            # A full queue refuses before the body is parsed: under overload that is most of the work.
            if self.batcher.is_full:
                self._refuse(client)
                return
            request = protocol.read_request(body, self._model.signature, n_json_bytes=_n_json_bytes(scope))
        except _ClientLeft:
            counters.n_by_outcome["disconnected"] += 1
            client.forget()
        except _TooLarge as error:
            counters.n_by_outcome["too_large"] += 1
            _reply_error(client, 413, str(error), *error.headers)
        except BadRequest as error:
            counters.n_by_outcome["bad_request"] += 1
            _reply_error(client, 400, str(error))
        else:
            if not self.batcher.has_room(request.n_rows):
                self._refuse(client)
                return
            done = self._loop.create_future()
            caller = _HttpCaller(client, self._model, done)
            exchange = Exchange(request, caller, counters=counters, log=self._log)
            if request.timeout_s is not None:
                exchange.expire_in(request.timeout_s, self._loop, self.batcher.request_turn)
            self.batcher.enqueue(exchange)
            await done

    def _refuse(self, client: Client) -> None:
        self._counters.n_by_outcome["rejected"] += 1
        client.answer(503, _QUEUE_FULL, kind=_JSON, headers=_RETRY)

    def _server_ready(self) -> tuple[int, bytes]:
        is_ready = self._readiness.is_ready()
        return 200 if is_ready else 503, orjson.dumps({"ready": is_ready})

    def _model_ready(self) -> tuple[int, bytes]:
        is_ready = self._readiness.is_ready()
        return 200 if is_ready else 503, orjson.dumps({"name": self._model.name, "ready": is_ready})

    def _not_found(self, path: str) -> str:
        served = f"; the model here is {self._model.name!r}, version 1" if path.startswith("/v2/models/") else ""
        return f"there is nothing at {path[:200]!r}{served}"


class _HttpCaller:
    """The client of one request, answered in the protocol's documents; see `exchange.Caller`."""

    __slots__ = ("_client", "_done", "_model", "is_gone")

    def __init__(self, client: Client, model: ServedModel, done: "asyncio.Future[None]") -> None:
        self.is_gone = client.is_gone
        self._client = client
        self._model = model
        self._done = done

    def forget(self) -> None:
        self._client.forget()
        self._end()

    def answer(self, request: InferRequest, outputs: Tensors) -> None:
        body, n_json_bytes = protocol.write_answer(self._model.name, request, outputs, self._model.signature)
        if n_json_bytes is None:
            self._client.answer(200, body, kind=_JSON)
        else:
            self._client.answer(200, body, kind=_BINARY, headers=b"%b: %d\r\n" % (HEADER_LENGTH.encode(), n_json_bytes))
        self._end()

    def refuse(self, outcome: str, message: str) -> None:
        _reply_error(self._client, _STATUS_OF[outcome], message)
        self._end()

    def _end(self) -> None:
        if not self._done.cancelled():  # it is when the server stops waiting for slow answers
            self._done.set_result(None)


class _ClientLeft(Exception):
    """The client closed its connection before its request was complete."""


class _TooLarge(Exception):
    """The body is larger than allowed; `headers` are for the answer."""

    def __init__(self, message: str, *headers: bytes) -> None:
        super().__init__(message)
        self.headers = headers


async def _read_body(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
    """The whole body. Raises _TooLarge as soon as it is known to be, and _ClientLeft."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        _check_claim(scope, max_bytes)
        parts = [body]
        n_bytes = len(body)
        while message.get("more_body") and n_bytes <= max_bytes:
            message = await receive()
            parts.append(message.get("body", b""))
            n_bytes += len(parts[-1])
        body = b"".join(parts)
    if message["type"] == "http.disconnect":
        raise _ClientLeft
    if len(body) > max_bytes:
        raise _TooLarge(f"the body is larger than {max_bytes} bytes, the most this server takes", _CLOSE)
    return body


def _n_json_bytes(scope: Scope) -> int | None:
    """The length of the JSON before the binary tensors, where the request's head names one. Raises BadRequest."""
    for name, value in scope["headers"]:
        if name == _HEADER_LENGTH:
            if not value.isdigit() or len(value) > 18:
                raise BadRequest(f"{HEADER_LENGTH} must be a number of bytes")
            return int(value)
    return None


def _check_claim(scope: Scope, max_bytes: int) -> None:
    claimed = next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)
    if claimed > max_bytes:
        # Closing is the only way not to read the rest, but it also keeps most clients, which write before they read,
        # from seeing the answer. Where the rest is not much, it is read and thrown away.
        headers = (_CLOSE,) if claimed > 4 * max_bytes else ()
        raise _TooLarge(f"the body of {claimed} bytes is larger than {max_bytes}, the most this server takes", *headers)


def _reply_error(client: Client, status: int, message: str, *headers: bytes) -> None:
    client.answer(status, protocol.write_error(message), kind=_JSON, headers=b"".join(headers))
