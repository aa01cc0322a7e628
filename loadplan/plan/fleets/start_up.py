"""How long a new replica takes to serve: machine, image, opening the model, first inference. Seconds.

The decision a reader would question: opening and first inference were measured with the file in the page cache, which a
new machine has just written with its image; elsewhere they scale with the speed of the core, as everything does.
"""

from loadplan.fit.records import StartTimes
from loadplan.plan.records.fleet import ReplicaCapacity
from loadplan.plan.records.scaling import StartUpPart
from loadplan.scenario.spec import StartUpRules

# Assumed where the scenario says nothing: machines of clouds run within one to two minutes of being asked for, and an
# image of a gigabyte comes in half a minute.
ASSUMED_NODE_S = 90.0
ASSUMED_IMAGE_S = 30.0
ASSUMED_LOAD_S = 10.0
ASSUMED_WARM_UP_S = 1.0


def start_up_parts(rules: StartUpRules, start: StartTimes | None, capacity: ReplicaCapacity) -> tuple[StartUpPart, ...]:
    """The parts in their order: what the scenario gives, what the benchmark's starts measured, what is assumed.

    Args:
        rules: the scenario's own figures.
        start: what the starts of this execution took on the machine that was measured; None: nobody looked.
        capacity: of the replica, whose speed against that machine the measured parts are divided by.
    """
    load_s, first_s = (None, None) if start is None else (start.load_s, start.first_inference_s)
    return (
        _part("machine", rules.node_s, key="node_s", assumed_s=ASSUMED_NODE_S),
        _part("image", rules.image_s, key="image_s", assumed_s=ASSUMED_IMAGE_S),
        _part("opening the model", rules.load_s, key="load_s", assumed_s=ASSUMED_LOAD_S)
        if load_s is None or start is None or rules.load_s is not None
        else _measured("opening the model", load_s, start.n_starts, capacity),
        _part("first inference", rules.warm_up_s, key="warm_up_s", assumed_s=ASSUMED_WARM_UP_S)
        if first_s is None or start is None or rules.warm_up_s is not None
        else _measured("first inference", first_s, start.n_starts, capacity),
    )


def _part(name: str, given_s: float | None, *, key: str, assumed_s: float) -> StartUpPart:
    if given_s is None:
        return StartUpPart(name=name, time_s=assumed_s, basis="assumed", source=f"assumed; see plan.start_up.{key}")
    return StartUpPart(name=name, time_s=given_s, basis="given", source=f"scenario: plan.start_up.{key}")


def _measured(name: str, measured_s: float, n_starts: int, capacity: ReplicaCapacity) -> StartUpPart:
    is_elsewhere = capacity.basis == "extrapolated"
    source = f"middle of {n_starts} starts in the benchmark"
    return StartUpPart(
        name=name,
        time_s=measured_s / capacity.speed_ratio if is_elsewhere else measured_s,
        basis="extrapolated" if is_elsewhere else "measured",
        source=f"{source}, by the speed of a core" if is_elsewhere else source,
    )
