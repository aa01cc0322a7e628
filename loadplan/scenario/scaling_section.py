"""The keys `plan.start_up` and `plan.scaling` of a scenario file: how soon replicas serve, and when."""

from typing import Annotated

from pydantic import Field

from loadplan.scenario.section import Section
from loadplan.scenario.spec import ScalingPolicy, ScalingRules, StartUpRules

_MAX_S = 21_600.0  # six hours; beyond it a unit was confused
PartS = Annotated[float, Field(ge=0, le=_MAX_S)]


class StartUpSection(Section):
    """What passes between the wish for a replica and its first answer; parts left out are measured or assumed."""

    node_s: PartS | None = Field(default=None, description="until the machine runs; by default 90 s are assumed")
    image_s: PartS | None = Field(default=None, description="until the image is there; by default 30 s are assumed")
    load_s: PartS | None = Field(
        default=None,
        description="until the model is open; by default what the benchmark's starts took, else 10 s are assumed",
    )
    warm_up_s: PartS | None = Field(
        default=None,
        description="the first inference; by default what the benchmark's starts took, else 1 s is assumed",
    )


class ScalingSection(Section):
    """Which way of scaling the months are shown for, and the rule of the reactive one."""

    policy: ScalingPolicy = Field(default="static", description="all three are compared; this one is shown by month")
    target_ratio: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="reactive: share of its usable capacity at which a replica is held; by default 1 - headroom_ratio",
    )
    stabilisation_s: float = Field(
        default=300.0, ge=0, le=86_400, description="reactive: replicas go only after so long without need of them"
    )


def resolve_start_up(section: StartUpSection) -> StartUpRules:
    """As it was written; what is None is measured or assumed."""
    return StartUpRules(
        node_s=section.node_s, image_s=section.image_s, load_s=section.load_s, warm_up_s=section.warm_up_s
    )


def resolve_scaling(section: ScalingSection) -> ScalingRules:
    """As it was written."""
    return ScalingRules(
        policy=section.policy, target_ratio=section.target_ratio, stabilisation_s=section.stabilisation_s
    )
