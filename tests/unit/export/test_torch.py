"""PyTorch modules: each answers as PyTorch does, for any number of rows and positions, or stops with a message."""

from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from loadplan.errors import InputError
from loadplan.execution import ExecutionConfig
from loadplan.export.source import Conversion, TrainedModel
from loadplan.inference import open_session, run

if TYPE_CHECKING:
    from tests.unit.export.conftest import ExportSource

torch = pytest.importorskip("torch", reason="needs the extra torch, which `make test-all` installs")
pytest.importorskip("onnxscript", reason="needs the extra torch, which `make test-all` installs")

from loadplan.export.torch import convert  # noqa: E402  # needs torch

nn = torch.nn
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(9, 5)).astype(np.float32)
LENGTHS = np.array([2, 9, 4, 4, 7, 3, 9, 5, 6])
IDS = RNG.integers(1, 20, size=(9, 9)) * (np.arange(9) < LENGTHS[:, np.newaxis])

Run = Callable[..., dict[str, Any]]


def net(forward: Callable[..., Any], **parts: Any) -> Any:
    """A module with this forward() and these parts, in evaluation mode; the weights are the same each time."""
    module = type("Net", (nn.Module,), {"forward": forward})()
    for name, part in parts.items():
        setattr(module, name, part)
    return module.eval()


def linear(n_outputs: int = 3) -> Any:
    torch.manual_seed(0)
    return nn.Linear(5, n_outputs)


def exported(module: Any, rows: Any = ROWS, **rest: Any) -> Conversion:
    return convert(TrainedModel(estimator=module, rows=rows, **rest), where="shop_model:build")


@pytest.fixture
def ask(tmp_path: Path) -> Run:
    """What ONNX Runtime answers with a conversion's graph."""

    def answer(conversion: Conversion, **inputs: Any) -> dict[str, Any]:
        (tmp_path / "fp32.onnx").write_bytes(conversion.onnx)
        return run(open_session(tmp_path / "fp32.onnx", ExecutionConfig(variant="fp32")), inputs)

    return answer


def told(module: Any, **inputs: Any) -> Any:
    """What PyTorch answers."""
    with torch.no_grad():
        return module(**{name: torch.tensor(values) for name, values in inputs.items()})


