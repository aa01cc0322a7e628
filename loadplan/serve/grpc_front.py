"""The gRPC service beside HTTP: the same queue, the same checks, statuses instead of numbers.

grpcio runs its own thread for the wire and hands calls to the event loop. A call whose client leaves, cancels or passes
its own deadline is cancelled here, and its request is dropped before it is computed.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from google.protobuf.message import DecodeError

import loadplan
from loadplan import v2_messages as v2
from loadplan.errors import EnvironmentFault
from loadplan.execution import TensorSpec
from loadplan.inference import Session, Tensors
from loadplan.serve import grpc_messages
from loadplan.serve.app import ServedModel
from loadplan.serve.batcher import Batcher
from loadplan.serve.exchange import Exchange
from loadplan.serve.metrics import Counters
from loadplan.serve.readiness import Readiness
from loadplan.serve.request_log import RequestLog
from loadplan.serve.signature import MODEL_VERSION, PLATFORM, BadRequest, InferRequest
from loadplan.v2_tensors import DATATYPES

if TYPE_CHECKING:
    from types import ModuleType

# What a message holds besides its tensors: names, shapes, parameters.
_MESSAGE_EXTRA_BYTES: Final = 65_536

Handler = Callable[[Any, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """How a call ends that gets no answer."""

    status: str  # name of a grpc.StatusCode
    message: str


_STATUS_OF: Final = {"failed": "INTERNAL", "expired": "DEADLINE_EXCEEDED"}
_QUEUE_FULL: Final = _Refusal(status="RESOURCE_EXHAUSTED", message="the queue is full")


def load_grpc() -> "ModuleType":
    """Import grpcio's part for the event loop, or say how to install it. Raises EnvironmentFault."""
    try:
        import grpc.aio
    except ImportError as error:
        raise EnvironmentFault(
            what=f"gRPC can't be served: {error}",
            where="this Python environment",
            fix='run: pip install "loadplan[grpc]"',
        ) from error
    module: ModuleType = grpc
    return module


