"""`loadplan demand`: the traffic to plan for, from a service's logs or from the figures of a business."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from loadplan.cli import console
from loadplan.cli.options import DebugOption, JsonOption
from loadplan.errors import InputError

if TYPE_CHECKING:
    from decimal import Decimal

    from loadplan.demand.records import Demand

LogKind = Literal["csv", "jsonl", "parquet", "nginx", "apache"]
StampKind = Literal["start", "end"]

LogsArgument = Annotated[
    list[Path] | None, typer.Argument(metavar="[LOG]...", help="Logs of one service, packed with gzip or not.")
]
FormatOption = Annotated[
    LogKind | None,
    typer.Option("--format", metavar="KIND", help="csv, jsonl, parquet, nginx or apache; else detected."),
]
PathOption = Annotated[
    str | None, typer.Option("--path", metavar="/PATH", help="Only requests for paths that begin so are the model's.")
]
ZoneOption = Annotated[
    str | None, typer.Option("--time-zone", metavar="ZONE", help="Of times that name none, such as Europe/Berlin.")
]
StampsOption = Annotated[
    StampKind | None, typer.Option("--stamps", metavar="WHICH", help="Times are of the start or end of requests.")
]
SampledOption = Annotated[
    str | None, typer.Option("--sampled", metavar="SHARE", help="The share of all requests that was kept, such as 1%.")
]
TimeOption = Annotated[str | None, typer.Option("--time-column", metavar="NAME", help="Where its name doesn't tell.")]
ClassOption = Annotated[
    str | None, typer.Option("--class-column", metavar="NAME", help="Makes segments of the requests, such as path.")
]
RowsOption = Annotated[str | None, typer.Option("--rows-column", metavar="NAME", help="Rows of each request.")]
UsersOption = Annotated[
    float | None, typer.Option("--daily-users", metavar="N", help="Without a log: users of a usual day.")
]
PerUserOption = Annotated[
    float | None, typer.Option("--requests-per-user", metavar="M", help="Of each, to the model, on such a day.")
]
ShareOption = Annotated[
    str | None, typer.Option("--peak-share", metavar="SHARE", help="Of a day's requests in its busiest hour, as 15%.")
]
BusiestDayOption = Annotated[
    float | None, typer.Option("--busiest-day", metavar="X", help="Requests of the busiest day over a usual one's.")
]
RunOption = Annotated[
    Path | None, typer.Option("--run", metavar="RUN", help="Say what each doubt costs, by this run's plan.")
]
OutOption = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where the traffic section goes.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]


def register(app: typer.Typer) -> None:
    """Hang this command into the tree."""
    app.command()(demand)


def demand(
    logs: LogsArgument = None,
    log_format: FormatOption = None,
    path: PathOption = None,
    time_zone: ZoneOption = None,
    stamps: StampsOption = None,
    sampled: SampledOption = None,
    time_column: TimeOption = None,
    class_column: ClassOption = None,
    rows_column: RowsOption = None,
    daily_users: UsersOption = None,
    requests_per_user: PerUserOption = None,
    peak_share: ShareOption = None,
    busiest_day: BusiestDayOption = None,
    run: RunOption = None,
    output: OutOption = Path("traffic.yaml"),
    force: ForceOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """The traffic to plan for, from access logs or from business figures: peak, bursts, week, and what may be wrong."""
    from loadplan.cli.demand_documents import demand_document, demand_lines
    from loadplan.demand.columns import LogColumns
    from loadplan.demand.logs import read_demand
    from loadplan.demand.traffic_block import write_traffic

    business = (daily_users, requests_per_user, peak_share, busiest_day)
    if bool(logs) == any(figure is not None for figure in business):
        raise _neither_or_both(has_logs=bool(logs))
    if logs:
        found = read_demand(
            logs,
            log_format=log_format,
            time_zone=time_zone,
            sampled_ratio=None if sampled is None else _ratio(sampled, "--sampled"),
            columns=LogColumns(time=time_column, stamps=stamps, class_name=class_column, rows=rows_column),
            path=path,
        )
    else:
        found = _from_users(daily_users, requests_per_user, peak_share, busiest_day)
    prices = [] if run is None else _prices(found, run)
    files = write_traffic(found, output, may_replace=force)
    lines = demand_lines(found, prices=prices, files=files)
    console.result("\n".join(lines), demand_document(found, prices=prices, files=files), as_json=as_json)
    return console.exit_code(None, debug=debug)


def _neither_or_both(*, has_logs: bool) -> InputError:
    return InputError(
        what="a log and figures of a business are two ways to know the traffic"
        if has_logs
        else "neither a log nor figures of a business are given",
        where="loadplan demand",
        fix="name logs, such as `loadplan demand access.log`, or give figures, such as `loadplan demand --daily-users "
        "250000 --requests-per-user 12 --peak-share 15%`",
    )


def _from_users(
    daily_users: float | None, requests_per_user: float | None, peak_share: str | None, busiest_day: float | None
) -> "Demand":
    from loadplan.demand.business import demand_from_users

    if daily_users is None:
        raise InputError(
            what="the number of users isn't given, and nothing can be told without it",
            where="--daily-users",
            fix="give how many ask on a usual day",
        )
    return demand_from_users(
        daily_users=daily_users,
        requests_per_user=requests_per_user,
        peak_share=None if peak_share is None else _ratio(peak_share, "--peak-share"),
        busiest_day_ratio=busiest_day,
    )


def _ratio(text: str, option: str) -> float:
    """The ratio in `15%`, `15 %` or `0.15`. Raises InputError for anything else."""
    is_percent = text.strip().endswith("%")
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        raise InputError(what=f"{text!r:.40} is no share", where=option, fix="write it like 15% or 0.15") from None
    ratio = value / 100.0 if is_percent else value
    if not 0.0 < ratio <= 1.0:
        raise InputError(what=f"{text!r:.40} is no share from 0 to 1", where=option, fix="write it like 15% or 0.15")
    return ratio


def _prices(found: "Demand", run: Path) -> "list[Decimal | None]":
    """What a month costs more at the peak of each doubt; None where no fleet carries it, or none carries the peak."""
    from loadplan.pipeline.resume import plans_at

    if not found.doubts:
        return []
    planned, *others = plans_at(run, [found.peak_hour.rate_rps, *(doubt.peak_rps for doubt in found.doubts)])
    base = planned.recommended
    return [
        None if base is None or other.recommended is None else other.recommended.usd_per_month - base.usd_per_month
        for other in others
    ]
