"""Opening models: what can go wrong has its own error, and a CPU figure never gets a GPU's name."""

from functools import partial
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from loadplan import inference
from loadplan.errors import EnvironmentFault, InputError
from loadplan.execution import ExecutionConfig, TensorSpec
from loadplan.inference import is_out_of_memory, load_runtime, open_session, run, runtime_version

ONE_THREAD = ExecutionConfig(variant="fp32")


@pytest.fixture
def doubling(tmp_path: Path) -> Path:
    """y = x + x and z = -x, for any number of rows of three."""
    tensors = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 3]) for name in "xyz"}
    nodes = [helper.make_node("Add", ["x", "x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
    graph = helper.make_graph(nodes, "doubling", [tensors["x"]], [tensors["y"], tensors["z"]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path / "doubling.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_outputs_come_back_under_their_names(doubling: Path) -> None:
    session = open_session(doubling, ONE_THREAD)
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    outputs = run(session, {"x": rows})
    np.testing.assert_array_equal(outputs["y"], 2 * rows)
    np.testing.assert_array_equal(outputs["z"], -rows)


def test_the_signature_tells_which_axes_are_dynamic(doubling: Path) -> None:
    session = open_session(doubling, ONE_THREAD)
    assert session.inputs == (TensorSpec(name="x", dtype="float32", shape=(None, 3)),)
    assert [spec.name for spec in session.outputs] == ["y", "z"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model file") as caught:
        open_session(tmp_path / "absent.onnx", ONE_THREAD)
    assert caught.value.where.endswith("absent.onnx")


@pytest.mark.parametrize("content", [b"", b"\x08\x09 no model", b"{}"], ids=["empty", "garbage", "JSON"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match="can't load the model"):
        open_session(path, ONE_THREAD)


@pytest.mark.parametrize(
    ("opset", "ir_version", "said"),
    [(999, 9, "Opset 999 is under development"), (17, 99, "Unsupported model IR version: 99, max supported")],
    ids=["opset", "IR version"],
)
def test_a_model_from_the_future_is_refused_with_a_readable_reason(
    tmp_path: Path, doubling: Path, opset: int, ir_version: int, said: str
) -> None:
    model = onnx.load_model_from_string(doubling.read_bytes())
    model.opset_import[0].version, model.ir_version = opset, ir_version
    path = tmp_path / "future.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError) as caught:
        open_session(path, ONE_THREAD)
    assert said in caught.value.what
    assert "::" not in caught.value.what
    assert "ONNXRuntimeError" not in caught.value.what


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_is_not_there_is_a_fault_and_never_the_cpu(doubling: Path) -> None:
    with pytest.raises(EnvironmentFault, match="the provider NoSuch can't run this model here"):
        open_session(doubling, ExecutionConfig(variant="fp32", provider="NoSuch"))


class FakeGpuRuntime:
    """A runtime with a GPU: every operator but those in `left` is the GPU's; calls are the CPU's, as is the answer."""

    SessionOptions = onnxruntime.SessionOptions
    GraphOptimizationLevel = onnxruntime.GraphOptimizationLevel

    def __init__(self, *left: str, is_listed_first: bool = True) -> None:
        self._left, self._is_listed_first = left, is_listed_first

    def InferenceSession(self, path: str, **given: Any) -> Any:
        options, ((name, choice),) = given["sess_options"], given["providers"]
        assert (name, choice, given["enable_fallback"]) == (
            "CUDAExecutionProvider",
            {"use_tf32": "0", "device_id": "1"},
            False,
        )
        assert options.get_session_config_entry("session.record_ep_graph_assignment_info") == "1"
        if self._left and _is_strict(options):
            raise RuntimeError(
                "This session contains graph nodes that are assigned to the default CPU EP, but fallback to CPU EP has "
                "been explicitly disabled by the user."
            )
        operators = [node.op_type for node in onnx.load(path).graph.node]
        parts = [
            SimpleNamespace(
                ep_name="CPUExecutionProvider" if operator in self._left else name,
                get_nodes=partial(list, [SimpleNamespace(op_type=operator)]),
            )
            for operator in operators
        ]
        real = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return SimpleNamespace(
            get_inputs=real.get_inputs,
            get_outputs=real.get_outputs,
            get_providers=lambda: [name if self._is_listed_first else "CPUExecutionProvider"],
            get_provider_graph_assignment_info=lambda: parts,
            io_binding=real.io_binding,
            run_with_iobinding=real.run_with_iobinding,
        )


def _is_strict(options: Any) -> bool:
    try:
        return bool(options.get_session_config_entry("session.disable_cpu_ep_fallback") == "1")
    except RuntimeError:  # never set
        return False


@pytest.fixture
def reshaping(tmp_path: Path) -> Path:
    """y is x times twice the unit matrix, in the shape that x has."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 2]) for name in "xy")
    twice = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [2.0, 0.0, 0.0, 2.0])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Cast", ["shape"], ["cast"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["product", "cast"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "reshaping", [x], [y], [twice])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path / "reshaping.onnx"
    path.write_bytes(model.SerializeToString())
    return path


ON_GPU = ExecutionConfig(variant="fp32", provider="CUDA:1")


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (("MatMul",), "it leaves nodes of the model to the CPU: MatMul"),
        (("MatMul", "Shape", "Cast"), "it leaves nodes of the model to the CPU: MatMul"),
        (("MatMul", "Shape", "Cast", "Reshape"), "it leaves nodes of the model to the CPU: MatMul"),
    ],
)
def test_a_model_of_which_the_cpu_computes_a_part_is_refused_on_a_gpu(
    reshaping: Path, monkeypatch: pytest.MonkeyPatch, left: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr(inference, "load_runtime", lambda: FakeGpuRuntime(*left))
    with pytest.raises(EnvironmentFault, match="the provider CUDA:1 can't run this model here") as caught:
        open_session(reshaping, ON_GPU)
    assert said in caught.value.what


def test_what_casts_is_refused_on_the_cpu_where_the_model_reads_no_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 2]) for name in "xy")
    nodes = [helper.make_node("Cast", ["x"], ["cast"], to=TensorProto.FLOAT), helper.make_node("Neg", ["cast"], ["y"])]
    graph = helper.make_graph(nodes, "casting", [x], [y])
    casting = tmp_path / "casting.onnx"
    casting.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    )
    monkeypatch.setattr(inference, "load_runtime", lambda: FakeGpuRuntime("Cast"))
    with pytest.raises(EnvironmentFault, match="it leaves nodes of the model to the CPU: Cast"):
        open_session(casting, ON_GPU)


def test_a_session_that_lists_the_cpu_first_fell_back(reshaping: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for left in ((), ("Shape",)):
        monkeypatch.setattr(inference, "load_runtime", lambda left=left: FakeGpuRuntime(*left, is_listed_first=False))
        with pytest.raises(EnvironmentFault, match=r"fell back to CPU|leaves nodes of the model to the CPU"):
            open_session(reshaping, ON_GPU)


def test_shapes_and_labels_may_be_found_on_the_cpu_and_it_is_told(
    reshaping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "load_runtime", lambda: FakeGpuRuntime("Shape", "Cast"))
    assert open_session(reshaping, ON_GPU).on_cpu == ("Shape", "Cast")
    monkeypatch.setattr(inference, "load_runtime", lambda: FakeGpuRuntime("Cast"))  # as CUDA does with an encoder
    assert open_session(reshaping, ON_GPU).on_cpu == ("Cast",)
    monkeypatch.setattr(inference, "load_runtime", FakeGpuRuntime)
    assert open_session(reshaping, ON_GPU).on_cpu == ()


def test_a_classifier_may_look_its_labels_up_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 2]) for name in "xy")
    label = helper.make_tensor_value_info("label", TensorProto.INT64, None)
    classes = helper.make_tensor("classes", TensorProto.INT64, [2], [7, 9])
    nodes = [
        helper.make_node("Softmax", ["x"], ["y"]),
        helper.make_node("ArgMax", ["y"], ["best"], axis=1, keepdims=0),
        helper.make_node("ArrayFeatureExtractor", ["classes", "best"], ["label"], domain="ai.onnx.ml"),
    ]
    graph = helper.make_graph(nodes, "classifier", [x], [y, label], [classes])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())
    monkeypatch.setattr(inference, "load_runtime", lambda: FakeGpuRuntime("ArrayFeatureExtractor"))
    assert open_session(tmp_path / "m.onnx", ON_GPU).on_cpu == ("ArrayFeatureExtractor",)
    monkeypatch.setattr(inference, "load_runtime", lambda: FakeGpuRuntime("ArrayFeatureExtractor", "Softmax"))
    with pytest.raises(EnvironmentFault, match="leaves nodes of the model to the CPU: Softmax"):
        open_session(tmp_path / "m.onnx", ON_GPU)


def test_a_session_of_a_gpu_comes_bound_to_its_device(reshaping: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "load_runtime", FakeGpuRuntime)
    asked = []
    monkeypatch.setattr(onnxruntime.IOBinding, "bind_output", lambda self, *device: asked.append(device))
    bound = open_session(reshaping, ON_GPU).binding
    assert bound is not None
    with pytest.raises(RuntimeError):  # no output is bound
        bound.infer({"x": np.ones((1, 2), dtype=np.float32)})
    assert asked == [("y", "cuda", 1)]


def test_two_runtimes_that_overwrite_each_other_are_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnxruntime", "onnxruntime-gpu"):
        folder = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EnvironmentFault, match="overwrite each other") as caught:
        load_runtime()
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in caught.value.fix


def test_without_a_runtime_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert runtime_version() == "none"
    with pytest.raises(EnvironmentFault, match="no ONNX Runtime is installed") as caught:
        load_runtime()
    assert 'pip install "loadplan[cpu]"' in caught.value.fix


@pytest.mark.parametrize(
    ("said", "is_memory"),
    [
        (
            "bfc_arena.cc:376 AllocateRawInternal Failed to allocate memory for requested buffer of size 8388608000",
            True,
        ),
        ("Available memory of 1024 is smaller than requested bytes of 4096", True),
        ("CUDA failure 2: out of memory ; GPU=0 ; hostname=x ; file=/src/cuda_allocator.cc", True),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0", True),
        ("std::bad_alloc", True),
        ("Got invalid dimensions for input: x", False),
    ],
)
def test_a_lack_of_memory_is_known_by_what_the_runtime_says(said: str, is_memory: bool) -> None:
    assert is_out_of_memory(RuntimeError(said)) == is_memory


def test_the_number_of_a_device_stands_behind_its_provider() -> None:
    assert [
        (execution.provider_name, execution.device_index)
        for execution in (
            ExecutionConfig(variant="fp32", provider=name) for name in ("CPU", "CUDA", "CUDA:0", "CUDA:3")
        )
    ] == [("CPU", None), ("CUDA", None), ("CUDA", 0), ("CUDA", 3)]
