"""Drives a plan live: on the embedded server here, or on a server of the user's own that runs the planned setting.

The decision a reader would question: a server that is driven by its address may run anything. Its answers are compared
with the model's own, so it runs this model; that it runs the planned setting, and on which machine, is what the user
says, and the verdict carries that as a doubt.
"""

from dataclasses import dataclass, replace

from loadplan.caveat import Caveat
from loadplan.driven import ShareVerdict, Sharpness, judge_share, judge_sharpness, sharpness_spec
from loadplan.errors import InputError, InvalidMeasurement
from loadplan.export.artifact import ExportRun
from loadplan.fit.records import CapacityFit
from loadplan.load.messages.service_requests import service_requests
from loadplan.load.records import LoadRun, LoadSpec
from loadplan.load.target.address import is_loopback
from loadplan.machine import Machine
from loadplan.pipeline.drive import drive, right_answers, variant_of
from loadplan.pipeline.service import drive_service
from loadplan.pipeline.stage import Road
from loadplan.plan.records.fleet import Plan
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.spec import Service
from loadplan.trial import HERE, Replica, planned_spec, recommended_fleet, setting_capacity, verification_spec
from loadplan.verify import Verdict, judge_verification, predicted_for, with_shares


@dataclass(frozen=True, slots=True)
class Known:
    """What a verification rests on."""

    exported: ExportRun
    payloads: PayloadSet
    fitted: CapacityFit
    planned: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRequest:
    """Which server to drive, and whether to look for waste."""

    url: str | None = None  # of a server that speaks the Open Inference Protocol v2; None: the embedded one, here
    allow_remote: tuple[str, ...] = ()  # hosts beside this machine that may be driven
    instance_type: str | None = None  # `provider/type` of the machine that serves; None: as far as it tells
    is_sharp: bool = False  # a quarter more than the planned rate is driven as well


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A verdict and the live runs that it rests on."""

    verdict: Verdict
    run: LoadRun  # the one that the verdict is about
    beside: tuple[LoadRun, ...] = ()


def verify_here(road: Road, known: Known) -> Verification:
    """The planned share of capacity with the spares gone, on the embedded server; nothing is kept."""
    spec = verification_spec(known.planned, known.fitted, road.scenario)
    run = _drive(road, known, spec, VerificationRequest())
    return Verification(verdict=judge_verification(known.planned, known.fitted, road.scenario, run), run=run)


def verify_shares(road: Road, known: Known, request: VerificationRequest) -> Verification:
    """The same with all that is asked for, the lower rate with all replicas there beside it; nothing is kept.

    Where the verdict's own run is invalid nothing else is driven.

    Raises:
        InputError: when the machine that serves is neither this one nor of the recommended type, or is not named.
        InvalidMeasurement: when the plan's setting was not fitted here.
    """
    scenario, fitted, planned = road.scenario, known.fitted, known.planned
    replica = _replica(road, planned, request)
    spec = verification_spec(planned, fitted, scenario, replica=replica)
    run = _drive(road, known, spec, request)
    verdict = judge_verification(planned, fitted, scenario, run, replica=replica)
    verdict = replace(verdict, caveats=(*verdict.caveats, *_told_caveats(request)))
    if not verdict.valid:
        return Verification(verdict=verdict, run=run)
    beside: list[LoadRun] = []
    lower, sharpness = None, None
    if (of_all := planned_spec(planned, spec)) is not None:
        beside.append(_drive(road, known, of_all, request))
        lower = _share(known, road, beside[-1], replica)
    if request.is_sharp:
        beside.append(_drive(road, known, sharpness_spec(spec), request))
        sharpness = _sharpness(known, road, beside[-1], replica)
    return Verification(verdict=with_shares(verdict, lower, sharpness), run=run, beside=tuple(beside))


def _share(known: Known, road: Road, run: LoadRun, replica: Replica) -> ShareVerdict:
    setting = run.spec.setting
    if setting is None:
        raise ValueError("a verification run says how its server ran")
    return judge_share(
        run,
        road.scenario,
        usable_capacity_rps=replica.times_as_much * setting_capacity(known.fitted, setting).usable_capacity_rps,
        predicted=predicted_for(known.fitted, run, replica=replica),
    )


def _sharpness(known: Known, road: Road, run: LoadRun, replica: Replica) -> Sharpness:
    fleet = recommended_fleet(known.planned)
    return judge_sharpness(_share(known, road, run, replica), fleet, road.scenario)


def _replica(road: Road, planned: Plan, request: VerificationRequest) -> Replica:
    """What is driven: the server process that was fitted, or one replica of the recommended fleet."""
    fleet = recommended_fleet(planned)
    bought = fleet.items[0].offer.instance_type
    bought_name = f"{bought.provider}/{bought.name}"
    own_name, told = road.machine.instance_type, request.instance_type
    if told is not None and told not in (bought_name, own_name) and (own_name or request.url is not None):
        raise InputError(
            what=f"the plan buys {bought_name} and was measured on {own_name or 'a machine without a name'}, so a run "
            f"on {told} proves neither the plan nor its law",
            where="--instance-type",
            fix=f"serve the model on {bought_name}, or leave the option out to verify the law on this machine",
        )
    if request.url is not None and told is None and not is_loopback(request.url):
        raise InputError(
            what="nobody says on what machine the server runs, so its answers prove nothing of the plan",
            where="--url",
            fix=f"add --instance-type, such as {bought_name}, which the plan buys",
        )
    if request.url is None or told is None or told == own_name:
        return HERE
    if fleet.capacity.measured_on is not None:
        raise InvalidMeasurement(
            what=f"what is expected of {bought_name} rests on a profile, whose law this run folder doesn't hold",
            where="verify",
            fix=f"run `loadplan run` and `loadplan verify` on a machine of the type {bought_name}",
        )
    return Replica(
        speed_ratio=fleet.capacity.speed_ratio,
        n_server_processes=fleet.capacity.n_server_processes,
        is_fitted=False,
    )


def _drive(road: Road, known: Known, spec: LoadSpec, request: VerificationRequest) -> LoadRun:
    said = f"{spec.offered_rate_rps:,.0f} requests/s for {spec.duration_s:.0f} s"
    road.observer.progress(0.0, said)
    machine = _machine(road.machine, request)
    if request.url is None:
        return drive(
            spec,
            folder=road.folder.path,
            exported=known.exported,
            payloads=known.payloads,
            scenario=road.scenario,
            machine=machine,
            on_progress=lambda ratio: road.observer.progress(ratio, said),
        )
    if spec.setting is None:
        raise ValueError("a verification run says how its server ran")
    model = variant_of(known.exported, spec.setting.execution.variant)
    right, tolerance = right_answers(model, known.payloads, road.folder.path, spec.setting.execution)
    service = Service(
        url=request.url,
        protocol="v2",
        folder=".",
        request=None,
        method=None,
        answers={},
        model=road.scenario.name,
        headers=(),
        allow_remote=request.allow_remote,
    )
    requests = service_requests(
        service,
        right,
        rows_per_request=road.scenario.traffic.rows_per_request,
        classes=road.scenario.traffic.classes,
        abs_tolerance=tolerance,
    )
    return drive_service(service, spec, requests=requests, machine=machine, observer=road.observer)


def _machine(here: Machine, request: VerificationRequest) -> Machine:
    """Of the server. What is said of a machine elsewhere is its type alone; of this one it fills a gap."""
    told = request.instance_type
    if told is None or told == here.instance_type:
        return here
    return replace(here, instance_type=told, cpu_model=here.cpu_model if request.url is None else f"that of {told}")


def _told_caveats(request: VerificationRequest) -> tuple[Caveat, ...]:
    told = [
        *([] if request.url is None else [f"that {request.url.partition('?')[0]} runs the planned setting"]),
        *([] if request.instance_type is None else [f"that it runs on {request.instance_type}"]),
    ]
    if not told:
        return ()
    return (
        Caveat(
            code="verify.told",
            what=f"the verdict rests on what was said: {' and '.join(told)}",
            fix="run `loadplan run` on that machine: its firmware may tell the type, and loadplan starts the server",
        ),
    )
