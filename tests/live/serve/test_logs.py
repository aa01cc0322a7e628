"""The log as lines of JSON: what became of the server and its requests, and nothing of what they held."""

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.live.serve.conftest import Launch, Server, StartServer

_SECRET = "8675309"


def _log_of(server: "Server") -> list[dict[str, Any]]:
    server.connection.close()
    server.process.send_signal(signal.SIGTERM)
    return [json.loads(line) for line in server.process.communicate(timeout=20)[1].splitlines()]


def test_one_request_in_so_many_is_logged_by_its_id_and_never_by_its_values(start_server: "StartServer") -> None:
    server = start_server("--log-format", "json", "--log-every-nth", "3")
    for index in range(7):
        server.infer(server.document([server.row(float(_SECRET))] * 2, id=f"r{index}"))
    log = _log_of(server)
    assert [line["event"] for line in log] == ["ready", "request", "request", "stopped"]
    assert [(line["id"], line["outcome"], line["n_rows"]) for line in log[1:3]] == [("r2", "ok", 2), ("r5", "ok", 2)]
    assert all(0.0 < line["seconds"] < 60.0 for line in log[1:3])
    assert {line["pid"] for line in log} == {server.process.pid}
    assert _SECRET not in json.dumps(log)


def test_requests_that_the_model_failed_on_are_logged_one_a_second_at_most(start_server: "StartServer") -> None:
    server = start_server("--log-format", "json")
    server.infer(server.document([server.row()], id="good"))
    for index in range(5):
        assert server.infer(server.document([server.row(fails=True)], id=f"bad{index}"))[0] == 500
    logged = [line for line in _log_of(server) if line["event"] == "request"]
    assert [(line["id"], line["outcome"]) for line in logged][:1] == [("bad0", "failed")]
    assert len(logged) < 5


@pytest.mark.nightly
def test_a_client_can_not_make_lines_long_or_more_than_one(start_server: "StartServer") -> None:
    server = start_server("--log-format", "json", "--log-every-nth", "1")
    server.infer(server.document([server.row()], id='x"}\n{"event":"forged"' + "y" * 5000))
    log = _log_of(server)
    assert [line["event"] for line in log] == ["ready", "request", "stopped"]
    assert len(log[1]["id"]) == 200


def test_errors_are_lines_too(launch: "Launch", tmp_path: Path) -> None:
    process = launch("--model", str(tmp_path / "nowhere.onnx"), "--log-format", "json")
    (line,) = process.communicate(timeout=30)[1].splitlines()
    said = json.loads(line)
    assert (process.returncode, said["event"], said["what"]) == (2, "error", "there is no such model file")
    assert {"where", "fix"} <= said.keys()
