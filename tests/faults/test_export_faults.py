"""An export that hangs, crashes or is killed: one message, nobody left behind, and nothing that a later stage takes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from loadplan.errors import EnvironmentFault, InputError, LoadplanError, ObjectiveMissed
from loadplan.export.artifact import ExportRun
from loadplan.export.isolated import export_isolated
from loadplan.export.runner import export_model
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import ModelSource, ParityLimits
from loadplan.scratch import scratch_folder
from loadplan.store.files import UNFINISHED, sha256_file
from tests.live.pipeline.conftest import Place, environment, make_place

N_RANDOM_KILLS = 15
NO_LIMITS = ParityLimits(max_abs_error=None, top1_agreement_ratio=None, min_cosine=None)
# A net of one layer, since int8 needs a matrix; `sick` runs before it is returned.
FACTORY = """\
import os, signal, subprocess, sys, tempfile, time
from pathlib import Path

import numpy as np
from loadplan.export import runner, variants
from loadplan.export.source import TrainedModel


def build() -> TrainedModel:
    sick()
    from sklearn.neural_network import MLPRegressor
    rows = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    model = MLPRegressor(hidden_layer_sizes=8, max_iter=5, random_state=0).fit(rows, rows.sum(axis=1))
    return TrainedModel(estimator=model, rows=rows)


def hang(*_):
    time.sleep(1000)


def crash(*_, **__):
    os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.fixture(autouse=True)
def _children_are_gone() -> None:
    """Before each test, and with the call below after each."""
    assert psutil.Process().children(recursive=True) == []


def source(
    folder: Path, sick: str, *, time_limit_s: float = 20.0, variants: tuple[str, ...] = ("fp32",)
) -> ModelSource:
    warnings = "import warnings; warnings.simplefilter('ignore')\n"
    body = "".join(f"    {line}\n" for line in (sick or "pass").splitlines())
    (folder / "sick_model.py").write_text(f"{warnings}{FACTORY}\n\ndef sick():\n{body}")
    return ModelSource(
        kind="sklearn",
        factory="sick_model:build",
        folder=str(folder),
        variants=variants,
        parity=dict.fromkeys(variants, NO_LIMITS),
        time_limit_s=time_limit_s,
    )


def export(folder: Path, given: ModelSource) -> tuple[ExportRun, PayloadSet]:
    (folder / "models").mkdir(exist_ok=True)
    try:
        return export_isolated(given, models_folder=folder / "models")
    finally:
        assert psutil.Process().children(recursive=True) == []


def refusal(folder: Path, given: ModelSource, kind: type[LoadplanError]) -> LoadplanError:
    with pytest.raises(LoadplanError) as caught:
        export(folder, given)
    assert type(caught.value) is kind
    assert list((folder / "models").iterdir()) == []
    return caught.value


