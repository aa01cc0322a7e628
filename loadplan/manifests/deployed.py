"""What a plan says about running it: one record per offer of the fleet, from which every file is written.

The decision a reader would question: on a machine with several GPUs each of them gets a server of its own, because a
server's processes share the device that they name; on processors one server fills the machine.
"""

import re
from dataclasses import dataclass, replace

from loadplan.errors import InputError
from loadplan.execution import Setting
from loadplan.export.artifact import ExportedModel, ExportRun
from loadplan.plan.hardware.accelerator import n_gpus
from loadplan.plan.records.fleet import Fleet, FleetItem, Plan, ReplicaCapacity
from loadplan.scenario.spec import Scenario

CPU_IMAGE = "loadplan-server"  # as docker/Dockerfile and docker/compose.yaml call it
PORT = 8080  # of that image's entry point
MODEL_PATH = "/model/model.onnx"
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")
_MOST_NAME = 40  # of the 63 characters of a label; kinds and hashes are hung on


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """One offer of the fleet and the servers on its machines."""

    name: str  # in Kubernetes and compose: a DNS label
    app: str  # what all offers of the fleet have in common
    model_name: str  # in the API
    model: ExportedModel
    setting: Setting  # of one server
    item: FleetItem
    n_servers_per_machine: int
    n_gpus: int  # of one server
    usable_rps: float  # of one server, the low end that the plan is sized on
    n_replicas_most: int  # machines in the busiest month of the horizon
    image: str
    run: str  # name of the run folder

    @property
    def image_with_model(self) -> str:
        """The image that holds the model as well: a name of its own for each run."""
        return f"{self.app}-server:{self.run.rpartition('-')[2] or 'latest'}"


def read_deployed(
    plan: Plan, scenario: Scenario, exported: ExportRun | None, *, run: str, image: str | None
) -> tuple[Deployed, ...]:
    """One record per offer of the recommended fleet.

    Args:
        plan: what was planned; a fleet is feasible.
        scenario: the question.
        exported: the model's variants.
        run: name of the run folder.
        image: what runs; None: the image for processors that docker/Dockerfile makes.

    Raises:
        InputError: where the settings are not known (given capacities), for a name that is no image, or where the plan
            runs on GPUs and no image was named.
    """
    fleet = plan.recommended
    if image is not None and not _IMAGE.fullmatch(image):
        raise InputError(
            what=f"{image!r} is no image", where="--image", fix="write it like registry.example/team/server:1.2"
        )
    if fleet is None or exported is None:
        raise _not_known()
    app = dns_label(scenario.name)[:_MOST_NAME].rstrip("-")
    most = _most_of_each(plan, fleet)
    return tuple(
        Deployed(
            name=app if len(fleet.items) == 1 else f"{app}-{i + 1}",
            app=app,
            model_name=scenario.name,
            model=_variant(exported, server.setting.execution.variant),
            setting=server.setting,
            item=item,
            n_servers_per_machine=server.n_per_machine,
            n_gpus=0 if server.setting.execution.is_on_cpu else 1,
            usable_rps=server.usable_rps,
            n_replicas_most=max(item.n_replicas, most[i]),
            image=_image_for(server.setting, image),
            run=run,
        )
        for i, item in enumerate(fleet.items)
        for server in [_server_of(item, item.capacity or fleet.capacity)]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """One of the servers on a machine."""

    setting: Setting
    n_per_machine: int
    usable_rps: float


def _server_of(item: FleetItem, capacity: ReplicaCapacity) -> _Server:
    """The servers of a machine: one that fills its processor, or one on each of its GPUs."""
    if capacity.setting is None:
        raise _not_known()
    n = 1 if capacity.setting.execution.is_on_cpu else max(1, n_gpus(item.offer.instance_type))
    n_processes = max(1, capacity.n_server_processes // n)
    return _Server(
        setting=replace(capacity.setting, serving=replace(capacity.setting.serving, n_server_processes=n_processes)),
        n_per_machine=n,
        usable_rps=capacity.usable_capacity_rps_low / n,
    )


def _most_of_each(plan: Plan, fleet: Fleet) -> list[int]:
    """Replicas of each item in the month in which most of it are bought."""
    months = [month.n_of_each or (month.n_replicas,) for month in plan.months]
    return [max((month[i] for month in months), default=item.n_replicas) for i, item in enumerate(fleet.items)]


def _image_for(setting: Setting, image: str | None) -> str:
    if not setting.execution.is_on_cpu and image is None:
        raise InputError(
            what=f"the plan runs on {setting.execution.provider}, and the images of docker/ have ONNX Runtime for "
            "processors only",
            where="--image",
            fix="build an image with onnxruntime-gpu whose entry point is loadplan's server, and name it with --image",
        )
    return image or CPU_IMAGE


def _not_known() -> InputError:
    return InputError(
        what="loadplan does not know how the servers run: the capacities of this plan were given, not measured",
        where="the recommended fleet",
        fix="plan with `loadplan run` on a scenario with a model, which measures the settings",
    )


def server_arguments(one: Deployed) -> list[str]:
    """The options of the server, as the plan's live runs were driven with."""
    execution, serving = one.setting.execution, one.setting.serving
    options = {
        "--model": MODEL_PATH,
        "--name": one.model_name,
        "--threads": str(execution.n_threads),
        "--provider": execution.provider_name,
        "--max-batch-size": str(serving.max_batch_size),
        "--batch-window-ms": repr(round(serving.batch_window_s * 1e3, 9)),
        "--max-queue-rows": str(serving.max_queue_rows),
        "--processes": str(serving.n_server_processes),
    }
    flags = ["--pads"] if one.model.pads else []
    # `--name=…`: a name that begins with a dash must not be taken for an option.
    return [f"{option}={value}" for option, value in options.items()] + flags


def dns_label(name: str) -> str:
    """A name as Kubernetes takes it: small letters, digits and dashes, a letter first."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return label if label[:1].isalpha() else f"model-{label}".rstrip("-")


def _variant(exported: ExportRun, name: str) -> ExportedModel:
    found = next((model for model in exported.models if model.variant == name), None)
    if found is None:
        raise InputError(
            what=f"the variant {name!r} of the plan is not in this run folder",
            where="export",
            fix="run `loadplan run` on the scenario again",
        )
    return found
