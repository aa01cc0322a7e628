"""Which machine a running service runs on: what was said, this one, the one that is paid for today, or nobody knows.

The decision a reader would question: where nothing is said and the service runs elsewhere, the only type that is named
as running today is taken for its machine, for whoever compares with today's bill measures what they pay for. Of a
machine that nobody knows the count alone is planned.
"""

from dataclasses import dataclass, replace

from loadplan.caveat import Caveat
from loadplan.load.target.address import is_loopback
from loadplan.machine import Machine
from loadplan.scenario.spec import PlanRules, Service


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceMachine:
    """The machine that a service runs on, as far as it is known."""

    machine: Machine  # of one elsewhere nothing but its type is more than a name
    is_known: bool  # whether anything can be priced that is like it
    caveats: tuple[Caveat, ...] = ()


def machine_of(service: Service, rules: PlanRules, here: Machine) -> ServiceMachine:
    """Where the service runs.

    Raises:
        InputError, EnvironmentFault: when the address can't be used, or its host is unknown.
    """
    is_here = is_loopback(service.url)
    if service.instance_type is not None:
        told = _told(
            f"that {service.url.partition('?')[0]} runs on {service.instance_type}, which nobody checked",
            "run loadplan on that machine: its firmware may tell its type",
        )
        return ServiceMachine(
            machine=_named(here, service.instance_type, is_here=is_here), is_known=True, caveats=(told,)
        )
    if is_here:
        return ServiceMachine(machine=here, is_known=True)
    today = {name.split("/")[0] + "/" + name.split("/")[2] for name, _ in rules.today}
    if len(today) == 1:
        (type_name,) = today
        told = _told(
            f"that the service runs on {type_name}, the only type that is named as running today",
            "say what it runs on with --instance-type, or target.instance_type in the scenario",
        )
        return ServiceMachine(machine=_named(here, type_name, is_here=False), is_known=True, caveats=(told,))
    nobody_knows = Caveat(
        code="plan.unknown_machine",
        what="nobody said which machine the service runs on, so no price and no other type is compared: what is "
        "counted are machines like that one",
        fix="name its type with --instance-type, such as aws/c7i.large, or target.instance_type in the scenario",
    )
    machine = replace(here, instance_type=None, cpu_model="unknown: the service runs elsewhere")
    return ServiceMachine(machine=machine, is_known=False, caveats=(nobody_knows,))


def _named(here: Machine, type_name: str, *, is_here: bool) -> Machine:
    return replace(here, instance_type=type_name, cpu_model=here.cpu_model if is_here else f"that of {type_name}")


def _told(what: str, fix: str) -> Caveat:
    return Caveat(code="plan.told_machine", what=f"the plan rests on what was said: {what}", fix=fix)
