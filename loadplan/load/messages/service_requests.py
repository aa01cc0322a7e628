"""Requests to a service of the user's own, as the scenario or the command line describes them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import orjson

from loadplan.errors import InputError
from loadplan.load.messages.dealing import deal_rows, payload_classes
from loadplan.load.messages.requests import (
    ABS_TOLERANCE,
    ExpectedAnswers,
    PreparedRequests,
    expected_of,
    path_of,
    v2_binary_requests,
    v2_requests,
)
from loadplan.load.messages.template import fill, needs_rows, parse_template
from loadplan.load.messages.v2_grpc import v2_grpc_requests
from loadplan.scenario.credentials import fill_headers
from loadplan.scenario.payloads import PayloadSet, inputs_of
from loadplan.scenario.spec import RequestClass, RowsPerRequest, Service

_BODY_A_LINE = frozenset({".jsonl", ".ndjson"})
_V2_BUILDERS = MappingProxyType({"v2": v2_requests, "v2_binary": v2_binary_requests, "v2_grpc": v2_grpc_requests})


def service_requests(
    service: Service,
    payloads: PayloadSet | None,
    *,
    rows_per_request: RowsPerRequest,
    classes: Sequence[RequestClass] = (),
    abs_tolerance: float = ABS_TOLERANCE,
) -> PreparedRequests:
    """What is sent to this service: the rows of the scenario's model, or, without one, fixed bodies.

    Raises:
        InputError: when the request can't be read or filled, a variable of a header isn't set, the answer is looked
            for where this model has nothing to compare, or a class has a payload of another kind than is sent.
    """
    headers = fill_headers(service.headers, where="the header")
    if service.protocol == "json":
        requests = _json_requests(service, payloads, rows_per_request, classes, abs_tolerance)
        return _with_headers(requests, headers)
    if payloads is None:
        raise InputError(
            what=f"{service.protocol} sends the rows of a model, and there is none",
            where="the target of the load",
            fix="name a model in the scenario",
        )
    build = _V2_BUILDERS[service.protocol]
    requests = build(
        payloads,
        model=service.model,
        rows_per_request=rows_per_request,
        classes=classes,
        abs_tolerance=abs_tolerance,
    )
    if service.protocol != "v2_grpc":  # gRPC has its own paths
        requests = replace(requests, path=_v2_path(service.url, requests.path))
    return _with_headers(requests, headers)


def _v2_path(url: str, path: str) -> str:
    """Below the address that was given; one that ends in /infer is the place itself."""
    given = path_of(url)
    return given if given.endswith("/infer") else given.rstrip("/") + path


def _with_headers(requests: PreparedRequests, headers: tuple[tuple[str, str], ...]) -> PreparedRequests:
    """A header of the user's takes the place of one that follows from the body."""
    given = {name.lower() for name, _ in headers}
    own = tuple((name, value) for name, value in requests.headers if name.lower() not in given)
    return replace(requests, headers=(*own, *headers))


def _json_requests(
    service: Service,
    payloads: PayloadSet | None,
    rows_per_request: RowsPerRequest,
    classes: Sequence[RequestClass],
    abs_tolerance: float,
) -> PreparedRequests:
    path = None if service.request is None else Path(service.folder) / service.request
    document = None
    if path is not None and path.suffix == ".json":
        document = parse_template(_read(path), where=str(path))
    if document is None or not needs_rows(document):
        return _fixed_requests(service, path, classes)
    _refuse_payloads(classes, "body", said="is filled with rows of the model", fix="name a segment of its rows")
    if payloads is None:
        raise InputError(
            what="the request stands for rows of a model, and there is none",
            where=str(path),
            fix="name a model in the scenario, or write the rows themselves into the file",
        )
    rows, owners = deal_rows(payloads, rows_per_request, classes)
    bodies = tuple(orjson.dumps(fill(document, inputs_of(payloads, own), where=str(path))) for own in rows)
    expected = None
    if service.answers:
        pointers = _pointers(service.answers, payloads)
        every = expected_of(payloads, rows, abs_tolerance=abs_tolerance)
        expected = replace(
            every,
            outputs={name: values for name, values in every.outputs.items() if name in pointers},
            form="json",
            pointers=pointers,
        )
    return PreparedRequests(
        method=service.method or "POST",
        path=path_of(service.url),
        headers=_content_type(bodies),
        bodies=bodies,
        n_rows=tuple(own.size for own in rows),
        expected=expected,
        classes=owners,
    )


