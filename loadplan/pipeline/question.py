"""What the question of a run is, so that the same one is found again: its scenario, and the bytes of its model."""

from dataclasses import dataclass, replace
from pathlib import Path

from loadplan.errors import InputError
from loadplan.export import model_file, onnx_file
from loadplan.scenario.spec import ModelSource, Scenario, Service
from loadplan.store import codec


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleets:
    """Fleets that a plan is put beside: names of offers, and how many replicas of each; none: the scenario's own."""

    today: tuple[tuple[str, int], ...] = ()  # what runs now
    proposal: tuple[tuple[str, int], ...] = ()  # what somebody would buy instead


AS_ASKED = Fleets()


def need_model(scenario: Scenario) -> ModelSource:
    """The model that the scenario names. Raises InputError where it names none."""
    if scenario.model is None:
        raise InputError(
            what="the scenario names no model",
            where=f"scenario {scenario.name}",
            fix="add a model, or plan on given capacities with `loadplan plan SCENARIO --capacities FILE.csv`",
        )
    return scenario.model


def need_service(scenario: Scenario) -> Service:
    """The running service that the scenario names. Raises InputError where it names none."""
    if scenario.target is None:
        raise InputError(
            what="the scenario names no running service",
            where=f"scenario {scenario.name}",
            fix="add target.url, or run the model with loadplan's own server",
        )
    return scenario.target


def is_of_service(scenario: Scenario) -> bool:
    """Whether what is planned is a running service as it is, and not a model that loadplan serves."""
    return scenario.target is not None and scenario.model is None


def identity(scenario: Scenario) -> bytes:
    """The bytes that decide what is planned: the model's, or the bodies that a running service is sent.

    Raises:
        InputError: when there is neither a model nor a service, or a file of either can't be read.
    """
    if not is_of_service(scenario):
        return model_bytes(need_model(scenario))
    service = need_service(scenario)
    names = [service.request, *(one.body for one in scenario.traffic.classes)]
    return b"\0".join(_body_bytes(Path(service.folder) / name) for name in names if name is not None)


def _body_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(
            what=f"the request can't be read: {error.strerror}", where=str(file), fix="check the path of the body"
        ) from error


def with_fleets(scenario: Scenario, fleets: Fleets) -> Scenario:
    """The same question with these fleets in place of the scenario's own."""
    rules = scenario.plan
    return replace(
        scenario,
        plan=replace(rules, today=fleets.today or rules.today, proposal=fleets.proposal or rules.proposal),
    )


def model_bytes(source: ModelSource) -> bytes:
    """The bytes that decide which model it is: the factory's file, or the hashes of the model's and of its rows.

    Raises:
        InputError: when there is no such file, or it is no model.
    """
    if source.kind == "onnx":
        return onnx_file.identity(source)
    if source.factory is None:
        return model_file.identity(source)
    file = Path(source.folder) / f"{source.factory.partition(':')[0]}.py"
    try:
        factory = file.read_bytes()
    except OSError as error:
        raise InputError(
            what=f"the model's factory can't be read: {error.strerror}",
            where=str(file),
            fix="put the module beside the scenario file, or correct model.factory",
        ) from error
    return factory if source.file is None else factory + model_file.identity(source)


def canonical(scenario: Scenario) -> str:
    """The resolved scenario as text, without where it lies on this machine."""
    return codec.dumps(portable(scenario))


def portable(scenario: Scenario) -> Scenario:
    """Without the absolute folder of the scenario's files, which says nothing about the question."""
    model, target = scenario.model, scenario.target
    return replace(
        scenario,
        model=None if model is None else replace(model, folder="."),
        target=None if target is None else replace(target, folder="."),
    )
