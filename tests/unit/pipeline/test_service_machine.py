"""Which machine a running service is taken to run on."""

from dataclasses import replace

import pytest

from loadplan.machine import read_machine
from loadplan.pipeline.service_machine import machine_of
from loadplan.scenario.spec import PlanRules, Service

HERE = replace(read_machine(), instance_type="aws/c7i.large", cpu_model="this one")
ELSEWHERE = "http://192.0.2.1:8000/x"  # a numeric address needs no look-up
RULES = PlanRules(
    providers=("aws",),
    regions=("us-east-1",),
    purchases=("on_demand",),
    n_spare_replicas=1,
    n_min_replicas=1,
    headroom_ratio=0.2,
    hours_per_month=730,
    horizon_months=12,
    budget_usd_per_month=None,
)


def service(url: str, *, instance_type: str | None = None) -> Service:
    return Service(
        url=url,
        protocol="json",
        folder=".",
        request=None,
        method=None,
        answers={},
        model="",
        headers=(),
        allow_remote=(),
        instance_type=instance_type,
    )


def test_a_service_at_loopback_runs_here() -> None:
    found = machine_of(service("http://127.0.0.1:8000/x"), RULES, HERE)
    assert (found.machine, found.is_known, found.caveats) == (HERE, True, ())


def test_what_was_said_goes_before_what_is_seen_and_stays_a_doubt() -> None:
    found = machine_of(service("http://127.0.0.1:8000/x", instance_type="gcp/n2-standard-4"), RULES, HERE)
    assert found.machine == replace(HERE, instance_type="gcp/n2-standard-4")
    assert "gcp/n2-standard-4" in found.caveats[0].what


def test_the_only_type_that_runs_today_is_that_of_a_service_elsewhere() -> None:
    today = (("aws/us-east-1/m7i.large/on_demand", 2), ("aws/eu-west-1/m7i.large/spot", 1))
    found = machine_of(service(ELSEWHERE), replace(RULES, today=today), HERE)
    assert (found.machine.instance_type, found.is_known) == ("aws/m7i.large", True)
    assert found.machine.cpu_model != "this one"  # which says nothing of a machine elsewhere
    assert "m7i.large" in found.caveats[0].what


@pytest.mark.parametrize(
    "today", [(), (("aws/us-east-1/m7i.large/on_demand", 2), ("aws/us-east-1/c7i.large/on_demand", 2))]
)
def test_of_two_types_or_none_nobody_knows_which_it_is(today: tuple[tuple[str, int], ...]) -> None:
    found = machine_of(service(ELSEWHERE), replace(RULES, today=today), HERE)
    assert (found.machine.instance_type, found.is_known) == (None, False)
    assert "--instance-type" in found.caveats[0].fix
