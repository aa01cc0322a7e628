"""Requests made ready before a run: bytes to send, and the answers they must get.

Nothing is encoded while the clock runs. How the rows are dealt out to the requests is told in `load.messages.dealing`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote, urlsplit

import numpy as np
import orjson
from numpy.typing import NDArray

from loadplan.errors import InputError
from loadplan.load.connections.http2 import call_headers, framed_message
from loadplan.load.connections.wire import WireKind
from loadplan.load.messages.dealing import deal_rows
from loadplan.load.records import PayloadClasses
from loadplan.scenario.payloads import PayloadSet, inputs_of
from loadplan.scenario.spec import RequestClass, RowsPerRequest
from loadplan.v2_tensors import DATATYPES, HEADER_LENGTH, datatype_of, encode

# The server computes in the variant's precision and batches rows as they come, so the last digits differ from the
# source model's and from one another; the export's parity check has already bounded that error far more tightly.
# 1e-4 and 1e-3 are far above it and far below what a wrong row would show.
ABS_TOLERANCE = 1e-4
REL_TOLERANCE = 1e-3

# How outputs stand in an answer: as the protocol v2 has them over HTTP or gRPC, or anywhere in a JSON document.
AnswerForm = Literal["v2", "v2_grpc", "json"]
_NO_POINTERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedAnswers:
    """The right answer to every payload, and how far floating-point outputs may stray from it."""

    outputs: Mapping[str, tuple[NDArray[np.generic], ...]]  # by output name, one per payload: (its rows, …)
    abs_tolerance: float = ABS_TOLERANCE  # whole numbers and text must be the same
    rel_tolerance: float = REL_TOLERANCE
    form: AnswerForm = "v2"
    # Of the form `json`: where each output stands (RFC 6901); what stands under another name must only be there.
    pointers: Mapping[str, str] = field(default_factory=lambda: _NO_POINTERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRequests:
    """What may be sent, and how an answer is judged."""

    method: str
    path: str  # with the query, if any
    # Without Host and Content-Length, which belong to the connection; they may hold credentials.
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    bodies: tuple[bytes, ...] = field(repr=False)  # one per payload
    n_rows: tuple[int, ...] | None  # of each payload; None: nobody told what is in them
    expected: ExpectedAnswers | None  # None: only the status counts
    wire: WireKind = "http/1.1"  # over HTTP/2 go calls of gRPC, whose messages are the bodies
    classes: PayloadClasses | None = None  # None: all requests are of one kind


def v2_requests(
    payloads: PayloadSet,
    *,
    model: str,
    rows_per_request: RowsPerRequest,
    classes: Sequence[RequestClass] = (),
    abs_tolerance: float = ABS_TOLERANCE,
) -> PreparedRequests:
    """Requests of so many rows, or of several classes, for the Open Inference Protocol v2 over HTTP with JSON.

    `abs_tolerance` is widened by callers whose variant may differ more from its source, such as int8.

    Raises:
        InputError: when there are no rows, none of the segment that a class sends, or an input has a type that the
            protocol has no name for.
    """
    rows, owners = deal_rows(payloads, rows_per_request, classes)
    types = {name: v2_type(name, values) for name, values in payloads.inputs.items()}
    return PreparedRequests(
        method="POST",
        path=_infer_path(model),
        headers=(("Content-Type", "application/json"),),
        bodies=tuple(
            orjson.dumps({"inputs": [_v2_input(name, types[name], v) for name, v in inputs_of(payloads, own).items()]})
            for own in rows
        ),
        n_rows=tuple(own.size for own in rows),
        expected=expected_of(payloads, rows, abs_tolerance=abs_tolerance),
        classes=owners,
    )


def v2_binary_requests(
    payloads: PayloadSet,
    *,
    model: str,
    rows_per_request: RowsPerRequest,
    classes: Sequence[RequestClass] = (),
    abs_tolerance: float = ABS_TOLERANCE,
) -> PreparedRequests:
    """The same with binary tensors, in the answers too where the server has the extension.

    Raises:
        InputError: as `v2_requests` does.
    """
    rows, owners = deal_rows(payloads, rows_per_request, classes)
    types = {name: v2_type(name, values) for name, values in payloads.inputs.items()}
    parts = [_binary_parts(inputs_of(payloads, own), types) for own in rows]
    # One head serves all requests: blanks bring every JSON to the length of the longest.
    n_json_bytes = max(len(json) for json, _ in parts)
    return PreparedRequests(
        method="POST",
        path=_infer_path(model),
        headers=(("Content-Type", "application/octet-stream"), (HEADER_LENGTH, str(n_json_bytes))),
        bodies=tuple(json.ljust(n_json_bytes) + tensors for json, tensors in parts),
        n_rows=tuple(own.size for own in rows),
        expected=expected_of(payloads, rows, abs_tolerance=abs_tolerance),
        classes=owners,
    )


def expected_of(
    payloads: PayloadSet,
    rows: Sequence[NDArray[np.intp]],
    *,
    abs_tolerance: float = ABS_TOLERANCE,
    form: AnswerForm = "v2",
) -> ExpectedAnswers:
    """What must be answered to requests of these rows."""
    return ExpectedAnswers(
        outputs={name: tuple(values[own] for own in rows) for name, values in payloads.expected.items()},
        abs_tolerance=max(abs_tolerance, ABS_TOLERANCE),
        form=form,
    )


def plain_requests(url: str, *, body: bytes | None = None, headers: Sequence[tuple[str, str]] = ()) -> PreparedRequests:
    """One fixed request to any HTTP address, judged by its status: POST with a body, GET without."""
    return PreparedRequests(
        method="GET" if body is None else "POST",
        path=path_of(url),
        headers=tuple(headers),
        bodies=(body or b"",),
        n_rows=None,
        expected=None,
    )


def path_of(url: str) -> str:
    """Path and query of an address, as they stand in a request."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def wire_messages(requests: PreparedRequests, *, host: str) -> tuple[bytes, ...]:
    """What the wire is asked to send: of HTTP/1.1 whole requests, each one write; of HTTP/2 what differs, the bodies.

    Raises:
        InputError: when a method, path or header holds a line break or other characters that HTTP forbids. The message
            never holds the value of a header, which may be a password.
    """
    if requests.wire == "http/2":
        return tuple(framed_message(body) for body in requests.bodies)
    head = "\r\n".join(_checked_lines(requests, host)).encode("ascii")
    has_body = requests.method != "GET"
    return tuple(
        head + (b"\r\nContent-Length: %d" % len(body) if has_body or body else b"") + b"\r\n\r\n" + body
        for body in requests.bodies
    )


