"""Manifests read back: the plan's numbers stand in them, a pod fits its machine, and the schemas take them."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any

import pytest
from ruamel.yaml import YAML

from loadplan.catalog.instance_type import InstanceType
from loadplan.catalog.reader import load_catalog
from loadplan.cli.app import run_command_line
from loadplan.errors import InputError
from loadplan.execution import ExecutionConfig, ServingConfig, Setting
from loadplan.export.artifact import ExportRun
from loadplan.machine import Machine
from loadplan.manifests.allocatable import DAEMONS_MIB, DAEMONS_MILLICORES, allocatable, room_on
from loadplan.manifests.compose import compose_yaml, dockerfile
from loadplan.manifests.deployed import Deployed, read_deployed
from loadplan.manifests.kubernetes import kubernetes_yaml
from loadplan.plan.records.fleet import Plan
from loadplan.scenario.spec import Scenario
from tests.unit.report.planned_run import write_run

RUN = "20261126T040000Z-0123456789"
Documents = dict[str, dict[str, Any]]


def parsed(text: str) -> Documents:
    return {document["kind"]: document for document in YAML(typ="safe").load_all(text)}


def pod_of(documents: Documents) -> dict[str, Any]:
    spec: dict[str, Any] = documents["Deployment"]["spec"]["template"]["spec"]
    return spec


def with_offer(plan: Plan, *, setting: Setting | None = None, **changed: Any) -> Plan:
    """The same plan with another purchase or region, or on another type."""
    assert plan.recommended is not None
    item = plan.recommended.items[0]
    fleet = replace(plan.recommended, items=(replace(item, offer=replace(item.offer, **changed)),))
    if setting is not None:
        fleet = replace(fleet, capacity=replace(fleet.capacity, setting=setting))
    return replace(plan, recommended=fleet)


@pytest.fixture
def deploy(scenario: Scenario, export: ExportRun) -> Callable[..., tuple[Deployed, ...]]:
    def make(plan: Plan, *, image: str | None = None) -> tuple[Deployed, ...]:
        return read_deployed(plan, scenario, export, run=RUN, image=image)

    return make


@pytest.fixture
def documents(plan: Plan, deploy: Callable[..., tuple[Deployed, ...]]) -> Documents:
    return parsed(kubernetes_yaml(plan, deploy(plan)))


def test_replicas_are_those_of_the_plan_now_and_in_its_busiest_month(documents: Documents) -> None:
    # 2,400 / (1,440 x 0.8) = 2.08: three and a spare; 6,847 in the last month: six and a spare.
    assert documents["Deployment"]["spec"]["replicas"] == 4
    scaler = documents["HorizontalPodAutoscaler"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (4, 7)
    assert documents["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_the_autoscaler_asks_for_no_more_than_the_plan_at_the_planned_peak(documents: Documents) -> None:
    target = documents["HorizontalPodAutoscaler"]["spec"]["metrics"][0]["pods"]["target"]["averageValue"]
    # 1,440 x 0.8 x 3 / 4
    assert target == "864000m"
    assert math.ceil(2400 / 864) == 3
    assert math.ceil(3 * 1440 * 0.8 / 864) == 4


def test_a_pod_lands_on_the_chosen_machines_alone_on_each(documents: Documents) -> None:
    pod = pod_of(documents)
    assert pod["nodeSelector"] == {
        "node.kubernetes.io/instance-type": "h.xlarge",
        "topology.kubernetes.io/region": "east",
        "kubernetes.io/arch": "amd64",
    }
    (term,) = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"].items() <= documents["Deployment"]["spec"]["template"]["metadata"][
        "labels"
    ].items()  # fmt: skip


def test_pods_are_spread_over_the_zones_that_the_plan_reckons_with(
    plan: Plan, deploy: Callable[..., tuple[Deployed, ...]], documents: Documents
) -> None:
    assert "topologySpreadConstraints" not in pod_of(documents)
    spread = replace(plan, n_zones=2)  # two of the four may be gone
    zoned = parsed(kubernetes_yaml(spread, deploy(spread)))
    (constraint,) = pod_of(zoned)["topologySpreadConstraints"]
    assert (constraint["topologyKey"], constraint["minDomains"], constraint["maxSkew"]) == (
        "topology.kubernetes.io/zone",
        2,
        1,
    )
    target = zoned["HorizontalPodAutoscaler"]["spec"]["metrics"][0]["pods"]["target"]["averageValue"]
    assert target == "576000m"  # 1,440 x 0.8 x 2 / 4


def test_every_selector_finds_the_pods(documents: Documents) -> None:
    labels = documents["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        documents["Service"]["spec"]["selector"],
        documents["Deployment"]["spec"]["selector"]["matchLabels"],
        documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    assert documents["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "digits"


def test_probes_ask_the_server_itself(documents: Documents) -> None:
    (server,) = pod_of(documents)["containers"]
    paths = {name: server[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths == {
        "startupProbe": "/v2/health/ready",
        "readinessProbe": "/v2/health/ready",
        "livenessProbe": "/v2/health/live",
    }


def test_what_a_pod_asks_for_is_left_on_the_machine(documents: Documents) -> None:
    (server,) = pod_of(documents)["containers"]
    asked = server["resources"]["requests"]
    # Four cores less 60 + 40 + 2 x 20 thousandths. Of 8 GiB 7.5 % is gone before, then a quarter of 4 GiB, a fifth of
    # the other 3.4, and 100 MiB.
    assert int(asked["cpu"].removesuffix("m")) == 3860 - DAEMONS_MILLICORES
    assert int(asked["memory"].removesuffix("Mi")) == int(1024 * (7.4 - 1 - 0.68) - 100) - DAEMONS_MIB
    assert server["resources"]["limits"] == {"memory": asked["memory"]}  # a quota on processor time would stop it


def test_what_is_reckoned_to_be_left_is_never_more_than_what_is_known_to_be() -> None:
    offers = load_catalog(as_of=date(2026, 11, 26)).offers
    known = {offer.type_name: offer.instance_type for offer in offers if offer.instance_type.usable_vcpus is not None}
    assert len(known) > 20
    for kind in known.values():
        there, reckoned = allocatable(kind), allocatable(replace(kind, usable_vcpus=None, usable_memory_gib=None))
        assert reckoned.millicores <= there.millicores, kind.name
        assert reckoned.memory_mib <= there.memory_mib, kind.name
        assert reckoned.millicores > 0.85 * there.millicores, kind.name


def test_every_type_of_the_catalogue_has_room_or_says_that_it_has_none() -> None:
    for offer in load_catalog(as_of=date(2026, 11, 26)).offers:
        kind = offer.instance_type
        if kind.memory_gib >= 2 and kind.n_vcpus >= 1:
            room, left = room_on(kind), allocatable(kind)
            assert 0 < room.millicores <= left.millicores < 1000 * kind.n_vcpus
            assert 0 < room.memory_mib <= left.memory_mib < 1024 * kind.memory_gib


def tiny(**changed: Any) -> InstanceType:
    known = next(o.instance_type for o in load_catalog(as_of=date(2026, 11, 26)).offers if o.instance_type.n_vcpus == 2)
    return replace(known, usable_vcpus=None, usable_memory_gib=None, **changed)


@pytest.mark.parametrize(("memory_gib", "said"), [(0.5, "too small"), (0.0, "how much memory")])
def test_a_machine_without_room_for_a_pod_is_told(memory_gib: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        room_on(tiny(memory_gib=memory_gib))


def test_the_server_starts_with_exactly_the_plans_setting(plan: Plan, deploy: Any) -> None:
    from loadplan.serve.__main__ import _read_config

    setting = Setting(
        execution=ExecutionConfig(variant="fp32", n_threads=3),
        serving=ServingConfig(max_batch_size=16, batch_window_s=0.0025, max_queue_rows=99),
    )
    changed = with_offer(plan, setting=setting)
    assert changed.recommended is not None
    (server,) = pod_of(parsed(kubernetes_yaml(changed, deploy(changed))))["containers"]
    config = _read_config(server["args"], parent_pid=1)
    assert config.name == "digits"
    assert config.model == Path("/model/model.onnx")
    assert replace(config.execution, variant="fp32") == setting.execution
    n_processes = changed.recommended.capacity.n_server_processes
    assert config.serving == replace(setting.serving, n_server_processes=n_processes)


def test_spot_machines_are_asked_for_by_the_providers_label(plan: Plan, deploy: Any) -> None:
    spot = with_offer(plan, purchase="spot")
    assert (
        pod_of(parsed(kubernetes_yaml(spot, deploy(spot))))["nodeSelector"]["eks.amazonaws.com/capacityType"] == "SPOT"
    )


def test_ones_own_machines_are_found_by_a_label_that_the_file_tells_how_to_set(plan: Plan, deploy: Any) -> None:
    assert plan.recommended is not None
    kind = plan.recommended.items[0].offer.instance_type
    own = with_offer(plan, purchase="owned", instance_type=replace(kind, provider="own", name="rack-7"))
    text = kubernetes_yaml(own, deploy(own))
    assert pod_of(parsed(text))["nodeSelector"] == {"loadplan/instance-type": "rack-7"}
    assert "kubectl label node NODE loadplan/instance-type=rack-7" in text


def test_each_gpu_of_a_machine_gets_a_server_of_its_own(plan: Plan, deploy: Any) -> None:
    assert plan.recommended is not None
    fleet = plan.recommended
    kind = replace(fleet.items[0].offer.instance_type, accelerator="L4", n_accelerators=2.0)
    on_gpu = with_offer(
        plan,
        instance_type=kind,
        setting=Setting(
            execution=ExecutionConfig(variant="fp32", provider="CUDA"), serving=ServingConfig(max_batch_size=8)
        ),
    )
    assert on_gpu.recommended is not None
    capacity = replace(on_gpu.recommended.capacity, n_server_processes=2)
    on_gpu = replace(on_gpu, recommended=replace(on_gpu.recommended, capacity=capacity))
    with pytest.raises(InputError, match="processors only"):
        deploy(on_gpu)
    deployed = deploy(on_gpu, image="mine:1")
    documents = parsed(kubernetes_yaml(on_gpu, deployed))
    assert documents["Deployment"]["spec"]["replicas"] == 8
    (server,) = pod_of(documents)["containers"]
    assert server["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert {"--provider=CUDA", "--processes=1"} <= set(server["args"])
    services = YAML(typ="safe").load(compose_yaml(on_gpu, deployed, models=PurePath("..")))["services"]
    devices = [one["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"] for one in services.values()]
    assert devices == [["0"], ["1"]]


def test_a_fleet_of_several_types_is_a_deployment_each_behind_one_service(plan: Plan, deploy: Any) -> None:
    assert plan.recommended is not None
    first, second = plan.recommended.items[0], plan.runners_up[0].items[0]
    items = (
        replace(first, n_replicas=3, capacity=plan.recommended.capacity),
        replace(second, n_replicas=1, capacity=plan.runners_up[0].capacity),
    )
    months = (replace(plan.months[0], n_replicas=4, n_of_each=(3, 1)), replace(plan.months[1], n_of_each=(2, 5)))
    mixed = replace(plan, recommended=replace(plan.recommended, items=items), months=months)
    deployed = deploy(mixed)
    text = kubernetes_yaml(mixed, deployed)
    documents = list(YAML(typ="safe").load_all(text))
    deployments = [document for document in documents if document["kind"] == "Deployment"]
    assert [(one["metadata"]["name"], one["spec"]["replicas"]) for one in deployments] == [
        ("digits-1", 3), ("digits-2", 1)
    ]  # fmt: skip
    scalers = [document["spec"] for document in documents if document["kind"] == "HorizontalPodAutoscaler"]
    assert [(one["minReplicas"], one["maxReplicas"]) for one in scalers] == [(3, 3), (1, 5)]
    one_for_all = [document for document in documents if document["kind"] in ("Service", "PodDisruptionBudget")]
    assert len(one_for_all) == 2
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in deployments]
    assert all(label["app.kubernetes.io/name"] == "digits" for label in labels)
    assert "a balancer before it that weighs" in text
    services = YAML(typ="safe").load(compose_yaml(mixed, deployed, models=PurePath("..")))["services"]
    assert {name: one["profiles"] for name, one in services.items()} == {
        "digits-1": ["digits-1"], "digits-2": ["digits-2"]
    }  # fmt: skip


def test_a_hostile_region_ends_in_a_message_and_not_in_the_file(plan: Plan, deploy: Any) -> None:
    hostile = with_offer(plan, region="east\nkind: Pod")
    with pytest.raises(InputError, match="label"):
        kubernetes_yaml(hostile, deploy(hostile))
    with pytest.raises(InputError, match="no image"):
        deploy(plan, image="x\nRUN rm")


def test_the_image_holds_the_model_under_the_name_that_the_server_is_told(plan: Plan, deploy: Any) -> None:
    (one,) = deploy(plan)
    lines = [line for line in dockerfile(one).splitlines() if not line.startswith("#")]
    assert lines == ["FROM loadplan-server", 'COPY ["models/fp32.onnx", "/model/model.onnx"]']
    (server,) = pod_of(parsed(kubernetes_yaml(plan, (one,))))["containers"]
    assert server["image"] == "digits-server:0123456789"


def test_kubernetes_own_schemas_take_it(plan: Plan, deploy: Any) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="`make check-docker` installs kubernetes-validate")
    version = validate.latest_version()
    for document in parsed(kubernetes_yaml(plan, deploy(plan))).values():
        validate.validate(document, version, strict=True)
    wrong = parsed(kubernetes_yaml(plan, deploy(plan)))["HorizontalPodAutoscaler"]
    wrong["spec"]["minReplicaz"] = 1
    with pytest.raises(validate.ValidationError):
        validate.validate(wrong, version, strict=True)


def test_the_compose_specification_takes_it(plan: Plan, deploy: Any, tmp_path: Path) -> None:
    pytest.importorskip("check_jsonschema", reason="`make check-docker` installs check-jsonschema")
    (tmp_path / "compose.yaml").write_text(compose_yaml(plan, deploy(plan), models=PurePath("..")))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(tmp_path / "compose.yaml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def run(tmp_path: Path, scenario: Scenario, machine: Machine, plan: Plan, export: ExportRun) -> Path:
    return write_run(tmp_path, scenario=scenario, machine=machine, plan=plan, export=export)


def test_the_command_writes_three_files_and_names_them(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["manifests", str(run), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [Path(file).name for file in document["files"]] == ["kubernetes.yaml", "compose.yaml", "Dockerfile"]
    service = YAML(typ="safe").load(Path(document["files"][1]).read_text())["services"]["digits"]
    mounted = service["volumes"][0].partition(":")[0]
    assert (run / "manifests" / mounted).resolve() == (run / "models" / "fp32.onnx").resolve()


def test_given_capacities_have_no_settings_to_deploy(
    tmp_path: Path, scenario: Scenario, machine: Machine, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan.recommended is not None
    capacity = replace(plan.recommended.capacity, setting=None, basis="given")
    given = replace(plan, recommended=replace(plan.recommended, capacity=capacity))
    run = write_run(tmp_path, scenario=scenario, machine=machine, plan=given)
    assert run_command_line(["manifests", str(run)]) == 2
    assert "given, not measured" in capsys.readouterr().err
    assert not (run / "manifests").exists()


def test_where_nothing_is_feasible_nothing_is_written(
    tmp_path: Path, scenario: Scenario, machine: Machine, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    none = replace(plan, feasible=False, recommended=None, nearest_miss=plan.recommended, months=())
    poor = replace(scenario, plan=replace(scenario.plan, budget_usd_per_month=Decimal(1)))
    run = write_run(tmp_path, scenario=poor, machine=machine, plan=none)
    assert run_command_line(["manifests", str(run)]) == 1
    assert not (run / "manifests").exists()
