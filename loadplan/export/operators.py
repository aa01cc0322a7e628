"""The operators of a model file: which of them nothing here can run, said with their names and versions.

onnx knows its own domains by version; ONNX Runtime's contrib domains it doesn't, and ONNX Runtime has no kernel for
some operators of some types. All others need a library, and none is ever loaded for a model.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loadplan.errors import InputError
from loadplan.export.external_data import shown

# Whose operators onnx checks by name and version.
_STANDARD = frozenset({"", "ai.onnx", "ai.onnx.ml"})
# Whose operators ONNX Runtime brings.
_KNOWN = _STANDARD | {
    "ai.onnx.training",
    "ai.onnx.preview",
    "ai.onnx.preview.training",
    "com.microsoft",
    "com.microsoft.experimental",
    "com.microsoft.nchwc",
    "com.ms.internal.nhwc",
}
_MOST_NAMED = 5
# `Fatal error: com.microsoft:Fancy(-1) is not a registered function/op`
_UNREGISTERED = re.compile(r"([\w.]*:?\w+)\(-?\d+\) is not a registered function/op")
# `Could not find an implementation for Det(11) node with name ''`
_NO_KERNEL = re.compile(r"Could not find an implementation for ([\w.:]+)\((\d+)\)")


def messages(message: Any) -> Iterator[Any]:
    """The message and every message within it. Tensors hold none but the entries of their external data."""
    waiting = [message]
    while waiting:
        current = waiting.pop()
        yield current
        if current.DESCRIPTOR.name == "TensorProto":
            continue
        for field, value in current.ListFields():
            if field.message_type is not None:
                waiting.extend([value] if _is_one(field) else value)


def _is_one(field: Any) -> bool:
    is_repeated = getattr(field, "is_repeated", None)
    return not (field.label == field.LABEL_REPEATED if is_repeated is None else is_repeated)


def refuse_unknown_operators(model: Any, path: Path) -> None:
    """Raises InputError when a node is of a foreign domain, or of an operator that its domain lacks at that version."""
    own = {(function.domain, function.name) for function in model.functions}
    foreign: set[str] = set()
    missing: set[str] = set()
    for body in (model, *model.functions):
        versions = {entry.domain: entry.version for entry in body.opset_import}
        for node in _nodes_of(body):
            if (node.domain, node.op_type) in own:
                continue
            version = versions.get(node.domain, versions.get("ai.onnx") if node.domain == "" else None)
            if node.domain not in _KNOWN:
                said = "" if version is None else f" (version {version})"
                foreign.add(f"{shown(node.op_type)} of the domain {shown(node.domain)}{said}")
            elif node.domain in _STANDARD and version is not None and not _has(node.op_type, node.domain, version):
                missing.add(f"{shown(node.op_type)} ({node.domain or 'ai.onnx'} opset {version})")
    if foreign:
        raise InputError(
            what=f"the model needs custom operators, which only a foreign library could bring: {_listed(foreign)}",
            where=str(path),
            fix="export it with standard operators only; loadplan loads no library that a model asks for",
        )
    if missing:
        raise InputError(
            what=f"the model uses operators that ONNX doesn't have at its opset: {_listed(missing)}",
            where=str(path),
            fix="export it with operators that ONNX has, or with an opset that has them",
        )


def not_implemented(error: InputError, opset: int, path: Path) -> InputError | None:
    """ONNX Runtime's refusal of an operator in words of our own; None where it refused something else."""
    found = _NO_KERNEL.search(error.what) or _UNREGISTERED.search(error.what)
    if found is None:
        return None
    of_its_type = " of these types" if found.re is _NO_KERNEL else ""
    return InputError(
        what=f"ONNX Runtime {_runtime_version()} has no operator {found[1]}{of_its_type}, which the model uses at "
        f"opset {opset}",
        where=str(path),
        fix="export it with another opset, with float32 tensors or with other operators, or upgrade ONNX Runtime",
    )


def _nodes_of(body: Any) -> Iterator[Any]:
    """The nodes of a function, or of a model but for its functions, which have versions of their own."""
    parts = [body.graph, *body.training_info] if body.DESCRIPTOR.name == "ModelProto" else [body]
    return (message for part in parts for message in messages(part) if message.DESCRIPTOR.name == "NodeProto")


def _has(operator: str, domain: str, version: int) -> bool:
    from onnx import defs

    name = "" if domain == "ai.onnx" else domain
    try:
        return not defs.get_schema(operator, version, name).deprecated
    except defs.SchemaError:
        return False


def _listed(names: set[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(sorted(names)[:_MOST_NAMED]) + more


def _runtime_version() -> str:
    from loadplan.inference import runtime_version

    return runtime_version().partition(" ")[2]