def close(got: Any, wanted: Any) -> bool:
    return got.shape == tuple(wanted.shape) and np.allclose(got, wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize("n_rows", [1, 2, 37])
def test_a_graph_made_of_nine_rows_answers_any_number_of_others(ask: Run, n_rows: int) -> None:
    # A capture of fixed rows would keep their number in the reshape.
    module = net(lambda self, x: self.linear(x.reshape(x.shape[0], 1, 5)).squeeze(1), linear=linear())
    others = RNG.normal(size=(n_rows, 5)).astype(np.float32)
    assert close(ask(exported(module), x=others)["output"], told(module, x=others))


@pytest.mark.parametrize(("n_rows", "length"), [(1, 1), (4, 2), (3, 9), (2, 60)])
def test_rows_may_have_any_length_beyond_those_seen_too(ask: Run, n_rows: int, length: int) -> None:
    torch.manual_seed(0)
    module = net(lambda self, ids: self.table(ids).mean(dim=1), table=nn.Embedding(20, 4))
    conversion = exported(module, {"ids": IDS}, lengths=LENGTHS)
    assert conversion.sequences == ("ids",)
    others = RNG.integers(1, 20, size=(n_rows, length))
    assert close(ask(conversion, ids=others)["output"], told(module, ids=others))


def test_each_row_is_answered_at_its_own_length_and_in_its_own_place() -> None:
    module = net(lambda self, ids: ids.to(torch.float32).mean(dim=1))
    conversion = exported(module, {"ids": IDS}, lengths=LENGTHS)
    assert np.allclose(conversion.answers["output"], IDS.sum(axis=1) / LENGTHS)
    assert conversion.lengths is not None
    assert conversion.lengths.tolist() == LENGTHS.tolist()


def test_a_module_left_in_training_mode_answers_as_in_evaluation_mode_and_that_is_said(ask: Run) -> None:
    module = nn.Sequential(linear(), nn.BatchNorm1d(3), nn.Dropout(0.5))
    module(torch.tensor(ROWS) + 3.0)  # moves the running mean off 0, so that the two modes differ
    module[1].train()
    conversion = exported(module)
    assert conversion.note == "put from training into evaluation mode"
    others = RNG.normal(size=(37, 5)).astype(np.float32)
    normalised = (told(module[0], input=others) - module[1].running_mean) / torch.sqrt(module[1].running_var + 1e-5)
    assert close(ask(conversion, input=others)["output"], normalised)
    assert module[1].running_mean.abs().max() > 0.01


def test_the_road_takes_a_module_from_a_factory(export_source: "ExportSource") -> None:
    exported = export_source(
        "torch",
        "import torch\ntorch.manual_seed(0)",
        "model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))",
    )
    assert exported.max_abs_error <= 5e-6
    assert exported.run.source == "torch shop_model:build (Sequential; put from training into evaluation mode)"
    assert [(spec.name, spec.dtype, spec.shape) for spec in exported.model.inputs] == [("input", "float32", (None, 5))]
    assert (exported.model.opset, exported.model.ir_version) == (21, 10)
    assert exported.model.n_parameters == 5 * 8 + 8 + 8 + 1
    assert {"torch", "onnxscript", "onnx"} <= set(exported.run.versions)


def test_the_file_is_whole_and_knows_nothing_of_the_machine_that_made_it() -> None:
    module = net(lambda self, x: self.linear(x), linear=linear(200))
    conversion = exported(module)
    assert conversion.onnx == exported(module).onnx
    model = onnx.load_model_from_string(conversion.onnx)
    weights = next(tensor for tensor in model.graph.initializer if tuple(tensor.dims) == (200, 5))
    assert weights.raw_data == module.linear.weight.detach().numpy().tobytes()
    for place in (torch.__file__, __file__):
        assert str(Path(place).parent).encode() not in conversion.onnx
    axes = [[dim.dim_param for dim in tensor.type.tensor_type.shape.dim] for tensor in model.graph.input]
    assert axes == [["batch", ""]]


Scores = namedtuple("Scores", ["low", "high"])


@pytest.mark.parametrize(
    ("forward", "names"),
    [
        (lambda self, x: x * 2, ["output"]),
        (lambda self, x: (x * 2, x + 1), ["output_0", "output_1"]),
        (lambda self, x: Scores(low=x * 2, high=x + 1), ["low", "high"]),
        (lambda self, x: {"none": None, "mul": (x * 2).relu() - (x * -2).relu(), "relu": x + 1}, ["mul", "relu"]),
        (lambda self, x: {"twice": x * 2, "x": x}, ["twice", "output_x"]),
    ],
    ids=["tensor", "tuple", "named tuple", "names that inner results have", "name of an input"],
)
def test_outputs_are_named_as_the_module_names_them(ask: Run, forward: Any, names: list[str]) -> None:
    conversion = exported(net(forward))
    got = ask(conversion, x=ROWS)
    assert list(got) == list(conversion.answers) == names
    assert np.allclose(got[names[0]], ROWS * 2)
    for name in names:
        assert np.allclose(got[name], conversion.answers[name])


def test_inputs_go_by_name_whatever_their_order_and_keep_their_types(ask: Run) -> None:
    module = net(lambda self, a, b, c=None, d=None: (a - b.to(torch.float32)) * c)
    rows = {
        "c": np.array([True, False, True]),
        "b": np.array([1, 2, 3], dtype=np.int32),
        "a": np.array([0.5, 0.5, 9.0]),
    }
    conversion = exported(module, rows)
    assert {name: values.dtype.name for name, values in conversion.inputs.items()} == {
        "a": "float32",
        "b": "int32",
        "c": "bool",
    }
    assert ask(conversion, **conversion.inputs)["output"].tolist() == [-0.5, 0.0, 6.0]


def test_ids_stay_whole_numbers(ask: Run) -> None:
    torch.manual_seed(0)
    module = net(lambda self, ids: self.table(ids), table=nn.Embedding(20, 4))
    conversion = exported(module, np.array([1, 5, 7]))
    assert conversion.inputs["ids"].dtype == np.int64
    others = np.array([19, 0])
    assert close(ask(conversion, ids=others)["output"], told(module, ids=others))


def test_an_input_that_changes_nothing_is_still_one(ask: Run) -> None:
    conversion = exported(net(lambda self, x, y: x * 2), {"y": ROWS, "x": ROWS})
    assert np.allclose(ask(conversion, x=ROWS, y=ROWS)["output"], ROWS * 2)


def test_a_class_beside_its_scores_is_what_labels_are_held_against() -> None:
    module = net(lambda self, x: {"scores": x, "class": x.argmax(dim=1)})
    assert exported(module, labels=np.arange(9)).label_output == "class"
    assert exported(module).label_output is None


def test_nothing_is_printed_on_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    def forward(self: Any, x: Any) -> Any:
        print("here")  # noqa: T201
        return x * 2

    exported(net(forward))
    assert capfd.readouterr().out == ""


def test_one_row_is_enough_to_export(ask: Run) -> None:
    assert np.allclose(ask(exported(net(lambda self, x: x * 2), ROWS[:1]), x=ROWS)["output"], ROWS * 2)


def _as_numpy(self: Any, x: Any) -> Any:
    return torch.from_numpy(x.numpy() * 2)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no module": (lambda: "weights.pt", "str is not a torch.nn.Module"),
    "compiled": (lambda: torch.compile(nn.Linear(5, 3)), "the model is wrapped in OptimizedModule"),
    "parallel": (lambda: nn.DataParallel(nn.Linear(5, 3)), "the model is wrapped in DataParallel"),
    "half precision": (lambda: nn.Linear(5, 3).half(), "the weight weight is of the type torch.float16"),
    "another device": (lambda: nn.Linear(5, 3, device="meta"), "the weight weight lies on the device meta"),
    "more than a file holds": (
        lambda: net(lambda self, x: x, table=nn.Parameter(torch.empty(1).expand(600_000_000))),
        "the weights take 2.4 GB",
    ),
    "fixed rows": (
        lambda: net(lambda self, x: x.view(3, -1) if len(x) == 3 else x),
        "takes the number of rows for the constant 3",
    ),
    "branch on rows": (
        lambda: net(lambda self, x: x * 2 if x.shape[0] > 10 else x * 2 + 0),
        "decides by the number of rows, and the capture keeps what it does for 2 to 10 of them",
    ),
    "branch on few rows": (
        lambda: net(lambda self, x: x * 2 if x.shape[0] > 2 else x * 2 + 0),
        "decides by the number of rows, and the capture keeps what it does for 3 to any number of them",
    ),
    "branch on values": (lambda: net(lambda self, x: x if x.sum() > 1e9 else x * 2), "decides by values of its rows"),
    "operators": (
        lambda: net(lambda self, x: torch.special.airy_ai(x) + torch.special.bessel_j0(x)),
        "torch.onnx can't write aten.special_airy_ai, prims.bessel_j0 of Net in ONNX at opset 21",
    ),
    "numpy inside": (lambda: net(_as_numpy), "torch.export can't capture Net: RuntimeError"),
    "random": (lambda: net(lambda self, x: nn.functional.dropout(x)), "answers the same rows differently each time"),
    "statistics of the batch": (
        lambda: nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3, track_running_stats=False)),
        "what Sequential answers to a row depends on the rows that share its batch",
    ),
    "sum over rows": (lambda: net(lambda self, x: x - x.mean(dim=0)), "depends on the rows that share its batch"),
    "one number in all": (lambda: net(lambda self, x: x.sum()), "the output 'output' has the shape () for 7 rows"),
    "nested": (lambda: net(lambda self, x: {"a": (x, x)}), "answers with dict that holds tuple as a"),
    "nothing": (lambda: net(lambda self, x: ()), "answers with tuple, which is empty"),
    "no tensor": (lambda: net(lambda self, x: "yes"), "answers with str that holds str as output"),
    "too few features": (lambda: nn.Linear(7, 3), "Linear refuses the factory's rows: RuntimeError: mat1 and mat2"),
    "two inputs": (lambda: net(lambda self, x, y: x + y), "forward() of Net takes x, y; the rows hold one array"),
    "none by name": (lambda: net(lambda self, *x: x[0]), "takes no inputs by name; the rows hold one array"),
}