def wire_head(requests: PreparedRequests, *, host: str) -> bytes:
    """What goes before each message of HTTP/2: its headers. Nothing of HTTP/1.1. Raises InputError as above."""
    if requests.wire == "http/1.1":
        return b""
    _checked_lines(requests, host)
    return call_headers(requests.path, host=host, headers=requests.headers)


def _checked_lines(requests: PreparedRequests, host: str) -> list[str]:
    """The lines of the head of a request, without any that would be two."""
    lines = [
        ("the address", f"{requests.method} {requests.path} HTTP/1.1"),
        ("the host", f"Host: {host}"),
        *((f"the header {name[:40]!r}", f"{name}: {value}") for name, value in requests.headers),
    ]
    for what, line in lines:
        if not line.isprintable() or not line.isascii():
            raise InputError(
                what=f"{what} holds a character that can't stand in the head of an HTTP request",
                where="the request's address and headers",
                fix="leave out line breaks and characters beyond ASCII, or percent-encode them",
            )
    return [line for _, line in lines]


def v2_type(name: str, values: NDArray[np.generic]) -> str:
    """The protocol's name for the type of an input. Raises InputError where it has none."""
    datatype = datatype_of(values)
    if datatype is None:
        raise InputError(
            what=f"the input {name!r} has the type {values.dtype.name}, for which the protocol has no name",
            where="the payloads",
            fix=f"use one of {', '.join(DATATYPES)}",
        )
    return datatype


def _infer_path(model: str) -> str:
    return f"/v2/models/{quote(model, safe='')}/infer"


def _v2_input(name: str, datatype: str, rows: NDArray[np.generic]) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": list(rows.shape), "data": rows.ravel().tolist()}


def _binary_parts(inputs: Mapping[str, NDArray[np.generic]], types: Mapping[str, str]) -> tuple[bytes, bytes]:
    """The JSON of a request, and the tensors that follow it."""
    encoded = {name: encode(values) for name, values in inputs.items()}
    described = [
        {
            "name": name,
            "datatype": types[name],
            "shape": list(values.shape),
            "parameters": {"binary_data_size": len(encoded[name])},
        }
        for name, values in inputs.items()
    ]
    json = orjson.dumps({"inputs": described, "parameters": {"binary_data_output": True}})
    return json, b"".join(encoded.values())
