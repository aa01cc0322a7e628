"""Whatever a user gets wrong: one message of what, where and what to do, the promised exit code, and no traceback."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from onnx import helper

from tests.faults.model_flips import plain, save, value

if TYPE_CHECKING:
    from tests.live.cli.conftest import Loadplan

ROOT = Path(__file__).parents[3]


ASKED = ["--peak-rps", "300", "--p99-ms", "50"]
BAD = {
    "a scenario that is there already": (["init", "--out", "planning.yaml"], 2, "--force"),
    "a model of no known kind": (["init", "capacities.csv"], 2, ".csv"),
    "no such scenario": (["run", "missing.yaml"], 2, "missing.yaml"),
    "a folder for a scenario": (["run", "."], 2, "."),
    "no YAML": (["run", "broken.yaml"], 2, "broken.yaml"),
    "a misspelt key": (["run", "misspelt.yaml"], 2, "peak_rps"),
    "no model to measure": (["run", "planning.yaml"], 2, "--capacities"),
    "a factory that is not there": (["export", "unmade.yaml"], 2, "nowhere.py"),
    "a folder that is no run": (["report", "."], 2, "run folder"),
    "a run that is not there": (["verify", "results/none"], 2, "run folder"),
    "an unknown command": (["benhc", "x"], 2, "benhc"),
    "an unknown option": (["run", "x.yaml", "--fast"], 2, "--fast"),
    "an unknown stage": (["run", "x.yaml", "--until", "lunch"], 2, "lunch"),
    "a duration without a unit": (["load", "http://127.0.0.1:9/", "--rate", "5", "--duration", "60"], 2, "60"),
    "no rate": (["load", "http://127.0.0.1:9/"], 2, "--rate"),
    "a rate below zero": (["load", "http://127.0.0.1:9/", "--rate", "-1"], 2, "-1"),
    "a public target": (["load", "http://192.0.2.1/", "--rate", "5"], 2, "--allow-remote"),
    "a header without a colon": (["load", "http://127.0.0.1:9/", "--rate", "5", "--header", "token"], 2, "colon"),
    "a body that is not there": (["load", "http://127.0.0.1:9/", "--rate", "5", "--body", "none.json"], 2, "none.json"),
    "an empty body": (["load", "http://127.0.0.1:9/", "--rate", "5", "--body", "empty.jsonl"], 2, "is empty"),
    "a line that is no JSON": (["load", "http://127.0.0.1:9/", "--rate", "5", "--body", "bad.jsonl"], 2, "bad.jsonl:2"),
    "a pointer that is none": (["load", "http://127.0.0.1:9/", "--rate", "5", "--answer", "y"], 2, "JSON pointer"),
    "a variable that isn't set": (
        ["load", "http://127.0.0.1:9/", "--rate", "5", "--header", "A: $NO_SUCH"],
        2,
        "NO_SUCH",
    ),
    "a host that nobody knows": (["load", "http://no-such-host.invalid/", "--rate", "5"], 4, "no-such-host.invalid"),
    "a port on which nobody listens": (["load", "http://127.0.0.1:9/", "--rate", "5"], 4, "no answer at all"),
    "a body for a scenario": (["load", "planning.yaml", "--body", "bad.jsonl"], 2, "target.request"),
    "a model and a service": (["run", "both.yaml"], 2, "target.request"),
    "a benchmark of a service": (["bench", "service.yaml"], 2, "loadplan run service.yaml"),
    "a service elsewhere": (["load", "service.yaml"], 2, "--allow-remote"),
    "a service elsewhere to plan for": (["quick", "http://192.0.2.1/", *ASKED], 2, "--allow-remote 192.0.2.1"),
    "a service without traffic": (["quick", "http://127.0.0.1:9/", "--p99-ms", "50"], 2, "--log"),
    "a service without a limit": (["quick", "http://127.0.0.1:9/", "--peak-rps", "50"], 2, "--p99-ms"),
    "a service with two peaks": (["quick", "http://127.0.0.1:9/", *ASKED, "--log", "bad.jsonl"], 2, "one of the two"),
    "a log of nothing": (["quick", "http://127.0.0.1:9/x", "--log", "empty.jsonl", "--p99-ms", "50"], 2, "is empty"),
    "a region that nobody has": (["run", "mars.yaml"], 2, "us-east-1"),
    "a provider that nobody is": (["run", "ibm.yaml"], 2, "ibm"),
    "a model that is none": (["bench", "broken.onnx"], 2, "broken.onnx"),
    "a model that is not there": (["bench", "none.onnx"], 2, "none.onnx"),
    "batch sizes that are no numbers": (["bench", "broken.onnx", "--batch-sizes", "one"], 2, "one"),
    "a provider of another machine": (["bench", "tiny.onnx", "--providers", "CPU,NoSuch"], 4, "NoSuch"),
    "a scenario for a model": (["quick", "planning.yaml", *ASKED], 2, "loadplan run planning.yaml"),
    "a pickle for a model": (["quick", "model.pkl", *ASKED], 2, "docs/models.md"),
    "a service that nobody runs": (["quick", "http://127.0.0.1:9/", *ASKED], 4, "no answer at all"),
    "several models for one fleet": (["quick", "tiny.onnx", "tiny.onnx", *ASKED], 2, "2 models"),
    "a log for a peak": (["quick", "tiny.onnx", "--log", "requests.csv", "--p99-ms", "50"], 2, "loadplan demand"),
    "a model without a peak": (["quick", "tiny.onnx", "--p99-ms", "50"], 2, "--peak-rps"),
    "a peak of nothing": (["quick", "tiny.onnx", "--peak-rps", "0", "--p99-ms", "50"], 2, "error: traffic.peak_rps"),
    "rows of any length to make up": (["quick", "any.onnx", *ASKED], 2, "rows can't be made up for the input 'x'"),
    "a fleet of today that has no price": (["quick", "tiny.onnx", *ASKED, "--today", "a/b/c/d=2"], 2, "a/b/c/d"),
    "no such day": (["plan", "planning.yaml", "--capacities", "capacities.csv", "--as-of", "May"], 2, "May"),
    "no such capacities": (["plan", "planning.yaml", "--capacities", "none.csv"], 2, "none.csv"),
    "a price of nothing": (
        ["plan", "planning.yaml", "--capacities", "capacities.csv", "--price", "a/b/c=x"],
        2,
        "a/b/c",
    ),
}
PLANNING = "schema: 1\nname: planning\ntraffic: {peak_rps: 100}\nobjectives:\n  - {p99_ms: 50}\n"


def of_any_length() -> Any:
    """y = x, of as many columns as it gets."""
    x, y = (value(name, ["rows", "columns"]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "any", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "broken.yaml").write_text("schema: [1\n")
    (tmp_path / "misspelt.yaml").write_text(PLANNING.replace("peak_rps", "peek_rps"))
    (tmp_path / "planning.yaml").write_text(PLANNING)
    (tmp_path / "unmade.yaml").write_text(PLANNING + "model: {source: sklearn, factory: nowhere:build}\n")
    model = "model: {source: sklearn, factory: nowhere:build}\n"
    (tmp_path / "mars.yaml").write_text(PLANNING + model + "plan: {regions: [us-east-2x]}\n")
    (tmp_path / "ibm.yaml").write_text(PLANNING + model + "plan: {providers: [aws, ibm]}\n")
    (tmp_path / "service.yaml").write_text(PLANNING + "target: {url: 'http://192.0.2.1/'}\n")
    (tmp_path / "both.yaml").write_text(PLANNING + model + "target: {url: 'http://127.0.0.1:9/'}\n")
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "bad.jsonl").write_text('{"a": 1}\n{"a":\n')
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    save(plain(), tmp_path / "tiny.onnx")
    save(of_any_length(), tmp_path / "any.onnx")
    (tmp_path / "capacities.csv").write_text(
        "provider,region,instance_type,batch_size,usable_capacity_rps,p99_ms\naws,us-east-1,c7i.large,1,60,20\n"
    )
    return tmp_path


@pytest.mark.parametrize(("arguments", "code", "named"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_one_message_with_the_promised_code_and_leaves_nothing(
    loadplan: "Loadplan", arguments: list[str], code: int, named: str, folder: Path
) -> None:
    before = sorted(path.name for path in folder.iterdir())
    done = loadplan(*arguments, cwd=folder)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    begins = [line.split(" ")[0] for line in done.stderr.strip().splitlines()]
    assert [begins.count(word) for word in ("error:", "where:", "fix:")] == [1, 1, 1]
    assert named in done.stderr
    assert done.stdout == ""
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_machine_gets_the_same_message_as_an_object(loadplan: "Loadplan", folder: Path) -> None:
    done = loadplan("run", "misspelt.yaml", "--json", cwd=folder)
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert set(document) == {"schema", "what", "where", "fix"}
    assert document["schema"] == "loadplan.error/1"
    assert "peek_rps" in document["what"]


def test_debug_shows_where_it_came_from(loadplan: "Loadplan", folder: Path) -> None:
    assert "Traceback" in loadplan("run", "missing.yaml", "--debug", cwd=folder).stderr


def test_given_capacities_are_planned_on_without_measuring(loadplan: "Loadplan", folder: Path) -> None:
    """ceil(100 / (60 × 0.8)) + 1 spare = 4 replicas, by hand."""
    done = loadplan("plan", "planning.yaml", "--capacities", "capacities.csv", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    recommended = json.loads(done.stdout)["recommended"]
    assert recommended["offers"][0]["n_replicas"] == 4
    assert recommended["evidence"] == "given"


SLOW = """\
import time

