"""A profile of a finished run, written and planned on by the commands that a user gives."""

import json
import shutil
from pathlib import Path

import pytest

from loadplan.catalog.reader import load_catalog
from loadplan.clock import utc_now
from loadplan.machine import read_machine
from loadplan.store.files import sha256_file

from .conftest import Place, Said

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def run(walked: tuple[Place, Said], tmp_path: Path) -> Path:
    """A copy of the finished walk, to be planned anew."""
    return Path(shutil.copytree(walked[1].document["run"], tmp_path / "run"))


@pytest.fixture
def offer_like_this() -> str:
    """An offer of a type of this machine's shape, dear enough that nobody would buy it, by `provider/region/type`."""
    machine = read_machine()
    if machine.instance_type is not None:
        pytest.skip(f"this machine tells that it is a {machine.instance_type}; no other name can be given to it")
    architecture = {"aarch64": "arm64"}.get(machine.architecture, machine.architecture)
    for offer in load_catalog(as_of=utc_now().date()).offers:
        own = offer.instance_type
        shape = (own.n_vcpus, own.architecture, offer.region, offer.purchase, offer.quality, own.baseline_ratio)
        if shape == (machine.n_cores, architecture, "us-east-1", "on_demand", "ok", None) and own.cpu_family:
            return f"{own.provider}/{offer.region}/{own.name}"
    pytest.skip(f"the catalogue has no type with {machine.n_cores} cores of {architecture}")


def plan_inputs(run: Path) -> dict[str, str]:
    stages = json.loads((run / "manifest.json").read_text())["record"]["stages"]
    (inputs,) = (stage["inputs"] for stage in stages if stage["stage"] == "plan")
    assert isinstance(inputs, dict)
    return inputs


def test_a_profile_is_written_planned_on_and_let_go_again(
    walked: tuple[Place, Said], run: Path, tmp_path: Path, offer_like_this: str
) -> None:
    place, _ = walked
    provider, _, name = offer_like_this.split("/")
    file, cheap = tmp_path / "there.parquet", ("--price", f"{offer_like_this}=0.001", "--json")
    written = place.loadplan("profile", run, "--out", file, "--json")
    assert written.code == 0, written.err
    assert written.document["file"] == str(file)
    assert written.document["instance_type"] is None
    assert list(written.document["model"]["variants"]) == ["fp32"]

    planned = place.loadplan("plan", run, "--profiles", f"{file}={provider}/{name}", *cheap)
    assert planned.code == 0, planned.err
    after = planned.document["recommended"]
    assert (after["offers"][0]["instance_type"], after["evidence"]) == (name, "simulated")
    assert after["measured_on"] == f"{provider}/{name}"
    assert plan_inputs(run)[f"profile {provider}/{name}"] == sha256_file(file)
    # The same offer without the profile: extrapolated as before, and planned anew.
    without = place.loadplan("plan", run, *cheap).document["recommended"]
    assert (without["offers"][0]["instance_type"], without["evidence"]) == (name, "extrapolated")
    assert without["measured_on"] is None
    assert not [key for key in plan_inputs(run) if key.startswith("profile ")]


@pytest.mark.nightly
def test_profiles_that_cannot_be_used_end_in_one_message(walked: tuple[Place, Said], run: Path, tmp_path: Path) -> None:
    place, _ = walked
    file, cut = tmp_path / "there.parquet", tmp_path / "cut.parquet"
    assert place.loadplan("profile", run, "--out", file).code == 0
    cut.write_bytes(file.read_bytes()[:-100])
    for profiles, said in (
        ([tmp_path / "none.parquet"], "no profile that can be planned on"),
        ([f"{cut}=aws/c7i.large"], "no profile that can be planned on"),
        ([f"{file}=c7i.large"], "is no instance type"),
        ([f"{file}=aws/no.such"], "the catalogue has no price for 'aws/no.such'"),
    ):
        refused = place.loadplan("plan", run, "--profiles", *profiles)
        assert refused.code == 2
        assert said in refused.err
        assert "Traceback" not in refused.err


def test_a_rented_machine_is_priced_without_measuring(walked: tuple[Place, Said], tmp_path: Path) -> None:
    place, _ = walked
    script = tmp_path / "rented.sh"
    said = place.loadplan("profile", place.scenario, "--on", "aws/c7i.large", "-o", tmp_path / "none", "--json")
    assert said.code == 0, said.err
    assert said.document["file"] is None
    assert said.document["commands"][2] == "ssh HOST loadplan profile measured/tiny.yaml --out tiny-c7i.large.parquet"
    assert not (tmp_path / "none").exists()
    told = place.loadplan("profile", place.scenario, "--on", "aws/c7i.large", "--script", script)
    assert told.code == 0, told.err
    assert "nothing switches it off" not in told.out
    assert f"  scp {script} HOST:measured/rented.sh\n  ssh HOST bash measured/rented.sh\n" in told.out
    assert "aws/c7i.large in us-east-1: $0.0" in script.read_text()
