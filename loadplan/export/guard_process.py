"""Process entry: looks at one model file within limits of memory, and answers with one line.

It sets its own limits, so that its parent needn't run code between fork and exec. Each step is announced before it
begins: when the process is killed, the last one says at what.
"""

import os
import re
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from loadplan.child_process import die_with_parent
from loadplan.errors import EnvironmentFault, InputError, LoadplanError
from loadplan.execution import ExecutionConfig, TensorSpec
from loadplan.export.external_data import DataFolder, Slice, open_regular, read, sha256
from loadplan.export.guard import MAX_MODEL_BYTES, ExternalFile, GuardAnswer, GuardJob, ModelFile, Refusal
from loadplan.export.operators import messages, not_implemented, refuse_unknown_operators
from loadplan.store import codec

# Parsing, checking, ONNX Runtime's own copy and its optimised weights: a few times what the files hold.
_MEMORY_FACTOR = 8
_COPY_SLACK_BYTES = 1 << 20
_OPEN_AXIS = 4  # length of an axis that the model leaves open, in the one row that is tried
_NO_MEMORY = re.compile("bad_alloc|bad allocation|Failed to allocate|can't allocate|Unable to allocate")
_MAX_TENSORS = 1000  # inputs and outputs; thousands would only swell the answer


def main() -> None:
    """Answer one job from standard input."""
    die_with_parent()
    job = codec.loads(sys.stdin.read(), GuardJob, where="the job of the guard")
    # Whatever a library prints must not get between the lines of the answer.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as said:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        said.write(codec.dumps(answer(job, said)))


def answer(job: GuardJob, said: TextIO) -> GuardAnswer:
    """Look at the file; whatever is wrong with it is an answer too. `said` takes the steps."""
    model = Path(job.path)
    try:
        return GuardAnswer(model=_Look(job, model, said).describe())
    except MemoryError:
        return _refused(_memory_bomb(model))
    except ModuleNotFoundError as error:
        return _refused(_not_installed(error))
    except LoadplanError as error:
        return _refused(_memory_bomb(model) if _NO_MEMORY.search(error.what) else error)
    except Exception as error:  # whatever a parser raises on a file that is no model
        return _refused(_no_model(error, model))


@dataclass(frozen=True, slots=True)
class _External:
    """A tensor whose bytes lie outside, and its shape, which is taken away while the checker looks."""

    tensor: Any  # onnx.TensorProto; the messages of onnx have no types
    dims: tuple[int, ...]
    part: Slice


class _Look:
    """One look at one file, step by step."""

    def __init__(self, job: GuardJob, model: Path, said: TextIO) -> None:
        self._job, self._path, self._said = job, model, said
        self._folder = DataFolder(model)
        self._opset = 0

    def describe(self) -> ModelFile:
        import onnx

        from loadplan.export.graph import facts_of
        from loadplan.inference import load_runtime

        load_runtime()  # imported before memory is short
        descriptor, status = open_regular(self._path.resolve())
        _limit(self._job.memory_bytes + _MEMORY_FACTOR * status.st_size)
        self._begin("parse")
        with os.fdopen(descriptor, "rb") as file:
            digest = sha256(file.fileno())
            model = onnx.ModelProto()
            file.seek(0)
            model.ParseFromString(file.read(status.st_size))
        if not model.HasField("graph"):
            raise ValueError("it holds no graph")
        self._begin("check")
        externals = self._externals(model)
        if self._job.copy_to is not None:
            self._require_one_file(model, externals)
        _refuse_the_future(model, self._path)
        refuse_unknown_operators(model, self._path)
        facts = facts_of(model)
        self._opset = facts.opset
        _take_data_away(externals)
        try:
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError as error:
            raise _no_model(error, self._path) from error
        n_data_bytes = sum(file.n_bytes for file in self._folder.files)
        _limit(self._job.memory_bytes + _MEMORY_FACTOR * (status.st_size + n_data_bytes))
        external = tuple(
            ExternalFile(location=file.location, n_bytes=file.n_bytes, sha256=sha256(file.descriptor))
            for file in self._folder.files
        )
        opened = self._path if self._folder.found_beside_link else self._path.resolve()
        inputs, outputs = self._signature(opened)
        if self._job.copy_to is not None:
            self._copy(model, externals, Path(self._job.copy_to))
        return ModelFile(
            path=str(opened),
            sha256=digest,
            n_bytes=status.st_size,
            opset=facts.opset,
            ir_version=facts.ir_version,
            n_parameters=facts.n_parameters,
            inputs=inputs,
            outputs=outputs,
            external=external,
        )

    def _begin(self, step: str) -> None:
        self._said.write(f"{step}\n")
        self._said.flush()

    def _externals(self, model: Any) -> list[_External]:
        """Every tensor that lies outside, wherever the model hides it: nodes, subgraphs, functions, training graphs."""
        found = []
        for tensor in (message for message in messages(model) if message.DESCRIPTOR.name == "TensorProto"):
            if tensor.data_location or tensor.external_data:
                entries = [(entry.key, entry.value) for entry in tensor.external_data]
                part = self._folder.slice_of(tensor.name, entries, dims=tensor.dims, data_type=tensor.data_type)
                found.append(_External(tensor, tuple(tensor.dims), part))
        return found

    def _signature(self, opened: Path) -> tuple[Any, Any]:
        from loadplan.inference import open_session

        self._begin("load")
        try:
            session = open_session(opened, ExecutionConfig(variant="unknown"))
        except InputError as error:
            if "Unsupported model IR version" in error.what or "is under development" in error.what:
                raise _too_new(error.what.partition(": ")[2], self._path, "onnxruntime") from error
            raise not_implemented(error, self._opset, self._path) or error from error
        if not session.inputs or not session.outputs:
            raise InputError(
                what=f"the model has {len(session.inputs)} inputs and {len(session.outputs)} outputs",
                where=str(self._path),
                fix="export it with at least one of each",
            )
        self._try(session)
        if len(session.inputs) + len(session.outputs) > _MAX_TENSORS:
            raise InputError(
                what=f"the model has more than {_MAX_TENSORS:,} inputs and outputs",
                where=str(self._path),
                fix="export it with fewer",
            )
        return session.inputs, session.outputs

    def _try(self, session: Any) -> None:
        """One inference. What a made-up row makes of the model says nothing; what it asks of the machine does."""
        from loadplan.inference import run

        self._begin("run")
        try:
            run(session, {spec.name: _row(spec) for spec in session.inputs})
        except Exception as error:  # the runtime's own classes are unrelated; the message tells which case it is
            if _NO_MEMORY.search(str(error)):
                raise MemoryError from error

    def _require_one_file(self, model: Any, externals: list[_External]) -> int:
        """Bytes of the model with all its data in it, which protobuf bounds; said before anything large is read."""
        n_bytes: int = model.ByteSize() + sum(external.part.n_bytes for external in externals)
        if n_bytes + _COPY_SLACK_BYTES > MAX_MODEL_BYTES:
            raise InputError(
                what=f"the model and its data have {n_bytes:,} bytes, more than the 2 GB that fit into one file",
                where=str(self._path),
                fix="use a smaller model, or one whose weights are quantised: larger ones are not supported yet",
            )
        return n_bytes

    def _copy(self, model: Any, externals: list[_External], target: Path) -> None:
        """Write the parsed model with its data in it; what nobody asked for was not parsed and is not written."""
        self._begin("copy")
        n_bytes = self._require_one_file(model, externals)
        for external in externals:
            del external.tensor.dims[:]
            external.tensor.dims.extend(external.dims)
            external.tensor.raw_data = read(external.part)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes + _COPY_SLACK_BYTES, resource.RLIM_INFINITY))
        target.write_bytes(model.SerializeToString(deterministic=True))