def test_a_process_of_its_own_exports_the_same_and_prints_for_people_only(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = source(tmp_path, "print('trained on 40 rows'); os.system('echo from a child')")
    run, payloads = export(tmp_path, given)
    out, err = capfd.readouterr()
    assert out == ""
    assert "trained on 40 rows" in err
    assert "from a child" in err
    inside = tmp_path / "inside"
    inside.mkdir()
    same, _ = export_model(given, models_folder=inside)
    assert run.models[0].sha256 == same.models[0].sha256 == sha256_file(tmp_path / "models" / "fp32.onnx")
    assert (payloads.n_rows, list(payloads.expected)) == (40, ["variable"])


def test_a_factory_that_hangs_is_stopped_with_all_that_it_started(tmp_path: Path) -> None:
    begins = "scratch = tempfile.mkdtemp(); sleeper = subprocess.Popen(['sleep', '1000'])"
    tells = "Path('started').write_text(f'{sleeper.pid} {scratch}'); hang()"
    given = source(tmp_path, f"os.chdir({str(tmp_path)!r})\n{begins}\n{tells}", time_limit_s=3)
    error = refusal(tmp_path, given, InputError)
    assert error.what == "building the model took longer than 3 s and was stopped"
    assert "model.time_limit_s: 6" in error.fix
    assert error.where == "sick_model:build"
    sleeper, scratch = (tmp_path / "started").read_text().split()
    assert not psutil.pid_exists(int(sleeper)) or psutil.Process(int(sleeper)).status() == psutil.STATUS_ZOMBIE
    assert not Path(scratch).exists()


@pytest.mark.parametrize(
    ("sick", "kind", "said", "fix"),
    [
        ("crash()", InputError, "ended by SIGSEGV while building the model", "run the factory alone"),
        ("os.kill(os.getpid(), signal.SIGKILL)", InputError, "ended by SIGKILL while building the model", "memory"),
        (
            "sys.stderr.write('out of luck\\n'); os._exit(3)",
            InputError,
            "exit code 3 while building the model, its last words: out of luck",
            "run the factory alone",
        ),
        pytest.param(
            "runner.check_parity = crash",
            EnvironmentFault,
            "SIGSEGV while checking fp32 against its source",
            "fp32",
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            "runner.check_parity = lambda *_, **__: 1 / 0",
            RuntimeError,
            "ZeroDivisionError: division by zero",
            "",
            marks=pytest.mark.nightly,
        ),
    ],
    ids=["crash", "memory", "exit", "crash of the runtime", "defect of loadplan"],
)
def test_whatever_ends_the_process_names_the_signal_and_the_step(
    tmp_path: Path, sick: str, kind: type[Exception], said: str, fix: str
) -> None:
    (tmp_path / "models").mkdir()
    with pytest.raises(kind) as caught:
        export(tmp_path, source(tmp_path, sick))
    assert said in str(caught.value)
    assert fix in getattr(caught.value, "fix", "")
    assert list((tmp_path / "models").iterdir()) == []
    if kind is RuntimeError:
        assert "Traceback" in caught.value.__notes__[0]


@pytest.mark.nightly
def test_errors_cross_as_the_class_that_they_are(tmp_path: Path) -> None:
    strict = ParityLimits(max_abs_error=1e-12, top1_agreement_ratio=None, min_cosine=None)
    given = source(tmp_path, "")
    given.parity["fp32"] = strict
    error = refusal(tmp_path, given, ObjectiveMissed)
    assert "variant fp32 differs from its source" in error.what
    assert "evaluation row" in error.where
    assert "max_abs_error" in error.fix


def test_a_variant_that_crashes_its_converter_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    given = source(tmp_path, "variants._MAKERS['fp16'] = crash", variants=("fp16", "fp32"))
    run, _ = export(tmp_path, given)
    assert [model.variant for model in run.models] == ["fp32"]
    assert [(refused.variant, refused.cause) for refused in run.refused] == [("fp16", "making")]
    assert "SIGSEGV while making fp16" in run.refused[0].reason


@pytest.mark.nightly
def test_several_variants_that_hang_or_crash_are_left_out_one_after_the_other(tmp_path: Path) -> None:
    sick = "variants._MAKERS['int8_dynamic'] = hang\nvariants._MAKERS['fp16'] = crash"
    given = source(tmp_path, sick, time_limit_s=6, variants=("fp16", "int8_dynamic", "fp32"))
    run, _ = export(tmp_path, given)
    assert [model.variant for model in run.models] == ["fp32"]
    assert [(refused.variant, refused.cause) for refused in run.refused] == [
        ("fp16", "making"),
        ("int8_dynamic", "making"),
    ]
    assert "SIGSEGV while making fp16" in run.refused[0].reason
    assert "making int8_dynamic took longer than 6 s" in run.refused[1].reason
    caveats = [caveat for caveat in run.caveats if caveat.code == "export.refused"]
    assert [caveat.fix.partition(",")[0] for caveat in caveats] == ["leave out fp16", "leave out int8_dynamic"]
    assert sorted(file.name for file in (tmp_path / "models").iterdir()) == ["fp32.onnx"]


@pytest.mark.nightly
def test_where_no_variant_is_left_the_last_one_is_the_error(tmp_path: Path) -> None:
    sick = "variants._MAKERS['int8_dynamic'] = crash\nvariants._MAKERS['fp16'] = crash"
    error = refusal(tmp_path, source(tmp_path, sick, variants=("fp16", "int8_dynamic")), EnvironmentFault)
    assert "SIGSEGV while making int8_dynamic" in error.what


# The road under signals: the first export waits in its factory, or for ever in a step; later ones don't.

WAITING = """

def sick():
    began = Path(__file__).with_name("began")
    if not began.exists():
        began.write_text(str(os.getpid()))
        hang()
"""


def road(folder: Path) -> Place:
    place = make_place(
        folder, changes=[("factory: tiny_model:build", "factory: tiny_model:build\n  variants: [fp32, int8_dynamic]")]
    )
    (folder / "tiny_model.py").write_text("import warnings; warnings.simplefilter('ignore')\n" + FACTORY + WAITING)
    return place


def start(place: Place) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        place.command("export", place.scenario, "-o", place.results),
        cwd=place.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def began(place: Place, process: "subprocess.Popen[str]") -> psutil.Process:
    """The process that exports, once it is in the factory."""
    marker = place.folder / "began"
    while not marker.exists() or not marker.read_text():
        assert process.poll() is None
        time.sleep(0.02)
    return psutil.Process(int(marker.read_text()))


def assert_nothing_to_take(place: Place) -> None:
    """No finished export that isn't whole, and no folder that doesn't belong there."""
    for run in place.results.glob("tiny/*"):
        assert {entry.name for entry in run.iterdir() if entry.is_dir()} <= {"models", "payloads", "journal"}
        if not (run / "manifest.json").exists():
            continue
        stages = {
            stage["stage"]: stage for stage in json.loads((run / "manifest.json").read_text())["record"]["stages"]
        }
        for artifact in stages.get("export", {"artifacts": []})["artifacts"]:
            assert sha256_file(run / artifact["path"]) == artifact["sha256"]


def assert_goes_on(place: Place) -> None:
    """The same command again: exported, and nothing unfinished is left."""
    said = place.loadplan("export", place.scenario, "-o", place.results, "--json")
    assert said.code == 0, said.err
    assert_nothing_to_take(place)
    assert list(place.results.rglob(f"{UNFINISHED}*")) == []


def kill_command(process: "subprocess.Popen[str]", _: psutil.Process) -> tuple[int, str]:
    process.kill()
    return -signal.SIGKILL, ""


def kill_child(_: "subprocess.Popen[str]", child: psutil.Process) -> tuple[int, str]:
    child.kill()
    return InputError.exit_code, "error: the process that exports ended by SIGKILL while building the model"


def interrupt(process: "subprocess.Popen[str]", _: psutil.Process) -> tuple[int, str]:
    process.terminate()  # as Ctrl-C, which whoever runs this may have been told to ignore
    return 130, "error: stopped before it was finished"


@pytest.mark.parametrize(
    "strike",
    [kill_command, *(pytest.param(strike, marks=pytest.mark.nightly) for strike in (kill_child, interrupt))],
)
def test_struck_in_the_factory_the_export_leaves_nobody_and_the_same_command_goes_on(
    tmp_path: Path, strike: Callable[["subprocess.Popen[str]", psutil.Process], tuple[int, str]]
) -> None:
    place = road(tmp_path)
    process = start(place)
    child = began(place, process)
    code, said = strike(process, child)
    _, err = process.communicate()
    assert process.returncode == code
    assert said in err
    assert "Traceback" not in err
    psutil.wait_procs([child], timeout=5.0)
    assert not child.is_running()
    assert_nothing_to_take(place)
    assert_goes_on(place)


def test_folders_of_killed_exports_are_removed_by_the_next_and_those_of_living_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    holds = (
        "import os, signal, sys, tempfile, time\n"
        "from loadplan.scratch import scratch_folder\n"
        "tempfile.tempdir = sys.argv[1]\n"
        "with scratch_folder() as folder:\n"
        "    (folder / 'model.onnx').touch()\n"
        "    os.utime(folder, (1, 1))\n"  # long ago
        "    print(folder, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", holds, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    folders = [Path(holder.stdout.readline().strip()) for holder in holders if holder.stdout]
    holders[0].kill()
    holders[0].communicate()
    assert folders[0].exists()
    with scratch_folder() as own:
        assert own.exists()
        assert not folders[0].exists()
        assert folders[1].exists()
    assert not own.exists()
    holders[1].communicate("")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("of_child", [False, True], ids=["command", "child"])
def test_killed_at_random_moments_an_export_leaves_nothing_that_is_taken(tmp_path: Path, of_child: bool) -> None:
    place = road(tmp_path)
    (tmp_path / "began").write_text("-")
    draw = random.Random(11)
    n_killed = 0
    while n_killed < N_RANDOM_KILLS:
        process = start(place)
        time.sleep(draw.uniform(0.3, 3.0))
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        exporting = [child for child in children if "loadplan.export.export_process" in child.cmdline()]
        if process.poll() is None and (exporting or not of_child):
            os.kill(exporting[0].pid if of_child else process.pid, signal.SIGKILL)
            n_killed += 1
        process.communicate()
        _, alive = psutil.wait_procs(children, timeout=5.0)
        assert alive == []
        assert process.returncode in {0, -signal.SIGKILL, InputError.exit_code, EnvironmentFault.exit_code}
        assert_nothing_to_take(place)
        if process.returncode == 0 or n_killed % 5 == 0:
            assert_goes_on(place)
            for run in place.results.glob("tiny/*"):
                (run / "manifest.json").unlink()
    assert_goes_on(place)