@pytest.mark.parametrize(("make", "said"), REFUSED.values(), ids=REFUSED)
def test_a_module_that_cannot_be_served_has_a_message_of_its_own(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        exported(make())
    assert said in caught.value.what
    assert caught.value.where == "shop_model:build"


def test_names_that_forward_does_not_know_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        exported(net(lambda self, x: x), {"features": ROWS})
    assert caught.value.what == "forward() of Net takes x; the rows hold features"


def test_an_answer_to_each_position_is_refused() -> None:
    with pytest.raises(InputError, match="the output 'output' is not of one shape for rows of every length"):
        exported(net(lambda self, ids: ids * 2), {"ids": IDS}, lengths=LENGTHS)


def test_a_branch_on_the_length_is_refused() -> None:
    module = net(lambda self, ids: ids.sum(dim=1) if ids.shape[1] > 6 else ids.sum(dim=1) * 1)
    with pytest.raises(InputError, match="decides by the number of positions in a row, and the capture keeps"):
        exported(module, {"ids": IDS}, lengths=LENGTHS)


def test_a_limit_of_the_model_above_every_row_is_none(ask: Run) -> None:
    torch.manual_seed(0)
    module = net(
        lambda self, ids: (self.table(ids) + self.places[: ids.shape[1]]).mean(dim=1),
        table=nn.Embedding(20, 4),
        places=nn.Parameter(torch.randn(9, 4)),
    )
    conversion = exported(module, {"ids": IDS}, lengths=LENGTHS)
    others = RNG.integers(1, 20, size=(2, 9))
    assert close(ask(conversion, ids=others)["output"], told(module, ids=others))
