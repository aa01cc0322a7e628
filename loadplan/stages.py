"""Every stage as a function of plain arguments: what `import loadplan` offers to notebooks and scripts.

Paths may be texts; times are seconds, rates requests per second, money USD. Each function returns the record of its
stage, and raises one of `loadplan.errors` where nothing can be said. The decision a reader would question: at the end
of a walk a missed objective or an invalid measurement is not raised but stands in its `failure`, since whoever asked
wants to see what was found.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from loadplan.bench.records import BenchRun
    from loadplan.comparison import RunComparison
    from loadplan.demand.records import Demand
    from loadplan.fit.records import CapacityFit
    from loadplan.load.records import LoadRun
    from loadplan.pipeline.adhoc import LoadRequest
    from loadplan.pipeline.observer import Observer
    from loadplan.pipeline.quick import QuickEnd
    from loadplan.pipeline.quick_service import QuickServiceEnd
    from loadplan.pipeline.road import RoadEnd
    from loadplan.plan.records.fleet import Plan
    from loadplan.report.findings import Findings
    from loadplan.scenario.service_draft import ServiceQuestion
    from loadplan.scenario.spec import HttpMethod, Scenario, StageName
    from loadplan.verify import Verdict

Place = str | PathLike[str]
Usd = Decimal | str | float  # a float counts as it is written

NO_PRICES: Mapping[str, Usd] = {}
NOTHING: Mapping[str, int] = {}
NO_HEADERS: Mapping[str, str] = {}


def read_scenario(file: Place) -> "Scenario":
    """The question in a scenario file. Raises InputError with every mistake in it."""
    from loadplan.scenario.reader import read_scenario as read

    return read(Path(file))


def read_demand(
    *logs: Place, path: str | None = None, time_zone: str | None = None, sampled_ratio: float | None = None
) -> "Demand":
    """The traffic that access logs of one service show: `loadplan demand LOG…`.

    Args:
        logs: nginx, Apache, CSV, JSON lines or parquet, packed or not, in any order.
        path: beginning of the paths that count; None: all.
        time_zone: of times that name none, such as Europe/Berlin; None: UTC, with a doubt.
        sampled_ratio: share of all requests that the logs hold; None: what they say themselves, or all.

    Raises:
        InputError: when a log can't be used, with what is wrong and what would do.
    """
    from loadplan.demand.logs import read_demand as read

    return read([Path(log) for log in logs], path=path, time_zone=time_zone, sampled_ratio=sampled_ratio)


def run(
    scenario: Place,
    *,
    results: Place = "results",
    fresh: bool = False,
    until: "StageName" = "report",
    observer: "Observer | None" = None,
) -> "RoadEnd":
    """The whole road, or as far as a stage: `loadplan run`. The same call again goes on where it was.

    Raises:
        InputError, EnvironmentFault: nothing can be said.
    """
    from loadplan.pipeline.road import run as walk

    return walk(Path(scenario), results=Path(results), fresh=fresh, until=until, observer=observer)


def quick(
    model: Place,
    *,
    peak_rps: float,
    p99_s: float,
    providers: Sequence[str] = (),
    regions: Sequence[str] = (),
    today: Mapping[str, int] = NOTHING,
    results: Place = "results",
    observer: "Observer | None" = None,
) -> "QuickEnd":
    """A first answer for an ONNX file alone, in about a minute: `loadplan quick`.

    Args:
        model: the file.
        peak_rps: requests per second in the busiest hour.
        p99_s: all but 1 in 100 are answered within it.
        providers: such as `aws`; none: those that a scenario has by default.
        regions: such as `us-east-1`; none: likewise.
        today: what runs now, replicas by the name of the offer.
        results: where the run and the drafted scenario are kept.
        observer: hears of the progress.

    Raises:
        InputError: when the file is no model, or rows can't be made up for it.
        EnvironmentFault: as `run`.
    """
    from loadplan.pipeline.quick import quick as answer
    from loadplan.scenario.draft import QuickQuestion

    question = QuickQuestion(
        model=Path(model),
        peak_rps=peak_rps,
        p99_s=p99_s,
        providers=tuple(providers),
        regions=tuple(regions),
        today=tuple(today.items()),
    )
    return answer(question, results=Path(results), observer=observer)


def quick_service(
    question: "ServiceQuestion",
    *,
    logs: Sequence[Place] = (),
    peak_rps: float | None = None,
    results: Place = "results",
    observer: "Observer | None" = None,
) -> "QuickServiceEnd":
    """A first answer for a service that runs already: `loadplan quick URL`.

    Args:
        question: its address, the limit, and what it is sent.
        logs: of its requests; none: `peak_rps` is all that is known of its traffic.
        peak_rps: requests per second in the busiest hour, where there is no log.
        results: where the run and the drafted scenario are kept.
        observer: hears of the progress.

    Raises:
        InputError: when what was told can't be used, or the service doesn't take what it is sent.
        EnvironmentFault: as `run`.
    """
    from loadplan.pipeline.quick_service import quick_service as answer

    return answer(
        question, logs=[Path(log) for log in logs], peak_rps=peak_rps, results=Path(results), observer=observer
    )


def bench_model(
    model: Place,
    *,
    batch_sizes: Sequence[int] = (1, 2, 4, 8, 16, 32),
    n_threads: Sequence[int] = (1,),
    providers: Sequence[str] = ("CPU",),
    budget_s: float = 15.0,
    observer: "Observer | None" = None,
) -> "BenchRun":
    """How long one batch of an ONNX file takes here, on made-up rows: `loadplan bench MODEL.onnx`.

    Raises:
        InputError: when the file is no model, or rows can't be made up for it.
        EnvironmentFault: when a provider can't run a model here.
    """
    from loadplan.pipeline.adhoc import ModelGrid
    from loadplan.pipeline.adhoc import bench_model as bench
    from loadplan.pipeline.observer import Nobody

    grid = ModelGrid(
        batch_sizes=tuple(batch_sizes),
        n_threads=tuple(n_threads),
        providers=tuple(providers),
        budget_s=budget_s,
        exhaustive=False,
    )
    return bench(Path(model), grid, observer=observer or Nobody())


def load_url(
    url: str,
    asked: "LoadRequest",
    *,
    body: Place | None = None,
    method: "HttpMethod | None" = None,
    answer: str | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
    allow_remote: Sequence[str] = (),
    observer: "Observer | None" = None,
) -> "LoadRun":
    """Drive an address and say honestly how it answered: `loadplan load URL`.

    Args:
        url: where to; only this machine, unless its host is in `allow_remote`.
        asked: the rate, for how long, and more.
        body: a file with the body to send, or a `.jsonl` with one a line.
        method: None: POST with a body, GET without.
        answer: JSON pointer to what a right answer holds; None: the status alone counts.
        headers: values may name variables of the environment, such as `$TOKEN`.
        allow_remote: hosts beside this machine that may be driven.
        observer: hears of the progress.

    Raises:
        InputError: when no rate is given, a request can't be made, or the host may not be driven.
        EnvironmentFault: when nothing answers at all.
    """
    from loadplan.pipeline.adhoc import load_url as drive
    from loadplan.pipeline.observer import Nobody
    from loadplan.scenario.spec import Service

    service = Service(
        url=url,
        protocol="json",
        folder=str(Path.cwd()),
        request=None if body is None else str(body),
        method=method,
        answers={} if answer is None else {"": answer},
        model="",
        headers=tuple(headers.items()),
        allow_remote=tuple(allow_remote),
    )
    return drive(service, asked, observer=observer or Nobody())


def load_scenario(
    scenario: Place,
    asked: "LoadRequest",
    *,
    allow_remote: Sequence[str] = (),
    results: Place = "results",
    observer: "Observer | None" = None,
) -> "LoadRun":
    """Drive a scenario's own service, or its model as served here: `loadplan load SCENARIO`.

    Where `asked` names no rate it is the scenario's peak.

    Raises:
        LoadplanError: whatever keeps the model from being served, or the service from being driven.
    """
    from loadplan.pipeline.adhoc import load_scenario as drive
    from loadplan.pipeline.observer import Nobody

    return drive(
        Path(scenario),
        asked,
        results=Path(results),
        observer=observer or Nobody(),
        allow_remote=tuple(allow_remote),
    )


def read_run(folder: Place) -> "Findings":
    """Everything that a run found, as far as it came.

    Raises:
        InputError: when it is no run folder, or one of another version.
        EnvironmentFault: when a file of it was damaged.
    """
    from loadplan.pipeline.artifacts import read_findings
    from loadplan.store.run_folder import read_run_folder

    return read_findings(read_run_folder(Path(folder)))


def fit_run(folder: Place, *, observer: "Observer | None" = None) -> "CapacityFit":
    """Fit the laws to a run's own measurements: `loadplan fit RUN`. Raises InputError when it holds none."""
    from loadplan.pipeline.resume import fit_again

    return fit_again(Path(folder), observer=observer)