def _row(spec: TensorSpec) -> NDArray[np.generic]:
    """One row of zeros; an axis that is open beside the rows gets a few."""
    shape = [_OPEN_AXIS if axis is None else axis for axis in spec.shape]
    if spec.shape[:1] == (None,):
        shape[0] = 1
    return np.full(shape, "", dtype=object) if spec.dtype == "object" else np.zeros(shape, dtype=spec.dtype)


def _take_data_away(externals: list[_External]) -> None:
    """Empty tensors in place of those outside: the checker opens no file, whatever it is told."""
    for external in externals:
        external.tensor.ClearField("external_data")
        external.tensor.ClearField("data_location")
        del external.tensor.dims[:]
        external.tensor.dims.append(0)


def _refuse_the_future(model: Any, path: Path) -> None:
    import onnx

    if model.ir_version > onnx.IR_VERSION:
        raise _too_new(f"IR version {model.ir_version}, and onnx knows {onnx.IR_VERSION}", path, "onnx")
    opset = max((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), default=1)
    if opset > onnx.defs.onnx_opset_version():
        raise _too_new(f"opset {opset}, and onnx knows {onnx.defs.onnx_opset_version()}", path, "onnx")


def _too_new(said: str, path: Path, package: str) -> EnvironmentFault:
    from importlib import metadata

    with suppress(metadata.PackageNotFoundError):
        package = f"{package} (installed: {metadata.version(package)})"
    return EnvironmentFault(
        what=f"the model is newer than this installation: {said}",
        where=str(path),
        fix=f"upgrade {package}, or export the model with an older opset",
    )


def _limit(n_bytes: int) -> None:
    """So much memory beyond what is in use; no core file, no file at all, and first in line when memory runs out."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + n_bytes
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _memory_bomb(model: Path) -> InputError:
    return InputError(
        what="the model file asks for far more memory than its size explains",
        where=str(model),
        fix="export the model again; don't use a file that you don't trust",
    )


def _no_model(error: Exception, model: Path) -> InputError:
    said = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(
        what=f"the file is no valid ONNX model: {said}",
        where=str(model),
        fix="export or download it again; it is damaged, cut short, or of another format",
    )


def _not_installed(error: ModuleNotFoundError) -> EnvironmentFault:
    return EnvironmentFault(
        what=f"the package {error.name} is not installed",
        where="this Python environment",
        fix=f"run: pip install {error.name}",
    )


def _refused(error: LoadplanError) -> GuardAnswer:
    return GuardAnswer(
        refusal=Refusal(
            is_environment=isinstance(error, EnvironmentFault),
            what="".join(character if character.isprintable() else ascii(character)[1:-1] for character in error.what),
            where=error.where,
            fix=error.fix,
        )
    )


if __name__ == "__main__":
    main()
