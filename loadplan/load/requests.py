"""Requests made ready before a run: bytes to send, and the answers they must get.

Nothing is encoded while the clock runs. Payload i carries the rows i·k … i·k + k - 1 of the payload set, counted
round, so that every row is sent and the last request is as large as the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import numpy as np
import orjson
from numpy.typing import NDArray

from loadplan.errors import InputError
from loadplan.scenario.payloads import PayloadSet

# The server computes in the variant's precision and batches rows as they come, so the last digits differ from the
# source model's and from one another; the export's parity check has already bounded that error far more tightly.
# 1e-4 and 1e-3 are far above it and far below what a wrong row would show.
ABS_TOLERANCE = 1e-4
REL_TOLERANCE = 1e-3

# Open Inference Protocol v2, "Tensor Data Types".
_V2_TYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedAnswers:
    """The right answer to every payload, and how far floating-point outputs may stray from it."""

    outputs: Mapping[str, NDArray[np.generic]]  # by output name: (n_payloads, n_rows, …)
    abs_tolerance: float = ABS_TOLERANCE  # whole numbers and text must be the same
    rel_tolerance: float = REL_TOLERANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRequests:
    """What may be sent, and how an answer is judged."""

    method: str
    path: str  # with the query, if any
    headers: tuple[tuple[str, str], ...]  # without Host and Content-Length, which belong to the connection
    bodies: tuple[bytes, ...]  # one per payload
    expected: ExpectedAnswers | None  # None: only the status counts


def v2_requests(
    payloads: PayloadSet, *, model: str, n_rows_per_request: int, abs_tolerance: float = ABS_TOLERANCE
) -> PreparedRequests:
    """Requests of `n_rows_per_request` rows for the Open Inference Protocol v2 over HTTP with JSON.

    `abs_tolerance` is widened by callers whose variant may differ more from its source, such as int8.

    Raises:
        InputError: when there are no rows, or an input has a type that the protocol's JSON can't carry here.
    """
    rows = _rows_of_requests(payloads.n_rows, n_rows_per_request)
    types = {name: _v2_type(name, values) for name, values in payloads.inputs.items()}
    bodies = tuple(
        orjson.dumps({"inputs": [_v2_input(name, types[name], v[i]) for name, v in payloads.inputs.items()]})
        for i in rows
    )
    return PreparedRequests(
        method="POST",
        path=f"/v2/models/{quote(model, safe='')}/infer",
        headers=(("Content-Type", "application/json"),),
        bodies=bodies,
        expected=ExpectedAnswers(
            outputs={name: values[rows] for name, values in payloads.expected.items()},
            abs_tolerance=max(abs_tolerance, ABS_TOLERANCE),
        ),
    )


def plain_requests(url: str, *, body: bytes | None = None, headers: Sequence[tuple[str, str]] = ()) -> PreparedRequests:
    """One fixed request to any HTTP address, judged by its status: POST with a body, GET without."""
    parts = urlsplit(url)
    return PreparedRequests(
        method="GET" if body is None else "POST",
        path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        headers=tuple(headers),
        bodies=(body or b"",),
        expected=None,
    )


def wire_messages(requests: PreparedRequests, *, host: str) -> tuple[bytes, ...]:
    """Each request as the bytes of one write: request line, headers, body.

    Raises:
        InputError: when a method, path or header holds a line break or other characters that HTTP forbids.
    """
    lines = [f"{requests.method} {requests.path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in requests.headers]
    for line in lines:
        if not line.isprintable() or not line.isascii():
            raise InputError(
                what=f"{line[:80]!r} can't stand in the head of an HTTP request",
                where="the request's address and headers",
                fix="leave out line breaks and characters beyond ASCII, or percent-encode them",
            )
    head = "\r\n".join(lines).encode("ascii")
    has_body = requests.method != "GET"
    return tuple(
        head + (b"\r\nContent-Length: %d" % len(body) if has_body or body else b"") + b"\r\n\r\n" + body
        for body in requests.bodies
    )


def _rows_of_requests(n_rows: int, n_rows_per_request: int) -> NDArray[np.intp]:
    """(n_requests, n_rows_per_request) row numbers, counted round."""
    if n_rows < 1 or n_rows_per_request < 1:
        raise InputError(
            what=f"{n_rows} payload rows can't be sent {n_rows_per_request} at a time",
            where="the payloads",
            fix="give at least one row of input data, and at least one row per request",
        )
    n_requests = -(-n_rows // n_rows_per_request)
    return np.arange(n_requests * n_rows_per_request).reshape(n_requests, n_rows_per_request) % n_rows


def _v2_type(name: str, values: NDArray[np.generic]) -> str:
    if values.dtype.kind in "OU":
        return "BYTES"
    try:
        return _V2_TYPES[values.dtype.name]
    except KeyError:
        raise InputError(
            what=f"the input {name!r} has the type {values.dtype.name}, which can't be sent as JSON",
            where="the payloads",
            fix=f"use one of {', '.join(_V2_TYPES)} or text",
        ) from None


def _v2_input(name: str, datatype: str, rows: NDArray[np.generic]) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": list(rows.shape), "data": rows.ravel().tolist()}