def plan_run(
    folder: Place,
    *,
    prices: Mapping[str, Usd] = NO_PRICES,
    today: Mapping[str, int] = NOTHING,
    proposal: Mapping[str, int] = NOTHING,
    as_of: date | None = None,
    observer: "Observer | None" = None,
) -> "Plan":
    """Plan on a run's fit with the prices of today, and your own over them: `loadplan plan RUN`.

    Args:
        folder: the run.
        prices: USD an hour by `provider/region/type`.
        today: what runs now, replicas by the name of the offer, in place of what the scenario says of it.
        proposal: what somebody would buy instead, likewise.
        as_of: the day that prices are judged on; None: today.
        observer: hears of the progress.

    Raises:
        InputError: when the folder holds no fit, or a price names no known machine.
    """
    from loadplan.pipeline.question import Fleets
    from loadplan.pipeline.resume import plan_again

    fleets = Fleets(today=tuple(today.items()), proposal=tuple(proposal.items()))
    return plan_again(Path(folder), as_of=as_of, prices=_exact(prices), fleets=fleets, observer=observer)


def plan_given(
    scenario: Place,
    capacities: Place,
    *,
    prices: Mapping[str, Usd] = NO_PRICES,
    today: Mapping[str, int] = NOTHING,
    proposal: Mapping[str, int] = NOTHING,
    as_of: date | None = None,
) -> "Plan":
    """Plan on capacities that were measured elsewhere: `loadplan plan SCENARIO --capacities FILE.csv`.

    Raises:
        InputError: when the scenario, the capacities or a price can't be used.
    """
    from loadplan.pipeline.question import Fleets
    from loadplan.pipeline.road import plan_given as plan

    fleets = Fleets(today=tuple(today.items()), proposal=tuple(proposal.items()))
    return plan(Path(scenario), Path(capacities), as_of=as_of, prices=_exact(prices), fleets=fleets)


