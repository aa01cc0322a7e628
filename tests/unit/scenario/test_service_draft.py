"""The scenario that is written for a running service: it says what was told, and a secret never."""

from pathlib import Path
from typing import Any

import pytest

from loadplan.errors import InputError
from loadplan.scenario.arrivals import PoissonArrivals
from loadplan.scenario.reader import scenario_of
from loadplan.scenario.service_draft import (
    ServiceQuestion,
    assumed_of_service,
    draft_service_scenario,
    poisson_traffic,
    service_name,
)
from loadplan.scenario.spec import Scenario


def drafted(folder: Path, **told: Any) -> Scenario:
    question = ServiceQuestion(**{"url": "http://127.0.0.1:8000/v1/recommend", "p99_s": 0.08, **told})
    return scenario_of(draft_service_scenario(question, poisson_traffic(150.0)), folder / "x.yaml")


def test_what_was_told_is_in_it_and_nothing_else_of_the_service(tmp_path: Path) -> None:
    scenario = drafted(tmp_path)
    assert (scenario.name, scenario.model) == ("recommend", None)
    assert scenario.traffic.peak_rps == 150.0
    assert isinstance(scenario.traffic.arrivals, PoissonArrivals)
    assert scenario.objectives[0].limits[0].limit_s == pytest.approx(0.08, rel=1e-12)
    target = scenario.target
    assert target is not None
    assert (target.url, target.request, target.method) == ("http://127.0.0.1:8000/v1/recommend", None, None)
    assert (target.headers, target.allow_remote, target.instance_type, target.may_check) == ((), (), None, None)


def test_every_option_reaches_the_scenario(tmp_path: Path) -> None:
    today, proposal = ("aws/us-east-1/c7i.large/on_demand", 4), ("aws/us-east-1/p3.16xlarge/on_demand", 1)
    scenario = drafted(
        tmp_path,
        url="http://ml.example/score",
        request=str(tmp_path / "bodies.jsonl"),
        method="PUT",
        answer="/scores",
        headers=(("Authorization", "Bearer $TOKEN"),),
        allow_remote=("ml.example",),
        instance_type="aws/c7i.large",
        may_check=False,
        providers=("aws",),
        regions=("eu-west-1",),
        today=(today,),
        proposal=(proposal,),
    )
    target = scenario.target
    assert target is not None
    assert (target.request, target.method, target.answers) == (str(tmp_path / "bodies.jsonl"), "PUT", {"": "/scores"})
    assert target.headers == (("Authorization", "Bearer $TOKEN"),)
    assert (target.allow_remote, target.instance_type, target.may_check) == (("ml.example",), "aws/c7i.large", False)
    plan = scenario.plan
    assert (plan.providers, plan.regions) == (("aws",), ("eu-west-1",))
    assert (plan.today, plan.proposal) == ((today,), (proposal,))


def test_a_secret_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        drafted(tmp_path, headers=(("Authorization", "Bearer canary-1f"),))
    assert "environment" in refused.value.what
    assert "canary-1f" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.1:8000/v1/predict/", "predict"),
        ("http://127.0.0.1:8000", "127.0.0.1-8000"),
        ("http://127.0.0.1/..", "service"),
        ("http://127.0.0.1/a b?key=secret", "a-b"),
    ],
)
def test_its_name_is_one_for_a_folder(url: str, name: str) -> None:
    assert service_name(url) == name


def test_a_log_spares_an_assumption() -> None:
    question = ServiceQuestion(url="http://127.0.0.1:8000/x", p99_s=0.1)
    without, by_log = (assumed_of_service(question, has_log=has_log) for has_log in (False, True))
    assert set(by_log) < set(without)
