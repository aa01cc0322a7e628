"""`loadplan init` and `loadplan doctor`: what they print and leave behind."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadplan.cli.app import run_command_line
from loadplan.doctor.installed import Part
from loadplan.errors import EnvironmentFault, InputError
from loadplan.export.model_file import read_model
from loadplan.pipeline.starter import SOURCE_OF_SUFFIX
from loadplan.providers import Provider
from loadplan.scenario.reader import read_scenario
from loadplan.scenario.spec import ModelSource, ModelSourceKind
from tests.faults.model_flips import plain, save

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path


def document(capsys: Capture, *words: str | Path, code: int = 0) -> dict[str, Any]:
    assert run_command_line([*map(str, words), "--json"]) == code
    return dict(json.loads(capsys.readouterr().out))


def test_a_file_that_is_there_is_replaced_only_when_asked(folder: Path, capsys: Capture) -> None:
    assert run_command_line(["init"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("scenario.yaml\n")
    assert "traffic.peak_rps" in said
    (folder / "scenario.yaml").write_text("mine")
    assert "--force" in document(capsys, "init", code=2)["fix"]
    assert (folder / "scenario.yaml").read_text() == "mine"
    assert document(capsys, "init", "--force")["schema"] == "loadplan.init/1"
    assert read_scenario(folder / "scenario.yaml").traffic.peak_rps == 300.0


def test_a_model_is_looked_at_and_its_inputs_are_named(folder: Path, capsys: Capture) -> None:
    (folder / "models").mkdir()
    save(plain(), folder / "models" / "tiny.onnx")
    made = document(capsys, "init", "models/tiny.onnx", "--out", "shop.yaml")
    assert made["inputs"] == [{"name": "x", "dtype": "float32", "shape": [None, 3]}]
    assert "# it takes 'x': float32, rows × 3\n" in (folder / "shop.yaml").read_text()
    model = read_scenario(folder / "shop.yaml").model
    assert model is not None
    assert (model.kind, model.file, model.payload) == ("onnx", "models/tiny.onnx", None)


def test_a_model_outside_the_folder_is_named_absolutely(folder: Path, capsys: Capture) -> None:
    (folder / "m.skops").write_bytes(b"not opened")
    document(capsys, "init", "m.skops", "--out", "inner/shop.yaml")
    model = read_scenario(folder / "inner" / "shop.yaml").model
    assert model is not None
    assert (model.kind, model.file) == ("sklearn", str(folder / "m.skops"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.onnx"], "there is no such model file"),
        (["bad.onnx"], "no valid ONNX model"),
        (["model.bin"], "known by its ending"),
        (["--out", "."], "a folder"),
        (["--out", "my shop.yaml"], "can't name one"),
    ],
    ids=["no such file", "no model", "another kind of file", "a folder", "a name with a space"],
)
def test_what_cannot_be_begun_with_is_one_message_and_leaves_no_file(
    folder: Path, capsys: Capture, words: list[str], said: str
) -> None:
    for name in ("bad.onnx", "model.bin"):
        (folder / name).write_bytes(b"not a model")
    assert said in document(capsys, "init", *words, code=2)["what"]
    assert list(folder.glob("*.yaml")) == []


@pytest.mark.parametrize(("suffix", "source"), SOURCE_OF_SUFFIX.items())
def test_a_file_of_each_ending_is_one_that_the_export_opens(folder: Path, suffix: str, source: ModelSourceKind) -> None:
    if suffix in (".onnx", ".safetensors"):  # opened elsewhere: as it is, and by a factory's module
        return
    model = ModelSource(
        kind=source, factory=None, folder=str(folder), variants=("fp32",), parity={}, file=f"none{suffix}"
    )
    with pytest.raises(InputError, match="no such model file"):
        read_model(model)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine on which nothing takes long: the runtime's providers and the neighbours are made up."""
    cpu = Provider(name="CPU", device_index=None, device_name=None, usable=True, reason=None)
    monkeypatch.setattr("loadplan.doctor.here.discover_providers", lambda: (cpu,))
    monkeypatch.setattr("loadplan.doctor.here.attained_rates", lambda _works, budget_s: {"lost": np.full(10, 0.01)})
    whole = Part(extra="", missing=(), misfits=(), to_install=())
    monkeypatch.setattr("loadplan.doctor.examine.installed_parts", lambda: (whole,))
    monkeypatch.setattr("loadplan.clock.utc_now", lambda: datetime(2026, 11, 24, tzinfo=UTC))
    return monkeypatch


@pytest.mark.usefixtures("here")
def test_doctor_has_a_finding_for_each_question_and_ends_in_0_where_nothing_lacks(capsys: Capture) -> None:
    said = document(capsys, "doctor")
    assert said["schema"] == "loadplan.doctor/1"
    names = {finding["name"].split(" ")[0] for finding in said["findings"]}
    assert names == {
        *("python", "loadplan", "system", "runtime", "provider", "gpu", "cores", "noise", "distance", "emulation"),
        *("virtual", "clock", "ports", "files", "catalogue", "compiled", "extras"),
    }
    assert [each for each in said["findings"] if each["state"] == "doubt" and not each["fix"]] == []


def test_doctor_ends_in_4_where_something_lacks_and_shows_the_rest_all_the_same(
    here: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def no_runtime() -> None:
        raise EnvironmentFault(what="no ONNX Runtime is installed", where="here", fix="run: pip install it")

    here.setattr("loadplan.doctor.hardware.load_runtime", no_runtime)
    said = document(capsys, "doctor", code=4)
    assert (said["schema"], said["fix"]) == ("loadplan.error/1", "run: pip install it")
    states = {finding["name"]: finding["state"] for finding in said["findings"]}
    assert states["runtime"] == "lack"
    assert "catalogue" in states
    assert "provider CPU" not in states  # none was tried
    assert run_command_line(["doctor"]) == 4
    shown = capsys.readouterr()
    assert "lack   runtime          no ONNX Runtime is installed\n" in shown.out
    assert "fix: run: pip install it" in shown.out
    assert "error: loadplan can't work here: runtime" in shown.err


def test_doctor_tells_missing_packages_alone_for_all_else_would_import_them(
    here: pytest.MonkeyPatch, capsys: Capture
) -> None:
    part = Part(extra="", missing=("numba",), misfits=(), to_install=("numba<1,>=0.62",))
    here.setattr("loadplan.doctor.examine.installed_parts", lambda: (part,))
    said = document(capsys, "doctor", code=4)
    assert [each["name"] for each in said["findings"]] == ["python", "loadplan"]
    assert said["fix"] == 'pip install "numba<1,>=0.62"'
