"""The ASGI application: paths to answers. It knows HTTP statuses; `protocol` knows documents, `batcher` the queue.

Answers are sent by the batcher's turn itself, not by the task that waits for them: a woken task would run in the next
turn, behind the next inference. So `_send_now` drives the server's `send` by hand, which is possible because `send`
suspends only when the client does not read; what is left then goes to the task.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import orjson

from loadplan.inference import Tensors
from loadplan.serve import protocol
from loadplan.serve.batcher import Batcher
from loadplan.serve.metrics import Counters, ServerMetrics
from loadplan.serve.protocol import BadRequest, InferRequest, Signature
from loadplan.serve.readiness import Readiness

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Coroutine[Any, Any, None]]
Answer = tuple[int, bytes]

_JSON: Final = (b"content-type", b"application/json")
_METRICS: Final = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_CLOSE: Final = (b"connection", b"close")
_RETRY: Final = (b"retry-after", b"1")  # seconds; whole ones only, and a full queue is worked off well within one

# The key under which the connection puts a way to see that the client has left into the request's scope.
IS_GONE: Final = "loadplan.is_gone"


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
        readiness: Readiness,
        max_body_bytes: int,
    ) -> None:
        self.batcher = batcher
        self._model = model
        self._counters = counters
        self._readiness = readiness
        self._metrics = ServerMetrics(counters)
        self._max_body_bytes = max_body_bytes
        here = f"/v2/models/{model.name}"
        self._pages: Mapping[str, Callable[[], Answer]] = {
            "/v2": lambda: (200, model.server_metadata),
            "/v2/health/live": lambda: (200, orjson.dumps({"live": True})),
            "/v2/health/ready": self._server_ready,
            "/metrics": lambda: (200, self._metrics.render()),
            here: lambda: (200, model.model_metadata),
            f"{here}/ready": self._model_ready,
            f"{here}/versions/{protocol.MODEL_VERSION}": lambda: (200, model.model_metadata),
            f"{here}/versions/{protocol.MODEL_VERSION}/ready": self._model_ready,
        }
        self._infer_paths = frozenset(
            (f"{here}/infer", f"{here}/versions/{protocol.MODEL_VERSION}/infer"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        if path in self._infer_paths:
            if scope["method"] == "POST":
                await self._infer(scope, receive, send)
            else:
                await _reply(send, 405, protocol.write_error("only POST here"), (b"allow", b"POST"), _CLOSE)
        elif path in self._pages:
            await self._show(path, scope["method"], send)
        else:
            await _reply(send, 404, protocol.write_error(self._not_found(path)), _CLOSE)

    async def _infer(self, scope: Scope, receive: Receive, send: Send) -> None:
        counters = self._counters
        counters.n_received += 1
        try:
            body = await _read_body(scope, receive, self._max_body_bytes)
        except _ClientLeft:
            counters.n_by_outcome["disconnected"] += 1
            return
        except _TooLarge as error:
            counters.n_by_outcome["too_large"] += 1
            await _reply(send, 413, protocol.write_error(str(error)), *error.headers)
            return
        # A full queue refuses before the body is parsed: under overload that is most of the work.
        if self.batcher.is_full:
            await self._refuse(send)
            return
        try:
            request = protocol.read_request(body, self._model.signature)
        except BadRequest as error:
            counters.n_by_outcome["bad_request"] += 1
            await _reply(send, 400, protocol.write_error(str(error)))
            return
        if not self.batcher.has_room(request.n_rows):
            await self._refuse(send)
            return
        exchange = Exchange(request, self._model, counters=counters, send=send, is_gone=scope.get(IS_GONE, _never))
        self.batcher.enqueue(exchange)
        for unsent in await exchange.done:
            await send(unsent)
        if exchange.is_dropped:
            await receive()  # returns when the server, too, knows that the client has left

    async def _show(self, path: str, method: str, send: Send) -> None:
        if method not in ("GET", "HEAD"):
            await _reply(send, 405, protocol.write_error("only GET here"), (b"allow", b"GET, HEAD"), _CLOSE)
            return
        status, body = self._pages[path]()
        kind = _METRICS if path == "/metrics" else _JSON
        await send({"type": "http.response.start", "status": status, "headers": [kind, _length(body)]})
        await send({"type": "http.response.body", "body": body})

    async def _refuse(self, send: Send) -> None:
        self._counters.n_by_outcome["rejected"] += 1
        await _reply(send, 503, _QUEUE_FULL, _RETRY)

    def _server_ready(self) -> Answer:
        is_ready = self._readiness.is_ready()
        return 200 if is_ready else 503, orjson.dumps({"ready": is_ready})

    def _model_ready(self) -> Answer:
        is_ready = self._readiness.is_ready()
        return 200 if is_ready else 503, orjson.dumps({"name": self._model.name, "ready": is_ready})

    def _not_found(self, path: str) -> str:
        if path.startswith("/v2/models/"):
            return f"there is nothing at {path[:200]!r}; the model here is {self._model.name!r}, version 1"
        return f"there is nothing at {unquote(path[:200])!r}"


class Exchange:
    """One inference request from its entry into the queue to its answer."""

    __slots__ = ("_counters", "_model", "_send", "done", "inputs", "is_dropped", "is_gone", "n_rows", "request")

    def __init__(
        self, request: InferRequest, model: ServedModel, *, counters: Counters, send: Send, is_gone: Callable[[], bool]
    ) -> None:
        self.request = request
        self.inputs = request.inputs
        self.n_rows = request.n_rows
        self.is_gone = is_gone
        self.is_dropped = False
        self.done: asyncio.Future[Sequence[Message]] = asyncio.get_running_loop().create_future()
        self._model = model
        self._counters = counters
        self._send = send

    def drop(self) -> None:
        """The client left before its turn came."""
        self.is_dropped = True
        self._finish("disconnected", ())

    def answer(self, outputs: Tensors) -> None:
        """Encode and send this request's rows."""
        try:
            body = protocol.write_answer(self._model.name, self.request, outputs, self._model.signature)
        except (TypeError, KeyError) as error:  # an output that JSON can't hold must not cost the others theirs
            self.fail(error)
            return
        self._finish("ok", _send_now(self._send, _messages(200, body)))

    def fail(self, error: Exception) -> None:
        """Tell the client that the model failed on its request."""
        reason = (str(error).splitlines() or [type(error).__name__])[0][:500]
        body = protocol.write_error(f"the model failed on this request: {reason}")
        self._finish("failed", _send_now(self._send, _messages(500, body)))

    def _finish(self, outcome: str, unsent: Sequence[Message]) -> None:
        self._counters.n_by_outcome[outcome] += 1
        if not self.done.cancelled():
            self.done.set_result(unsent)


