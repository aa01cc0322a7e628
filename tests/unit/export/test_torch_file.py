"""PyTorch's files: weights for the factory's module without running code, whole modules only where they are trusted."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadplan.errors import InputError
from loadplan.export.artifact import ExportRun
from loadplan.export.runner import export_model
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import ModelSource, ParityLimits

torch = pytest.importorskip("torch")

ROWS = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
FACTORY = """\
import numpy as np
import torch
from loadplan.export.source import TrainedModel


def build() -> TrainedModel:
    torch.manual_seed(1)
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    return TrainedModel(estimator=torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()), rows=rows)
"""


class Hostile:
    """Its unpickling leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def trained(width: int = 2) -> Any:
    torch.manual_seed(7)
    return torch.nn.Sequential(torch.nn.Linear(3, width), torch.nn.ReLU()).eval()


def export(folder: Path, file: str, *, factory: bool = True, trust: bool = False) -> tuple[ExportRun, PayloadSet]:
    (folder / "net.py").write_text(FACTORY)
    np.savez(folder / "rows.npz", input=ROWS)
    (folder / "models").mkdir(exist_ok=True)
    given = ModelSource(
        kind="torch",
        factory="net:build" if factory else None,
        folder=str(folder),
        variants=("fp32",),
        parity={"fp32": ParityLimits(max_abs_error=1e-5, top1_agreement_ratio=None, min_cosine=None)},
        file=file,
        payload=None if factory else "rows.npz",
        trusts_file=trust,
    )
    return export_model(given, models_folder=folder / "models")


def refusal(folder: Path, file: str, **options: bool) -> InputError:
    with pytest.raises(InputError) as caught:
        export(folder, file, **options)
    return caught.value


def answers(module: Any) -> Any:
    with torch.no_grad():
        return module(torch.from_numpy(ROWS)).numpy()


def test_the_weights_of_a_file_replace_those_that_the_factory_drew(tmp_path: Path) -> None:
    torch.save(trained().state_dict(), tmp_path / "net.pt")
    _, payloads = export(tmp_path, "net.pt")
    (got,) = payloads.expected.values()
    assert np.allclose(got, answers(trained()), atol=1e-6)


def test_safetensors_hold_weights_and_nothing_else(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(trained().state_dict(), tmp_path / "net.safetensors")
    _, payloads = export(tmp_path, "net.safetensors")
    assert np.allclose(next(iter(payloads.expected.values())), answers(trained()), atol=1e-6)


def test_code_in_a_file_of_weights_is_not_run(tmp_path: Path) -> None:
    torch.save({"0.weight": Hostile(tmp_path / "mark")}, tmp_path / "new.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps(Hostile(tmp_path / "mark")))
    torch.save(trained(), tmp_path / "whole.pt")
    for name in ("new.pt", "old.pt", "whole.pt"):
        error = refusal(tmp_path, name)
        assert not (tmp_path / "mark").exists()
        assert "runs whatever code is in it" in error.what
        assert "state_dict" in error.fix
        assert "Traceback" not in error.what


def test_a_whole_module_is_opened_only_where_it_is_trusted(tmp_path: Path) -> None:
    torch.save({"0.weight": Hostile(tmp_path / "mark")}, tmp_path / "hostile.pt")
    error = refusal(tmp_path, "hostile.pt", factory=False)
    assert "runs whatever code is in it" in error.what
    assert "model.factory that makes the module" in error.fix
    assert not (tmp_path / "mark").exists()
    refusal(tmp_path, "hostile.pt", factory=False, trust=True)
    assert (tmp_path / "mark").exists()  # so the files of these tests would have done it
    torch.save(trained(), tmp_path / "whole.pt")
    _, payloads = export(tmp_path, "whole.pt", factory=False, trust=True)
    assert np.allclose(next(iter(payloads.expected.values())), answers(trained()), atol=1e-6)


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        ({}, "it lacks 0.weight, lacks 0.bias"),
        (trained(4).state_dict(), "has 0.weight of the shape (4, 3) for (2, 3)"),
        ({**trained().state_dict(), "head": torch.zeros(1)}, "it has head"),
        ([1, 2], "something else than the weights"),
        ({"epoch": 3, "model": trained().state_dict()}, "something else than the weights"),
    ],
    ids=["none", "shape", "one more", "a list", "a checkpoint"],
)
def test_weights_of_another_module_are_named(tmp_path: Path, saved: object, said: str) -> None:
    torch.save(saved, tmp_path / "net.pt")
    assert said in refusal(tmp_path, "net.pt").what


def test_damaged_files_and_bombs_are_one_message(tmp_path: Path) -> None:
    torch.save(trained().state_dict(), tmp_path / "net.pt")
    whole = (tmp_path / "net.pt").read_bytes()
    for data in (b"", b"\0" * 50, whole[: len(whole) // 2]):
        (tmp_path / "net.pt").write_bytes(data)
        said = refusal(tmp_path, "net.pt").what
        assert "\n" not in said
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr("net/data.pkl", b"small")
    data = (tmp_path / "net.pt").read_bytes()
    (tmp_path / "net.pt").write_bytes(data.replace((5).to_bytes(4, "little") * 2, b"\xff\xff\xff\xf0" * 2))
    assert "unpacks to" in refusal(tmp_path, "net.pt").what
    with pytest.raises(InputError, match="no such model file"):
        export(tmp_path, "absent.pt")