def build():
    print("training", flush=True)
    time.sleep(20)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_stopped_says_how_to_go_on(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text(PLANNING + "model: {source: sklearn, factory: slow:build}\n")
    (tmp_path / "slow.py").write_text(SLOW)
    with subprocess.Popen(
        [sys.executable, "-m", "loadplan", "run", "slow.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while "training" not in process.stderr.readline():
            pass
        process.send_signal(number)
        _, said = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "run the same command again to go on" in said


STUBBORN = """\
import time

def build():
    print("training", flush=True)
    try:
        time.sleep(30)
    except KeyboardInterrupt:
        pass
    import numpy as np
    from loadplan.export.source import TrainedModel
    from sklearn.linear_model import LogisticRegression
    rows = np.eye(4, dtype=np.float32)
    return TrainedModel(estimator=LogisticRegression().fit(rows, [0, 1, 0, 1]), rows=rows)
"""


def test_a_model_whose_training_was_cut_short_is_not_kept(tmp_path: Path) -> None:
    """scikit-learn takes Ctrl-C for the end of the training, and would go on with half a model."""
    (tmp_path / "stubborn.yaml").write_text(PLANNING + "model: {source: sklearn, factory: stubborn:build}\n")
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    with subprocess.Popen(
        [sys.executable, "-m", "loadplan", "run", "stubborn.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while "training" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "run the same command again to go on" in said
    (manifest,) = tmp_path.glob("results/planning/*/manifest.json")
    assert [stage["stage"] for stage in json.loads(manifest.read_text())["record"]["stages"]] == ["scenario"]


def test_a_factory_that_leaves_is_a_mistake_of_the_factory(loadplan: "Loadplan", tmp_path: Path) -> None:
    (tmp_path / "leaving.yaml").write_text(PLANNING + "model: {source: sklearn, factory: leaving:build}\n")
    (tmp_path / "leaving.py").write_text("import sys\n\n\ndef build():\n    sys.exit(7)\n")
    done = loadplan("export", "leaving.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "the factory failed with SystemExit: 7" in done.stderr


def test_what_a_factory_prints_leaves_standard_output_to_the_machine(loadplan: "Loadplan", tmp_path: Path) -> None:
    (tmp_path / "chatty.yaml").write_text(PLANNING + "model: {source: sklearn, factory: chatty:build}\n")
    (tmp_path / "chatty.py").write_text(STUBBORN.replace("time.sleep(30)", "pass"))
    done = loadplan("export", "chatty.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"] == "loadplan.export/1"
    assert "training" in done.stderr


def test_a_load_test_without_a_right_answer_fails_and_says_how_they_failed(
    loadplan: "Loadplan", tmp_path: Path
) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/nothing"
        done = loadplan("load", url, "--rate", "20", "--duration", "1s", "--json", cwd=tmp_path)
        server.shutdown()
    assert done.returncode in (1, 3)  # 3: neighbours took the generator's core
    assert set(json.loads(done.stdout)["failures"]) == {"HTTP 404"}
    if done.returncode == 1:
        assert "HTTP 404" in done.stderr


def test_a_full_standard_output_is_a_message_too(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "loadplan", "catalog", "list", "--json"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr


@pytest.mark.parametrize(
    "command", ["init", "doctor", "run", "bench", "load", "plan", "verify", "serve", "catalog", "schema"]
)
def test_every_command_explains_itself(loadplan: "Loadplan", command: str, tmp_path: Path) -> None:
    done = loadplan(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"loadplan {command}" in done.stdout


def test_the_schema_is_one_that_editors_take(loadplan: "Loadplan", tmp_path: Path) -> None:
    schema = json.loads(loadplan("schema", cwd=tmp_path).stdout)
    assert schema["type"] == "object"
    assert "traffic" in schema["properties"]


def test_the_catalogue_shows_source_and_date_of_every_price(loadplan: "Loadplan", tmp_path: Path) -> None:
    offers = json.loads(loadplan("catalog", "list", "--provider", "gcp", "--json", cwd=tmp_path).stdout)["offers"]
    assert len(offers) > 10
    assert all(offer["source"] and offer["price_date"] and offer["name"].startswith("gcp/") for offer in offers)
