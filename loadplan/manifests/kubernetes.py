"""Deployment, Service, HorizontalPodAutoscaler and PodDisruptionBudget of a planned fleet, in stable APIs.

The decision a reader would question: pods have no processor limit. A quota stops a process for the rest of each 100 ms,
which shows as latency that no machine of that size has; a request as large as the machine keeps others off it instead.
The autoscaler counts requests per second, never processor time, which says nothing where a batch waits or a GPU works.
"""

import math
import re

from loadplan.errors import InputError
from loadplan.manifests.allocatable import Room, room_on
from loadplan.manifests.deployed import PORT, Deployed, server_arguments
from loadplan.manifests.yaml_text import Node, noted, yaml_text
from loadplan.plan.buying.owned import OWN_PROVIDER
from loadplan.plan.fleets.sizing import n_gone
from loadplan.plan.records.fleet import Plan

METRIC = "loadplan_requests_per_second"
_USER = 10001  # of the image
_GRACE_S = 30  # in which the server finishes what it has begun, as in docker/compose.yaml
_DRAIN_S = 5  # in which the balancer learns that a pod goes away
_SCALE_DOWN_AFTER_S = 300
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
# What each provider's Kubernetes calls machines that may be taken away.
_SPOT = {
    "aws": ("eks.amazonaws.com/capacityType", "SPOT"),
    "gcp": ("cloud.google.com/gke-spot", "true"),
    "azure": ("kubernetes.azure.com/scalesetpriority", "spot"),
}


def kubernetes_yaml(plan: Plan, deployed: tuple[Deployed, ...]) -> str:
    """All of it as one file of several documents.

    Raises:
        InputError: when a machine leaves no room for a pod, or a name can't be a label.
    """
    documents: list[Node] = [_service(deployed[0])]
    for one in deployed:
        documents += [_deployment(plan, one), _autoscaler(plan, one)]
    if plan.n_spare_replicas:
        documents.append(_disruption_budget(plan, deployed))
    return yaml_text(documents, heading=_heading(plan, deployed))


def _heading(plan: Plan, deployed: tuple[Deployed, ...]) -> str:
    first = deployed[0]
    several = (
        "This fleet has machines of several types, and the plan sends each of them as much as it carries.",
        "A Service deals requests evenly: put a balancer before it that weighs, or the small machines are overloaded.",
    )
    return "\n".join(
        (
            f"The plan of run {first.run}: {plan.peak_rps:g} requests/s at the peak.",
            "Values with a comment are the plan's.",
            f"The image is {first.image} with the model in it: the Dockerfile beside this file makes it.",
            "The autoscaler asks an adapter of custom metrics, such as prometheus-adapter, for requests/s and pod:",
            f"  sum(rate(loadplan_requests_total[1m])) by (pod)  named  {METRIC}",
            *(several if len(deployed) > 1 else ()),
        )
    )


def _metadata(one: Deployed) -> Node:
    return {"name": one.name, "labels": {"app.kubernetes.io/name": one.app, "app.kubernetes.io/instance": one.name}}


def _deployment(plan: Plan, one: Deployed) -> Node:
    n_pods = one.item.n_replicas * one.n_servers_per_machine
    k = plan.n_spare_replicas * one.n_servers_per_machine
    selector = {"matchLabels": {"app.kubernetes.io/instance": one.name}}
    why = f"{one.item.n_replicas} machines; of {_n_machines(plan)} in the fleet {plan.n_spare_replicas} are spare"
    # A pod takes a whole machine: with a spare, an old one gives way first; without, a machine more is needed.
    change = {"maxSurge": 0, "maxUnavailable": k} if k else {"maxSurge": 1, "maxUnavailable": 0}
    spec = {
        "replicas": n_pods,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": change},
        "selector": selector,
        "template": {"metadata": {"labels": _metadata(one)["labels"]}, "spec": _pod(plan, one)},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(one),
        "spec": noted(spec, {"replicas": why}),
    }