def _send_now(send: Send, messages: Sequence[Message]) -> Sequence[Message]:
    """Send without waiting; return what could not be sent because the client reads too slowly."""
    for index, message in enumerate(messages):
        sending = send(message)
        try:
            sending.send(None)
        except StopIteration:
            continue
        # It waits for room before it writes anything, so the whole message is still to be sent.
        sending.close()
        return messages[index:]
    return ()


class _ClientLeft(Exception):
    """The client closed its connection before its request was complete."""


class _TooLarge(Exception):
    """The body is larger than allowed; `headers` are for the answer."""

    def __init__(self, message: str, *headers: tuple[bytes, bytes]) -> None:
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


def _check_claim(scope: Scope, max_bytes: int) -> None:
    claimed = next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)
    if claimed > max_bytes:
        # Closing is the only way not to read the rest, but it also keeps most clients, which write before they read,
        # from seeing the answer. Where the rest is not much, it is read and thrown away.
        headers = (_CLOSE,) if claimed > 4 * max_bytes else ()
        raise _TooLarge(f"the body of {claimed} bytes is larger than {max_bytes}, the most this server takes", *headers)


async def _reply(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    for message in _messages(status, body, *headers):
        await send(message)


def _messages(status: int, body: bytes, *headers: tuple[bytes, bytes]) -> tuple[Message, Message]:
    return (
        {"type": "http.response.start", "status": status, "headers": [_JSON, _length(body), *headers]},
        {"type": "http.response.body", "body": body},
    )


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % len(body)


def _never() -> bool:
    return False


_QUEUE_FULL: Final = protocol.write_error("the queue is full")
