"""Model files that were damaged, or made to do harm: each ends in one message, and nothing outside is ever read."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from loadplan.errors import EnvironmentFault, InputError
from loadplan.execution import ExecutionConfig
from loadplan.export.guard import GuardLimits, inspect_model
from loadplan.inference import open_session, run
from loadplan.store.files import sha256_file

from .model_flips import initializer, model_of, plain, rich, save, save_with_data, send_outside, value

ROOT = Path(__file__).parents[2]
# Reading a named pipe that nobody writes to waits for ever: then the message is another one.
SOON = GuardLimits(time_s=30)


def refusal(path: Path, *, limits: GuardLimits = SOON) -> InputError:
    with pytest.raises(InputError) as caught:
        inspect_model(path, limits=limits)
    assert caught.value.exit_code == 2
    return caught.value


def test_a_model_is_described_without_being_opened_here(tmp_path: Path) -> None:
    path = save(rich(), tmp_path / "model.onnx")
    found = inspect_model(path)
    assert found.path == str(path)
    assert found.sha256 == sha256_file(path)
    assert (found.n_bytes, found.opset, found.ir_version) == (path.stat().st_size, 17, 9)
    assert found.n_parameters == 6
    assert [(spec.name, spec.dtype, spec.shape) for spec in found.inputs] == [("x", "float32", (None, 3))]
    assert [(spec.name, spec.dtype, spec.shape) for spec in found.outputs] == [("y", "float32", (None, 2))]
    assert found.external == ()


def test_external_data_beside_the_model_is_read_and_copied_into_one_file(tmp_path: Path) -> None:
    path = save_with_data(tmp_path / "given")
    found = inspect_model(path, copy_to=tmp_path / "copy.onnx")
    (data,) = found.external
    assert (data.location, data.n_bytes, data.sha256) == ("w.bin", 32, sha256_file(tmp_path / "given" / "w.bin"))
    assert found.n_parameters == 6
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.onnx", "given"]
    rows = np.ones((2, 3), dtype=np.float32)
    answers = [
        run(open_session(model, ExecutionConfig(variant="fp32")), {"x": rows})["y"]
        for model in (path, tmp_path / "copy.onnx")
    ]
    assert np.array_equal(answers[0], [[6, 9], [6, 9]])
    assert np.array_equal(answers[0], answers[1])


@pytest.mark.parametrize("depth", ["model.onnx", "onnx/model.onnx"])
def test_a_hugging_face_cache_of_links_loads(tmp_path: Path, depth: str) -> None:
    given = save_with_data(tmp_path / "given")
    blobs, shot = tmp_path / "cache" / "blobs", tmp_path / "cache" / "snapshots" / "1" / depth
    blobs.mkdir(parents=True)
    shot.parent.mkdir(parents=True)
    given.rename(blobs / "aa")
    (given.parent / "w.bin").rename(blobs / "bb")
    shot.symlink_to(os.path.relpath(blobs / "aa", shot.parent))
    shot.with_name("w.bin").symlink_to(os.path.relpath(blobs / "bb", shot.parent))
    found = inspect_model(shot)
    assert [data.sha256 for data in found.external] == [sha256_file(blobs / "bb")]
    open_session(Path(found.path), ExecutionConfig(variant="fp32"))


def test_a_link_to_the_model_alone_finds_the_data_where_the_model_is(tmp_path: Path) -> None:
    given = save_with_data(tmp_path / "given")
    (tmp_path / "link.onnx").symlink_to(given)
    found = inspect_model(tmp_path / "link.onnx")
    assert found.path == str(given)
    open_session(Path(found.path), ExecutionConfig(variant="fp32"))


def in_initializer(tensor: Any) -> Any:
    model = plain()
    model.graph.initializer[0].CopyFrom(tensor)
    return model


def in_subgraph(tensor: Any) -> Any:
    model = rich()
    model.graph.node[0].attribute[1].g.initializer.add().CopyFrom(tensor)
    return model


def in_function(tensor: Any) -> Any:
    model = rich()
    model.functions[0].node[0].attribute[0].t.CopyFrom(tensor)
    return model


def in_sparse(tensor: Any) -> Any:
    model = plain()
    model.graph.sparse_initializer.add().values.CopyFrom(tensor)
    return model


def in_training(tensor: Any) -> Any:
    model = plain()
    model.training_info.add().initialization.initializer.add().CopyFrom(tensor)
    return model


@pytest.mark.parametrize("place", [in_initializer, in_subgraph, in_function, in_sparse, in_training])
def test_external_data_is_found_wherever_it_hides(tmp_path: Path, place: Callable[[Any], Any]) -> None:
    tensor = initializer(np.zeros((3, 2), dtype=np.float32), "w")
    send_outside(tensor, location="../canary")
    os.mkfifo(tmp_path / "canary")
    refused = refusal(save(place(tensor), tmp_path / "models" / "model.onnx"))
    assert "'../canary' leads out of the model's folder" in refused.what
    assert "tensor 'w'" in refused.where


@pytest.mark.parametrize(
    "location", ["../canary", "a/../../canary", "CANARY", "link", "linked/canary", "C:\\canary", "..\\canary", "\\x"]
)
def test_data_outside_the_folder_is_never_read(tmp_path: Path, location: str) -> None:
    os.mkfifo(tmp_path / "canary")
    folder = tmp_path / "models"
    (folder / "a").mkdir(parents=True)
    (folder / "link").symlink_to("../canary")
    (folder / "linked").symlink_to("..")
    path = save_with_data(folder, location=location.replace("CANARY", str(tmp_path / "canary")))
    assert "leads out of the model's folder" in refusal(path).what


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("absent.bin", "the external data file 'absent.bin' is missing"),
        ("canary", "can't be read: it is not a regular file"),
        ("folder", "can't be read: it is not a regular file"),
        ("hard.bin", "is a hard link"),
        ("", "names no file"),
        ("w.bin\0", "names no file"),
        ("*/_ORT_MEM_ADDR_/*", "an address in memory"),
    ],
)
def test_data_that_is_no_file_of_its_own_is_refused(tmp_path: Path, location: str, said: str) -> None:
    os.mkfifo(tmp_path / "canary")
    (tmp_path / "folder").mkdir()
    path = save_with_data(tmp_path, location=location)
    os.link(tmp_path / "w.bin", tmp_path / "hard.bin")
    assert said in refusal(path).what


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"offset": "9"}, "ends at byte 33, and the file 'w.bin' has 32"),
        ({"offset": "9223372036854775807"}, "ends at byte 9,223,372,036,854,775,831"),
        ({"offset": "-1"}, "the offset '-1', which is no number of bytes"),
        ({"offset": "9" * 5000}, "which is no number of bytes"),
        ({"length": "-24"}, "the length '-24', which is no number of bytes"),
        ({"length": "4611686018427387904"}, "is 4,611,686,018,427,387,904 bytes long, and its shape needs 24"),
        ({"length": "0x18"}, "which is no number of bytes"),
        ({"pickle": "1"}, "unknown or repeated key 'pickle'"),
    ],
)
def test_an_entry_is_compared_with_the_real_file(tmp_path: Path, entries: dict[str, str], said: str) -> None:
    assert said in refusal(save_with_data(tmp_path, **entries)).what


def test_a_shape_that_claims_more_than_the_file_holds_is_refused_before_it_is_allocated(tmp_path: Path) -> None:
    path = save_with_data(tmp_path)
    model = onnx.load_model_from_string(path.read_bytes())
    tensor = model.graph.initializer[0]
    del tensor.dims[:]
    tensor.dims.extend([1 << 40, 1 << 20])
    del tensor.external_data[2]
    assert "ends at byte" in refusal(save(model, path)).what


def test_an_operator_of_a_foreign_library_is_named(tmp_path: Path) -> None:
    model = model_of([helper.make_node("Rank", ["x"], ["y"], domain="com.shop")], weights=[])
    refused = refusal(save(model, tmp_path / "model.onnx"))
    assert "custom operators, which only a foreign library could bring: 'Rank' of the domain 'com.shop'" in refused.what
    assert "standard operators" in refused.fix


@pytest.mark.parametrize(("opset", "ir_version"), [(999, 9), (17, 99)])
def test_a_model_from_the_future_names_what_to_upgrade(tmp_path: Path, opset: int, ir_version: int) -> None:
    model = plain()
    model.opset_import[0].version, model.ir_version = opset, ir_version
    with pytest.raises(EnvironmentFault, match=str(max(opset, ir_version)) if opset == 999 else "99") as caught:
        inspect_model(save(model, tmp_path / "model.onnx"))
    assert f"onnx (installed: {onnx.__version__})" in caught.value.fix


def test_what_is_no_model_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "text.onnx").write_text("{}")
    with (tmp_path / "huge.onnx").open("wb") as file:
        file.truncate(1 << 31)
    said = {
        "absent.onnx": "no such model file",
        ".": "a folder",
        "pipe.onnx": "not a regular file",
        "empty.onnx": "is empty",
        "text.onnx": "no valid ONNX model",
        "huge.onnx": "larger than 2 GB",
    }
    for name, expected in said.items():
        assert expected in refusal(tmp_path / name).what


def test_a_model_that_loops_for_ever_is_stopped(tmp_path: Path) -> None:
    flag = [value(name, [], TensorProto.BOOL) for name in ("go", "on")]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Neg", ["a"], ["b"])],
        "body",
        [value("i", [], TensorProto.INT64), flag[0], value("a", ["rows", 3])],
        [flag[1], value("b", ["rows", 3])],
    )
    nodes = [
        helper.make_node("Loop", ["trips", "yes", "x"], ["z"], body=body),
        helper.make_node("MatMul", ["z", "w"], ["y"]),
    ]
    weights = [initializer(2**62, "trips"), initializer(True, "yes"), *plain().graph.initializer]
    path = save(model_of(nodes, weights=weights), tmp_path / "model.onnx")
    assert (
        "took longer than 5 s while running it on one made-up row" in refusal(path, limits=GuardLimits(time_s=5)).what
    )


def test_a_model_that_wants_all_memory_gets_none(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["top"], keepdims=0),
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Add", ["z", "top"], ["y"]),
    ]
    weights = [initializer(np.array([1 << 34]), "shape"), *plain().graph.initializer]
    path = save(model_of(nodes, weights=weights), tmp_path / "model.onnx")
    assert "far more memory than its size explains" in refusal(path).what


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed its reader (SIGSEGV) while"),
        ("signal.pause()", "took longer than 3 s while"),
        ("os._exit(7)", "its reader gave no answer while"),
    ],
)
def test_a_parser_that_dies_or_hangs_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str, said: str
) -> None:
    # Another onnx before the real one; it leaves a sign before it does harm.
    sign = tmp_path / "fired"
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "onnx.py").write_text(
        f"import os, signal, pathlib\npathlib.Path({str(sign)!r}).write_text(str(os.getpid()))\n{harm}\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'fake'}{os.pathsep}{ROOT}")
    assert said in refusal(save(plain(), tmp_path / "model.onnx"), limits=GuardLimits(time_s=3)).what
    with pytest.raises(ProcessLookupError):
        os.kill(int(sign.read_text()), 0)


def swept(folder: Path, *, n_flips: int, seed: int) -> Counter[tuple[str, int]]:
    script = Path(__file__).with_name("model_flips.py")
    done = subprocess.run(
        [sys.executable, script, folder, str(n_flips), str(seed)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for path in [line["file"] for line in lines if line["file"]][:5]:
        refusal(Path(path), limits=GuardLimits(time_s=12))  # what killed or stopped a fork is a message to a user
    return Counter((line["damage"], line["code"]) for line in lines)


def require_known_ends(found: Counter[tuple[str, int]], *, n_flips: int) -> None:
    ends = {code for _, code in found}
    assert ends <= {0, 2, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGALRM, -signal.SIGFPE, -signal.SIGBUS}
    assert found["none", 0] == 2  # undamaged, both are accepted
    assert sum(count for (damage, _), count in found.items() if damage == "flip") == n_flips
    assert found["flip", 0] > n_flips / 50  # a changed weight is still a model
    assert found["flip", 2] > n_flips / 2


@pytest.mark.slow
def test_cut_and_flipped_files_are_refused_or_harmless(tmp_path: Path) -> None:
    found = swept(tmp_path, n_flips=150, seed=1)
    require_known_ends(found, n_flips=150)
    assert found["cut", 0] == 0


def test_operators_that_nothing_here_can_run_are_named_with_their_versions(tmp_path: Path) -> None:
    def uses(operator: str, domain: str = "", version: int = 1) -> Any:
        model = plain()
        model.graph.node[0].op_type, model.graph.node[0].domain = operator, domain
        if domain:
            model.opset_import.append(helper.make_opsetid(domain, version))
        return model

    def in_a_function() -> Any:
        model = rich()
        model.functions[0].node[1].op_type = "Mull"
        return model

    det = helper.make_node("Det", ["x"], ["y"])
    doubles = value("x", ["rows", 4, 4], TensorProto.DOUBLE), value("y", ["rows"], TensorProto.DOUBLE)
    of_doubles = helper.make_graph([det], "hostile", doubles[:1], doubles[1:])
    for model, said in (
        (uses("Fancy"), "ONNX doesn't have at its opset: 'Fancy' (ai.onnx opset 17)"),
        (uses("Trees", "ai.onnx.ml", 3), "ONNX doesn't have at its opset: 'Trees' (ai.onnx.ml opset 3)"),
        (in_a_function(), "ONNX doesn't have at its opset: 'Mull' (ai.onnx opset 17)"),
        (uses("Rank", "com.shop", 4), "'Rank' of the domain 'com.shop' (version 4)"),
        (uses("Fancy", "com.microsoft"), "has no operator com.microsoft:Fancy, which the model uses at opset 17"),
        (
            helper.make_model(of_doubles, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
            "has no operator Det of these types, which the model uses at opset 17",
        ),
    ):
        assert said in refusal(save(model, tmp_path / "model.onnx")).what


def test_a_model_without_outputs_is_refused(tmp_path: Path) -> None:
    model = plain()
    del model.graph.output[:]
    assert refusal(save(model, tmp_path / "model.onnx")).what == "the model has 1 inputs and 0 outputs"


def test_data_of_more_than_2_gb_is_refused_as_a_source_before_it_is_read(tmp_path: Path) -> None:
    model = plain()
    n_rows = (1 << 31) // 8
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = n_rows
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend([n_rows, 2])
    send_outside(model.graph.initializer[0], location="w.bin", length=str(n_rows * 8))
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(n_rows * 8)
    path = save(model, tmp_path / "model.onnx")
    with pytest.raises(InputError) as caught:
        inspect_model(path, copy_to=tmp_path / "copy.onnx", limits=SOON)
    assert "more than the 2 GB that fit into one file" in caught.value.what
    assert "not supported yet" in caught.value.fix
    assert not (tmp_path / "copy.onnx").exists()


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_thousands_of_flips_are_refused_or_harmless(tmp_path: Path) -> None:
    require_known_ends(swept(tmp_path, n_flips=10_000, seed=2), n_flips=10_000)
