"""Where does the slow requests' time go, and which part of it is worth halving?"""

from loadplan.fit.records import TimePart
from loadplan.plan.records.time_split import Lever, TimeSplit
from loadplan.report.around_text import saving_text
from loadplan.report.findings import Findings
from loadplan.report.outlook_text import choice_text
from loadplan.report.page import Block, Section, Table, Text, number, text
from loadplan.report.view import digits, percent, quantile_name, to_ms, usd

_ROWS: dict[TimePart, str] = {
    "outside": "outside the replica: network, TLS, ingress",
    "fetch": "fetch: waits without CPU, such as for features or a data base",
    "model": "model: the inference of the request's batch",
    "web": "web work: reading, batching and answering it",
    "work": "work on the CPU: model and web work of the service",
}


def time_section(known: Findings) -> Section | None:
    """The predicted p99 in parts; nothing where there are none."""
    outlook = None if known.plan is None else known.plan.outlook
    if outlook is None or outlook.split is None:
        return None
    blocks: tuple[Block, ...] = (_table(outlook.split, outlook.levers), Text(text=_how(outlook.split)))
    return Section(name="time-parts", title="Where does the slow requests' time go?", blocks=blocks)


def _table(split: TimeSplit, levers: tuple[Lever, ...]) -> Table:
    by_part = {lever.part: lever for lever in levers}
    rows = (
        *((_ROWS[one.part], one.time_s, by_part.get(one.part)) for one in split.parts),
        ("waiting: for other requests, a batch or a slot, the server to wake", split.waiting_s, None),
    )
    return Table(
        caption=f"The predicted p99 at the peak with the spares gone ({split.basis}), and the plan again with a part "
        "of it halved",
        columns=(
            text("part"),
            number("ms"),
            number("share"),
            text("halved, it saves"),
            text("fleet then"),
            number("USD a month then"),
        ),
        rows=tuple(
            (part, digits(to_ms(time_s)), percent(time_s / split.p99_s), *_halved(lever))
            for part, time_s, lever in rows
        ),
    )


def _halved(lever: Lever | None) -> tuple[str, str, str]:
    if lever is None:
        return "–", "–", "–"
    return saving_text(lever), choice_text(lever.choice), usd(lever.choice.usd_per_month)


def _how(split: TimeSplit) -> str:
    low, high = quantile_name(split.low_quantile), quantile_name(split.high_quantile)
    return (
        f"These are the mean shares of the {split.n_requests:,} requests between the {low} and the {high} of a run of "
        "one server process, simulated with the best law at the share of its capacity that the plan uses; they have no "
        "interval. A part that is halved is taken to let every replica carry more by the factor found on the machine "
        "that was measured."
    )