def verify_run(
    folder: Place,
    *,
    url: str | None = None,
    allow_remote: Sequence[str] = (),
    instance_type: str | None = None,
    observer: "Observer | None" = None,
) -> "Verdict":
    """Drive a run's plan live once more, here or on a server of your own: `loadplan verify RUN`.

    Raises:
        InputError: when the folder holds no plan, or the machine is none that the plan speaks of.
        InvalidMeasurement: when this is another machine than the one that was fitted.
    """
    from loadplan.pipeline.resume import verify_again
    from loadplan.pipeline.verification import VerificationRequest

    request = VerificationRequest(url=url, allow_remote=tuple(allow_remote), instance_type=instance_type)
    return verify_again(Path(folder), request=request, observer=observer)


def report_run(folder: Place, *, observer: "Observer | None" = None) -> Path:
    """Write the page and the budget of a run, as far as it came; where the page is: `loadplan report RUN`."""
    from loadplan.pipeline.resume import report_again

    return report_again(Path(folder), observer=observer)


def compare_runs(base: Place, head: Place) -> "RunComparison":
    """What changed from one run to another, and why: `loadplan compare RUN_A RUN_B`.

    Raises:
        InputError: when one of the two is no run folder.
    """
    from loadplan.comparison import compare_runs as compare

    return compare(read_run(base), read_run(head), names=(str(base), str(head)))


def to_frame(measured: "BenchRun | LoadRun") -> "pd.DataFrame":
    """Every timed call of a benchmark, or every request of a load run, as a pandas table with a row for each."""
    from loadplan.bench.records import BenchRun
    from loadplan.bench.table import to_frame as calls
    from loadplan.load.table import to_frame as requests

    return calls(measured) if isinstance(measured, BenchRun) else requests(measured)


def _exact(prices: Mapping[str, Usd]) -> Mapping[str, Decimal]:
    return {name: Decimal(str(price)) for name, price in prices.items()}