class GrpcFront:
    """The service for one model. Belongs to the running event loop."""

    def __init__(
        self,
        model: ServedModel,
        session: Session,
        batcher: Batcher,
        *,
        counters: Counters,
        readiness: Readiness,
        log: RequestLog | None,
        max_body_bytes: int,
    ) -> None:
        self._grpc = load_grpc()
        self._loop = asyncio.get_running_loop()
        self._model = model
        self._session = session
        self._batcher = batcher
        self._counters = counters
        self._readiness = readiness
        self._log = log
        self._server = self._grpc.aio.server(
            options=(
                ("grpc.so_reuseport", 1),  # the port is held by a socket that `listening.reserve` has bound
                ("grpc.max_receive_message_length", max_body_bytes + _MESSAGE_EXTRA_BYTES),
                ("grpc.max_send_message_length", -1),
            )
        )

    async def start(self, address: str) -> None:
        """Let clients in at this host and port."""
        handlers = {
            name: self._grpc.unary_unary_rpc_method_handler(self._handler(name), response_serializer=_to_bytes)
            for name in v2.METHODS
        }
        self._server.add_generic_rpc_handlers((self._grpc.method_handlers_generic_handler(v2.SERVICE, handlers),))
        self._server.add_insecure_port(address)
        await self._server.start()

    async def stop(self, limit_s: float) -> None:
        """Let nobody in any more; calls that are here get their answers, within this time."""
        await self._server.stop(limit_s)

    def _handler(self, name: str) -> Handler:
        own: dict[str, Handler] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelInfer": self._infer,
        }
        kind, answer = v2.METHODS[name][0], own[name]

        async def handle(body: bytes, context: Any) -> Any:
            try:
                message = kind.FromString(body)
            except DecodeError:
                await self._refuse(context, _Refusal(status="INVALID_ARGUMENT", message=f"no {name}Request"))
            return await answer(message, context)

        return handle

    async def _server_live(self, _: Any, __: Any) -> Any:
        return v2.ServerLiveResponse(live=True)

    async def _server_ready(self, _: Any, __: Any) -> Any:
        return v2.ServerReadyResponse(ready=self._readiness.is_ready())

    async def _model_ready(self, request: Any, context: Any) -> Any:
        await self._check_model(request.name, request.version, context)
        return v2.ModelReadyResponse(ready=self._readiness.is_ready())

    async def _server_metadata(self, _: Any, __: Any) -> Any:
        return v2.ServerMetadataResponse(name="loadplan", version=loadplan.__version__)

    async def _model_metadata(self, request: Any, context: Any) -> Any:
        await self._check_model(request.name, request.version, context)
        answer = v2.ModelMetadataResponse(name=self._model.name, versions=[MODEL_VERSION], platform=PLATFORM)
        for specs, tensors in ((self._session.inputs, answer.inputs), (self._session.outputs, answer.outputs)):
            for spec in specs:
                tensors.add(name=spec.name, datatype=DATATYPES[spec.dtype], shape=_wire_shape(spec))
        return answer

    async def _infer(self, message: Any, context: Any) -> bytes:
        await self._check_model(message.model_name, message.model_version, context)
        counters = self._counters
        counters.n_received += 1
        if self._batcher.is_full:
            await self._reject(context)
        try:
            request = grpc_messages.read_request(message, self._model.signature)
        except BadRequest as error:
            counters.n_by_outcome["bad_request"] += 1
            await self._refuse(context, _Refusal(status="INVALID_ARGUMENT", message=str(error)))
        if not self._batcher.has_room(request.n_rows):
            await self._reject(context)
        caller = _GrpcCaller(self._model, self._loop.create_future())
        exchange = Exchange(request, caller, counters=counters, log=self._log)
        if request.timeout_s is not None:
            exchange.expire_in(request.timeout_s, self._loop, self._batcher.request_turn)
        self._batcher.enqueue(exchange)
        self._batcher.request_turn()  # behind the calls that the loop has been handed together with this one
        answer = await caller.wait()
        if isinstance(answer, _Refusal):
            await self._refuse(context, answer)
        return answer

    async def _check_model(self, name: str, version: str, context: Any) -> None:
        if name != self._model.name or version not in ("", MODEL_VERSION):
            said = f"there is no model {name[:200]!r} of version {version[:20]!r}; here is {self._model.name!r}, 1"
            await self._refuse(context, _Refusal(status="NOT_FOUND", message=said))

    async def _reject(self, context: Any) -> NoReturn:
        self._counters.n_by_outcome["rejected"] += 1
        await self._refuse(context, _QUEUE_FULL)

    async def _refuse(self, context: Any, refusal: _Refusal) -> NoReturn:
        """End the call, by an exception that grpcio knows."""
        await context.abort(getattr(self._grpc.StatusCode, refusal.status), refusal.message)
        raise AssertionError("abort does not return")


class _GrpcCaller:
    """The client of one call; see `exchange.Caller`."""

    __slots__ = ("_end", "_is_gone", "_model")

    def __init__(self, model: ServedModel, end: "asyncio.Future[bytes | _Refusal]") -> None:
        self._model = model
        self._end = end
        self._is_gone = False

    async def wait(self) -> bytes | _Refusal:
        """What is to be sent. A call that is cancelled leaves its request in the queue, to be dropped there."""
        try:
            return await self._end
        except asyncio.CancelledError:
            self._is_gone = True
            raise

    def is_gone(self) -> bool:
        return self._is_gone

    def forget(self) -> None:
        """Nobody waits: nothing is sent."""

    def answer(self, request: InferRequest, outputs: Tensors) -> None:
        self._say(grpc_messages.write_answer(self._model.name, request, outputs, self._model.signature))

    def refuse(self, outcome: str, message: str) -> None:
        self._say(_Refusal(status=_STATUS_OF[outcome], message=message))

    def _say(self, end: bytes | _Refusal) -> None:
        with contextlib.suppress(asyncio.InvalidStateError):  # cancelled while it was computed
            self._end.set_result(end)


def _wire_shape(spec: TensorSpec) -> list[int]:
    return [-1 if axis is None else axis for axis in spec.shape]


def _to_bytes(answer: Any) -> bytes:
    """An inference is encoded with its batch, other answers here."""
    if isinstance(answer, bytes):
        return answer
    written: bytes = answer.SerializeToString()
    return written
