"""Puts the parts of one server process together: runner, queue, readiness, and the two wires in front of them."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import loadplan
from loadplan.inference import Session, example_text
from loadplan.serve import protocol
from loadplan.serve.app import Application, ServedModel
from loadplan.serve.batcher import Batcher
from loadplan.serve.config import ServeConfig
from loadplan.serve.inference_runner import Infer, InferencePlace, InlineRunner, Runner, ThreadRunner, choose_place
from loadplan.serve.joining import joining_of, sequence_names
from loadplan.serve.metrics import Counters, ServerMetrics
from loadplan.serve.readiness import Readiness, blank_rows
from loadplan.serve.request_log import EventLog, RequestLog
from loadplan.serve.siblings import Siblings
from loadplan.serve.signature import read_signature

if TYPE_CHECKING:
    from loadplan.serve.grpc_front import GrpcFront


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What serves one model in the running event loop."""

    app: Application
    grpc: "GrpcFront | None"
    readiness: Readiness
    siblings: Siblings | None
    events: EventLog | None
    place: InferencePlace


def assemble(config: ServeConfig, session: Session, infer: Infer, *, full_batch_s: float) -> Parts:
    """The parts of a server for this model, whose inferences are made so, and whose full batch takes so long."""
    place = choose_place(config.inference, full_batch_s)
    runner: Runner = InlineRunner(infer) if place == "inline" else ThreadRunner(infer, asyncio.get_running_loop())
    counters = Counters(config.serving.max_batch_size)
    readiness = Readiness(
        infer,
        blank_rows(session.inputs, 1, text=example_text(session)),
        full_batch_s=full_batch_s,
        running_since_s=lambda: runner.running_since_s,
    )
    batcher = Batcher(runner, config.serving, counters=counters, joining=joining_of(session.inputs, pads=config.pads))
    model = _served(config, session)
    events = _events(config)
    log = None if events is None else RequestLog(events, every_nth=config.log_every_nth)
    siblings = _siblings(config, counters)
    app = Application(
        model,
        batcher,
        counters=counters,
        metrics=ServerMetrics(
            counters,
            max_batch_size=config.serving.max_batch_size,
            siblings=_nobody if siblings is None else siblings.counters,
        ),
        readiness=readiness,
        log=log,
        max_body_bytes=config.max_body_bytes,
    )
    grpc = None
    if config.grpc_port is not None:
        from loadplan.serve.grpc_front import GrpcFront

        grpc = GrpcFront(
            model,
            session,
            batcher,
            counters=counters,
            readiness=readiness,
            log=log,
            max_body_bytes=config.max_body_bytes,
        )
    return Parts(app=app, grpc=grpc, readiness=readiness, siblings=siblings, events=events, place=place)


def _served(config: ServeConfig, session: Session) -> ServedModel:
    padded = sequence_names(session.inputs) if config.pads else frozenset()
    return ServedModel(
        name=config.name,
        signature=read_signature(session.inputs, session.outputs, padded=padded),
        server_metadata=protocol.server_metadata(loadplan.__version__),
        model_metadata=protocol.model_metadata(config.name, session.inputs, session.outputs),
    )


def _events(config: ServeConfig) -> EventLog | None:
    if config.log_format == "text":
        return None
    return EventLog({"pid": os.getpid()} | ({} if config.member is None else {"process": config.member.index}))


def _siblings(config: ServeConfig, counters: Counters) -> Siblings | None:
    if config.member is None:
        return None
    return Siblings(
        config.member.folder,
        counters,
        index=config.member.index,
        max_batch_size=config.serving.max_batch_size,
    )


def _nobody() -> Sequence[Counters]:
    return ()
