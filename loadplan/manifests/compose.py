"""`compose.yaml` and `Dockerfile` of a planned fleet: the server of one machine, to be started on each of them."""

import json
from pathlib import PurePath

from loadplan.manifests.deployed import CPU_IMAGE, MODEL_PATH, PORT, Deployed, server_arguments
from loadplan.manifests.yaml_text import Node, noted, yaml_text
from loadplan.plan.hardware.memory import usable_gib
from loadplan.plan.records.fleet import Plan

_GRACE = "30s"


def compose_yaml(plan: Plan, deployed: tuple[Deployed, ...], *, models: PurePath) -> str:
    """The servers of one machine of each offer; start only those of the machine's own profile where there are several.

    Args:
        plan: what was planned.
        deployed: what runs.
        models: the folder that holds the run's `models/`, as seen from this file.
    """
    services: dict[str, Node] = {}
    for one in deployed:
        for i in range(one.n_servers_per_machine):
            name = one.name if one.n_servers_per_machine == 1 else f"{one.name}-{i}"
            services[name] = _service(one, i, models=models, with_profile=len(deployed) > 1)
    counts = ", ".join(f"{one.item.n_replicas} machines of {one.item.offer.name}" for one in deployed)
    heading = "\n".join(
        (
            f"The plan of run {deployed[0].run}: {plan.peak_rps:g} requests/s at the peak.",
            f"Start this on each of {counts}, behind a load balancer that asks /v2/health/ready.",
            "The port is open on loopback only until LOADPLAN_BIND names another address of the machine.",
        )
    )
    return yaml_text([{"name": deployed[0].app, "services": services}], heading=heading)


def _service(one: Deployed, i: int, *, models: PurePath, with_profile: bool) -> Node:
    memory_mib = int(1024 * usable_gib(one.item.offer.instance_type) / one.n_servers_per_machine)
    service: Node = {
        "image": one.image,
        "command": server_arguments(one),
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108 -- the one place that the image writes to
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": f"{memory_mib}m",
        "ports": [f"${{LOADPLAN_BIND:-127.0.0.1}}:{PORT + i}:{PORT}"],
        "volumes": [f"{_mounted(models / one.model.path)}:{MODEL_PATH}:ro"],
        "restart": "unless-stopped",
        "stop_grace_period": _GRACE,
    }
    if with_profile:
        service["profiles"] = [one.name]
    if one.n_gpus:
        devices = [{"driver": "nvidia", "device_ids": [str(i)], "capabilities": ["gpu"]}]
        service["deploy"] = {"resources": {"reservations": {"devices": devices}}}
    return noted(service, {"mem_limit": f"usable on {one.item.offer.instance_type.name}"})


def _mounted(path: PurePath) -> str:
    """A path as compose takes it for a file rather than a volume's name, with its dollars kept."""
    text = path.as_posix().replace("$", "$$")
    return text if path.is_absolute() or text.startswith(".") else f"./{text}"


def dockerfile(one: Deployed) -> str:
    """The server's image with the model in it, built in the run folder: a pod has no folder to mount."""
    copied = json.dumps([one.model.path, MODEL_PATH])
    return (
        f"# docker build -f Dockerfile -t {one.image_with_model} RUN\n"
        f"# RUN is the run folder, which holds {one.model.path}.\n"
        f"# {CPU_IMAGE} is made by docker/Dockerfile of loadplan, target `server`.\n"
        f"FROM {one.image}\n"
        f"COPY {copied}\n"
    )