def _pod(plan: Plan, one: Deployed) -> Node:
    pod: Node = {
        "nodeSelector": _node_selector(one),
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": _GRACE_S + _DRAIN_S,
        "securityContext": {"runAsNonRoot": True, "runAsUser": _USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(one)],
        "volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory"}}],
    }
    if one.n_servers_per_machine == 1:
        pod["affinity"] = {"podAntiAffinity": _one_per_machine(one)}
    if plan.n_zones is not None:
        pod["topologySpreadConstraints"] = [_over_zones(one, plan.n_zones)]
    if one.item.offer.purchase == "spot" and one.item.offer.instance_type.provider == "azure":
        key, value = _SPOT["azure"]
        pod["tolerations"] = [{"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}]
    return pod


def _one_per_machine(one: Deployed) -> Node:
    """So that a lost machine takes one replica with it, as the spares are counted."""
    term = {
        "labelSelector": {"matchLabels": {"app.kubernetes.io/instance": one.name}},
        "topologyKey": "kubernetes.io/hostname",
    }
    return {"requiredDuringSchedulingIgnoredDuringExecution": [term]}


def _over_zones(one: Deployed, n_zones: int) -> Node:
    """So that a lost zone takes no more replicas with it than the plan reckons with."""
    return {
        "maxSkew": 1,
        "minDomains": n_zones,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app.kubernetes.io/instance": one.name}},
    }


def _container(one: Deployed) -> Node:
    return {
        "name": "server",
        "image": one.image_with_model,
        "args": server_arguments(one),
        "ports": [{"name": "http", "containerPort": PORT}],
        "resources": _resources(one, room_on(one.item.offer.instance_type)),
        # The server answers readiness with a real inference, at most twice a second.
        "startupProbe": {**_probe("ready"), "periodSeconds": 2, "failureThreshold": 60},
        "readinessProbe": {**_probe("ready"), "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": 2},
        "livenessProbe": {**_probe("live"), "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "lifecycle": {"preStop": {"sleep": {"seconds": _DRAIN_S}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 -- the one place that the image writes to
    }


def _probe(state: str) -> Node:
    return {"httpGet": {"path": f"/v2/health/{state}", "port": "http"}}


def _resources(one: Deployed, room: Room) -> Node:
    share = one.n_servers_per_machine
    memory = f"{room.memory_mib // share}Mi"
    why = f"of {one.item.offer.instance_type.name}, {room.source}, less its own pods"
    requests: Node = {"cpu": f"{room.millicores // share}m", "memory": memory}
    limits: Node = {"memory": memory}
    if one.n_gpus:
        requests["nvidia.com/gpu"] = limits["nvidia.com/gpu"] = one.n_gpus
    return {"requests": noted(requests, {"cpu": why}), "limits": limits}


def _node_selector(one: Deployed) -> Node:
    offer = one.item.offer
    if offer.instance_type.provider == OWN_PROVIDER:  # no provider labels them
        label = "loadplan/instance-type"
        value = _label(offer.instance_type.name)
        return noted({label: value}, {label: f"kubectl label node NODE {label}={value}"})
    selector = {
        "node.kubernetes.io/instance-type": _label(offer.instance_type.name),
        "topology.kubernetes.io/region": _label(offer.region),
    }
    if offer.instance_type.architecture in _ARCHITECTURES:
        selector["kubernetes.io/arch"] = _ARCHITECTURES[offer.instance_type.architecture]
    if offer.purchase == "spot" and offer.instance_type.provider in _SPOT:
        key, value = _SPOT[offer.instance_type.provider]
        selector[key] = value
    return noted(selector, {"node.kubernetes.io/instance-type": f"${offer.usd_per_hour:f} an hour, {offer.purchase}"})


def _label(text: str) -> str:
    if not _LABEL_VALUE.fullmatch(text):
        raise InputError(
            what=f"{text!r} can't be the value of a Kubernetes label",
            where="the recommended fleet",
            fix="name the machine with letters, digits, dashes, dots and underscores, 63 characters at most",
        )
    return text


def _service(one: Deployed) -> Node:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": one.app, "labels": {"app.kubernetes.io/name": one.app}},
        "spec": {
            "selector": {"app.kubernetes.io/name": one.app},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }


def _autoscaler(plan: Plan, one: Deployed) -> Node:
    target = noted(
        {"type": "AverageValue", "averageValue": target_quantity(plan, one)}, {"averageValue": _why_target(plan)}
    )
    least = one.item.n_replicas * one.n_servers_per_machine
    most = one.n_replicas_most * one.n_servers_per_machine
    spec: Node = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": one.name},
        "minReplicas": least,
        "maxReplicas": most,
        "metrics": [{"type": "Pods", "pods": {"metric": {"name": METRIC}, "target": target}}],
        "behavior": {
            "scaleUp": {"stabilizationWindowSeconds": 0},
            "scaleDown": {"stabilizationWindowSeconds": _SCALE_DOWN_AFTER_S},
        },
    }
    why = {"minReplicas": "what the plan buys now", "maxReplicas": "what it buys in the busiest month of its horizon"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(one),
        "spec": noted(spec, why),
    }


def _why_target(plan: Plan) -> str:
    kept = f"{100 * plan.headroom_ratio:g} % kept free"
    return f"usable capacity of a pod, low end, {kept}, and the share of the spares"


def _n_machines(plan: Plan) -> int:
    return sum(item.n_replicas for item in plan.recommended.items) if plan.recommended else 0


def target_quantity(plan: Plan, one: Deployed) -> str:
    """Requests per second and pod at which the autoscaler adds one: capacity x (1 - headroom) x (n - k) / n.

    At the planned peak it asks for no more than the n replicas of the plan, of which k may be gone; rounded up to a
    thousandth, so that rounding adds none.
    """
    n = _n_machines(plan)
    k = n_gone(n, plan)
    working = (n - k) / n if n > k else 1.0
    return f"{math.ceil(round(1000.0 * one.usable_rps * (1.0 - plan.headroom_ratio) * working, 6))}m"


def _disruption_budget(plan: Plan, deployed: tuple[Deployed, ...]) -> Node:
    """For all offers together: the plan holds with so many machines gone, whichever they are."""
    app = deployed[0].app
    spec = noted(
        {
            "maxUnavailable": plan.n_spare_replicas * min(one.n_servers_per_machine for one in deployed),
            "selector": {"matchLabels": {"app.kubernetes.io/name": app}},
        },
        {"maxUnavailable": f"the plan holds with {plan.n_spare_replicas} gone, and not with more"},
    )
    metadata = {"name": app, "labels": {"app.kubernetes.io/name": app}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}
