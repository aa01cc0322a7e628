"""The whole road for a service that runs already: traffic from its log, gentle runs, a fleet of machines like its own.

The decision a reader would question: where the address names no path, the log does. Then all of its requests count, and
each is taken to cost as much as the most frequent one; an address with a path counts the requests for it alone.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from loadplan.demand.bodies import read_bodies, tells_paths
from loadplan.demand.logs import read_demand
from loadplan.demand.records import Demand, PathSeen
from loadplan.demand.traffic_block import traffic_block, write_trace, write_week
from loadplan.demand.words import rate_text
from loadplan.errors import InputError
from loadplan.fit.compiling import SERVICES, compiled_meanwhile
from loadplan.load.first_answer import ask_once
from loadplan.load.messages.service_requests import service_requests
from loadplan.pipeline.drafts import keep_draft
from loadplan.pipeline.observer import Nobody, Observer
from loadplan.pipeline.road import RoadEnd, run
from loadplan.pipeline.service import origin_of
from loadplan.pipeline.service_answers import require_answer
from loadplan.pipeline.stage import digest
from loadplan.scenario.rows_law import always
from loadplan.scenario.service_draft import (
    BODIES_OF_LOG,
    ServiceQuestion,
    assumed_of_service,
    draft_service_scenario,
    poisson_traffic,
    service_name,
)
from loadplan.scenario.spec import Service, StageName
from loadplan.store.files import write_text

_AS_GOOD_AS_ALL = 0.995  # of the requests in a log
_N_DIGITS = 8  # of the hash that names the recording of a log


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickServiceEnd:
    """How far the walk came, the scenario that was walked, and what was assumed for it."""

    scenario: Path
    end: RoadEnd
    demand: Demand | None  # None: no log was given
    assumed: tuple[str, ...]


def quick_service(
    question: ServiceQuestion,
    *,
    logs: Sequence[Path],
    peak_rps: float | None,
    results: Path,
    fresh: bool = False,
    until: StageName = "report",
    observer: Observer | None = None,
) -> QuickServiceEnd:
    """Draft the scenario of a running service below `results`, unless it lies there already, and walk it.

    Args:
        question: what is told of the service. Where its address names no path, the most frequent one of the log is
            driven.
        logs: of its requests; none: `peak_rps` is all that is known of its traffic.
        peak_rps: requests per second in the busiest hour, where there is no log.
        results: the folder of all runs.
        fresh: as in `road.run`, as are the two that follow.
        until: the last stage wanted.
        observer: hears of every stage.

    Raises:
        InputError: when what was told can't be used, or the service doesn't take what it is to be sent; then no
            scenario is left.
        LoadplanError: as `road.run`.
    """
    watcher = observer or Nobody()
    # Nothing is driven yet, so that a core may compile what the fit needs.
    with nullcontext() if until == "scenario" else compiled_meanwhile(SERVICES):
        demand = _read(logs, question, watcher) if logs else None
        asked = question if demand is None else _asked(question, demand, logs, results)
        _require_answer(asked)
        scenario = _drafted(asked, demand, peak_rps, results)
    end = run(scenario, results=results, fresh=fresh, until=until, observer=observer)
    assumed = (*_other_paths(question, demand), *assumed_of_service(asked, has_log=demand is not None))
    return QuickServiceEnd(scenario=scenario, end=end, demand=demand, assumed=assumed)


def _other_paths(question: ServiceQuestion, demand: Demand | None) -> tuple[str, ...]:
    """That requests of other paths are taken to cost as much as those driven; nothing where there are none."""
    seen = None if demand is None or _path_of(question.url) is not None else _most_frequent(demand)
    if seen is None or seen.share >= _AS_GOOD_AS_ALL:
        return ()
    name = f"{seen.method} {seen.path}".strip()
    return (f"{name} is {seen.share:.0%} of the log's requests, and all others are taken to cost as much",)


def _read(logs: Sequence[Path], question: ServiceQuestion, observer: Observer) -> Demand:
    # Of a log that tells no paths, all requests are taken to be for the one that is driven.
    path = _path_of(question.url) if tells_paths(logs) else None
    observer.begin("demand", f"what do callers ask of {path or 'the service'}, by {', '.join(map(str, logs))}?")
    demand = _demand_of(logs, path)
    observer.end(
        "demand",
        f"{demand.n_requests:,.0f} requests, {rate_text(demand.peak_hour.rate_rps)} a second in the busiest hour",
    )
    return demand


def _demand_of(logs: Sequence[Path], path: str | None) -> Demand:
    """Raises InputError in the words of an address where the log is of another service."""
    try:
        return read_demand(logs, path=path)
    except InputError as error:
        if error.where != "--path":
            raise
        raise InputError(
            what=error.what,
            where=", ".join(map(str, logs)),
            fix="name a path that the log has; where none of these is the service's, it is another service's log",
        ) from error


def _path_of(url: str) -> str | None:
    """Of an address; None where it names nothing but the host."""
    path = urlsplit(url).path
    return None if path in {"", "/"} else path


def _asked(question: ServiceQuestion, demand: Demand, logs: Sequence[Path], results: Path) -> ServiceQuestion:
    """With the bodies of the log, where none was given and it has any, and its most frequent path."""
    if question.request is None and question.method != "GET":
        bodies = read_bodies(logs, path=_path_of(question.url))
        if bodies:
            text = "\n".join(bodies) + "\n"
            name = f"{service_name(question.url)}-{digest(bodies)[:_N_DIGITS]}{BODIES_OF_LOG}"
            write_text(results / name, text)
            question = replace(question, request=str((results / name).absolute()))
    return _with_path(question, demand)


def _with_path(question: ServiceQuestion, demand: Demand) -> ServiceQuestion:
    """With the most frequent path of the log, where the address has none.

    Raises:
        InputError: when it is asked with a body, and nobody gave one.
    """
    if _path_of(question.url) is not None:
        return question
    seen = _most_frequent(demand)
    if seen is None:
        return question  # the log tells of no paths; the root may be meant
    _require_body(question, seen)
    return replace(question, url=f"{question.url.rstrip('/')}{seen.path}")


def _most_frequent(demand: Demand) -> PathSeen | None:
    return next((one for one in demand.contents.paths if one.is_counted), None)


def _require_body(question: ServiceQuestion, seen: PathSeen) -> None:
    if seen.method in {"", "GET"} or question.request is not None or question.method is not None:
        return
    raise InputError(
        what=f"the log's most frequent request is {seen.method} {seen.path} ({seen.share:.0%} of them), and nothing "
        "says what is sent with it",
        where="--body",
        fix=f"add --body request.json, with one such body (or a .jsonl with one a line), or drive another path: "
        f"{question.url.rstrip('/')}/…",
    )


def _require_answer(question: ServiceQuestion) -> None:
    """One request, before a scenario is left behind that can't be walked."""
    service = Service(
        url=question.url,
        protocol="json",
        folder=".",
        request=question.request,
        method=question.method,
        answers={} if question.answer is None else {"": question.answer},
        model="",
        headers=question.headers,
        allow_remote=question.allow_remote,
    )
    requests = service_requests(service, None, rows_per_request=always(1))
    first = ask_once(origin_of(service.url), requests, allow_remote=service.allow_remote)
    require_answer(first, service, requests)


def _drafted(question: ServiceQuestion, demand: Demand | None, peak_rps: float | None, results: Path) -> Path:
    """The file that holds the draft, with the recording of the log beside it."""
    name = service_name(question.url)
    if demand is None:
        if peak_rps is None:
            raise InputError(
                what="how much traffic there is, is yours to say",
                where="--log, --peak-rps",
                fix="give an access log with --log, or the requests per second in the busiest hour with --peak-rps",
            )
        traffic = poisson_traffic(peak_rps)
    else:
        stem = f"{name}-{digest(demand)[:_N_DIGITS]}"  # another log's files are other files
        trace, week = Path(f"{stem}.trace.csv"), Path(f"{stem}.week.csv")
        traffic = traffic_block(
            demand,
            trace_file=trace if write_trace(demand, results / trace) else None,
            week_file=week if write_week(demand, results / week) else None,
        )
    return keep_draft(draft_service_scenario(question, traffic), results=results, name=name)
