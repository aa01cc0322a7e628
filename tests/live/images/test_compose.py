"""The images and their compose file, without Docker: linted, held against the schema, and started as plain processes.

What the files say is read from them: entry points and environment from the Dockerfile, commands, ports and mounts from
compose.yaml. Only what a container would bring is put in place: host names, mounted paths, and ports that are free.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import onnx
import pytest
from onnx import TensorProto, helper
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = YAML(typ="safe").load((DOCKER / "compose.yaml").read_text())
_HOSTS = ("server", "load-master")  # that others name
_PROGRAMS = {"python": [sys.executable], "loadplan": [sys.executable, "-m", "loadplan"]}

Start = Callable[[str], subprocess.Popen[str]]


def tool(name: str) -> str:
    """The program's path, beside this Python or on the path; skips with the reason where it is missing."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(
            f"{name} is not installed: `make check-docker` brings the linters, Debian's prometheus has promtool"
        )
    return found


def stage(target: str) -> list[tuple[str, str]]:
    """Instructions of a build stage and of those it stands on, as (instruction, rest), in their order."""
    text = re.sub(r"\\\n", " ", (DOCKER / "Dockerfile").read_text())
    stages: dict[str, list[tuple[str, str]]] = {"${BASE}": []}
    lines: list[tuple[str, str]] = []
    for instruction, rest in re.findall(r"^([A-Z]+) (.*)$", text, flags=re.MULTILINE):
        if instruction == "FROM":
            parent, _, name = rest.split()
            lines = stages[name] = [*stages[parent]]
        else:
            lines.append((instruction, rest))
    return stages[target]


def words(target: str, instruction: str) -> list[str]:
    """The words of the last such instruction, which is in exec form."""
    rest = [rest for name, rest in stage(target) if name == instruction][-1]
    listed: list[str] = json.loads(rest[rest.index("[") :])
    return listed


def interpolated(text: str, values: dict[str, str]) -> str:
    """`${NAME:-default}` and `${NAME:?message}` as compose reads them."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if kind == "?" and name not in values:
            raise KeyError(name)
        return values.get(name, rest)

    return re.sub(r"\$\{(\w+):([-?])([^}]*)\}", value, text)


@pytest.fixture
def values(tmp_path: Path) -> dict[str, str]:
    """What a user exports before `docker compose up`."""
    rows = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "same", [rows], [answer])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "given.onnx")
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}]}
    (tmp_path / "given.json").write_text(json.dumps(body))
    return {
        "LOADPLAN_MODEL": str(tmp_path / "given.onnx"),
        "LOADPLAN_BODY": str(tmp_path / "given.json"),
        "LOADPLAN_RATE": "20",
        "LOADPLAN_DURATION": "1s",
    }


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def start(values: dict[str, str], port: int) -> Iterator[Start]:
    """Start a service of the compose file as a plain process."""

    def here(argument: str, mounts: dict[str, str]) -> str:
        local = interpolated(argument, values).replace("0.0.0.0", "127.0.0.1").replace("server:", "127.0.0.1:")
        local = re.sub(r"\b8080\b", str(port), "127.0.0.1" if local in _HOSTS else local)
        return mounts.get(local, local)

    with ExitStack() as stack:

        def run(name: str) -> subprocess.Popen[str]:
            service = COMPOSE["services"][name]
            target = service["build"]["target"]
            pairs = (interpolated(volume, values).split(":")[:2] for volume in service.get("volumes", ()))
            mounts = {inside: outside for outside, inside in pairs}
            program, *entry = words(target, "ENTRYPOINT")
            arguments = [here(str(argument), mounts) for argument in [*entry, *service["command"]]]
            lines = [rest for kind, rest in stage(target) if kind == "ENV"]
            said = dict(pair.split("=", 1) for line in lines for pair in line.split() if not pair.startswith("PATH="))
            process = stack.enter_context(
                subprocess.Popen(
                    [*_PROGRAMS[program], *arguments], env={**os.environ, **said}, stdout=subprocess.PIPE, text=True
                )
            )
            stack.callback(process.terminate)  # STOPSIGNAL
            return process

        yield run


def test_the_dockerfile_passes_the_linter() -> None:
    done = subprocess.run([tool("hadolint"), str(DOCKER / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_compose_file_follows_the_schema() -> None:
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(DOCKER / "compose.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_prometheus_takes_its_configuration() -> None:
    command = [tool("promtool"), "check", "config", str(DOCKER / "prometheus" / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_container_can_become_root_and_none_is_open_to_the_network() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"], name
        assert all(published.startswith("127.0.0.1:") for published in service.get("ports", ())), name
        if "build" in service:
            assert ("USER", "10001") in stage(service["build"]["target"]), name


@pytest.mark.nightly
def test_the_master_and_its_workers_drive_the_server_as_plain_processes(start: Start) -> None:
    server = start("server")
    assert server.stdout is not None
    server.stdout.readline()  # it is ready
    master = start("load-master")
    workers = [start("load-worker") for _ in range(2)]
    said = json.loads(master.communicate(timeout=90)[0])
    assert master.returncode in (0, 3)
    assert said["n_requests"] > 0
    assert said["failures"] == {}
    assert not [reason for reason in said["invalid_reasons"] if "lost" in reason]
    assert [worker.wait(30) for worker in workers] == [0, 0]


def test_what_is_mounted_and_copied_is_there() -> None:
    sources = [rest.split()[:-1] for name in ("wheel", "environment") for kind, rest in stage(name) if kind == "COPY"]
    assert [path for own in sources if "--from=wheel" not in own for path in own if not (ROOT / path).exists()] == []
    (own_config,) = (volume.split(":")[0] for volume in COMPOSE["services"]["prometheus"]["volumes"])
    assert (DOCKER / own_config).is_file()
    kept = [line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    assert set(kept) >= {path for own in sources if "--from=wheel" not in own for path in own}


def test_the_services_answer_each_other_as_plain_processes(start: Start, port: int) -> None:
    server = start("server")
    check = [re.sub(r"\b8080\b", str(port), word) for word in words("server", "HEALTHCHECK")]
    deadline = time.monotonic() + 60.0  # the start period of the health check
    while subprocess.run([sys.executable, *check[1:]], capture_output=True, check=False).returncode:
        assert server.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    load = start("load")
    said = json.loads(load.communicate(timeout=60)[0])
    assert load.returncode in (0, 3)  # 3: neighbours disturbed the generator, which is no fault of the files
    assert said["n_requests"] > 0
    assert said["failures"] == {}
    assert f"(pid {server.pid})" in said["server"]["processes"]
    assert said["server"]["rss_bytes"]["max"] > 1 << 20
    assert said["server"]["rows_per_batch"] == {"p50": 1.0, "max": 1.0}
    config = YAML(typ="safe").load((DOCKER / "prometheus" / "prometheus.yml").read_text())
    (target,) = config["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target == "server:8080"
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        counted = re.search(r'loadplan_requests_total\{outcome="ok"\} ([\d.]+)', answer.read().decode())
    assert counted is not None
    assert float(counted[1]) == said["n_requests"]