def _fixed_requests(service: Service, path: Path | None, classes: Sequence[RequestClass]) -> PreparedRequests:
    """Bodies that hold what they hold: nobody knows the right answers, so at most a place in them is looked at."""
    _refuse_payloads(classes, "segment", said="holds no rows of the model", fix="name a .json or .jsonl with bodies")
    paths = [path if one.body is None else Path(service.folder) / one.body for one in classes] or [path]
    if any(own is None for own in paths) and any(own is not None for own in paths):
        raise InputError(
            what="some classes send a body and others none, and a request is a POST or a GET",
            where="traffic.classes",
            fix="give each class a payload, or name target.request for those without",
        )
    of_each = [(b"",) if own is None else _bodies(own) for own in paths]
    bodies = tuple(body for own in of_each for body in own)
    return PreparedRequests(
        method=service.method or ("GET" if paths[0] is None else "POST"),
        path=path_of(service.url),
        headers=() if paths[0] is None else _content_type(bodies),
        bodies=bodies,
        n_rows=None,
        expected=ExpectedAnswers(outputs={}, form="json", pointers=service.answers) if service.answers else None,
        classes=payload_classes(classes, [len(own) for own in of_each]) if classes else None,
    )


def _refuse_payloads(classes: Sequence[RequestClass], kind: Literal["segment", "body"], *, said: str, fix: str) -> None:
    """Payloads of a kind that the target's request has no use for."""
    for one in classes:
        named = one.segment if kind == "segment" else one.body
        if named is not None:
            raise InputError(
                what=f"the class {one.name} sends {named!r:.60}, and the target's request {said}",
                where=f"the payload of the class {one.name}",
                fix=fix,
            )


def _pointers(answers: Mapping[str, str], payloads: PayloadSet) -> dict[str, str]:
    """The pointer of each output that is compared."""
    known = list(payloads.expected)
    if "" in answers:
        if len(known) > 1:
            raise InputError(
                what=f"the model has the outputs {', '.join(known)}, and the target's `answer` doesn't say which it is",
                where="target.answer",
                fix=f"write it like {{{known[0]}: {answers['']}}}",
            )
        return {known[0]: answers[""]}
    unknown = [name for name in answers if name not in known]
    if unknown:
        raise InputError(
            what=f"the model has no output {unknown[0]!r:.60}",
            where="target.answer",
            fix=f"it has {', '.join(known)}",
        )
    return dict(answers)


def _content_type(bodies: tuple[bytes, ...]) -> tuple[tuple[str, str], ...]:
    try:
        orjson.loads(bodies[0])
    except orjson.JSONDecodeError:
        return (("Content-Type", "application/octet-stream"),)
    return (("Content-Type", "application/json"),)


def _bodies(path: Path) -> tuple[bytes, ...]:
    data = _read(path)
    if path.suffix not in _BODY_A_LINE:
        return (data,)
    bodies = []
    for i, line in enumerate(data.splitlines(), start=1):
        if line.strip():
            parse_template(line, where=f"{path}:{i}")
            bodies.append(line)
    return tuple(bodies)


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise InputError(
            what=f"the request can't be read: {error.strerror}", where=str(path), fix="check its permissions"
        ) from error
    if data is None:
        raise InputError(what="the request is not a file that is there", where=str(path), fix="check the path")
    if not data.strip():
        raise InputError(what="the file of the request is empty", where=str(path), fix="write the body to send into it")
    return data
