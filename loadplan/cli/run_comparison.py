"""What changed between two whole runs: as text, as a table in Markdown, and as JSON."""

from decimal import Decimal

from loadplan.cli.figures import Document, figure, interval, usd
from loadplan.comparison import Answer, Change, MeasuredChange, RunComparison
from loadplan.report.view import ms
from loadplan.units import usd_text


def comparison_lines(found: RunComparison) -> list[str]:
    """The answers, the difference of the bills with its causes, and the measured figures."""
    lines = [f"{'first':<9} {_answer(found.base)}", f"{'second':<9} {_answer(found.head)}"]
    if found.usd_per_month_more is not None:
        lines.append(f"{'bill':<9} {_signed(found.usd_per_month_more)} a month")
    lines += [f"{'because' if i == 0 else '':<9} {_change(one)}" for i, one in enumerate(found.changes)]
    if not found.changes:
        lines.append(f"{'because':<9} nothing changed in what was asked, paid or counted on")
    lines += [f"{'measured' if i == 0 else '':<9} {_measured(one)}" for i, one in enumerate(found.measured)]
    if found.bench_absent is not None:
        lines.append(f"{'bench':<9} not compared: {found.bench_absent}")
    return lines


def comparison_markdown(found: RunComparison) -> str:
    """The same, for the summary of a job."""
    rows = [
        ("run", found.base.run, found.head.run),
        ("buy", found.base.fleet or "nothing", found.head.fleet or "nothing"),
        ("a month", _usd(found.base.usd_per_month), _usd(found.head.usd_per_month)),
        ("verified", found.base.verdict, found.head.verdict),
    ]
    return "\n".join(
        [
            "### loadplan compare",
            "",
            "| | first | second |",
            "|---|---|---|",
            *(f"| {_cell(name)} | {_cell(before)} | {_cell(after)} |" for name, before, after in rows),
            "",
            *(f"- {_cell(_change(one))}" for one in found.changes),
            *(f"- {_cell(_measured(one))}" for one in found.measured),
        ]
    )


def comparison_document(found: RunComparison) -> Document:
    """What stands beside the cells of the benchmarks."""
    more = found.usd_per_month_more
    return {
        "answer": {
            "base": _answer_document(found.base),
            "head": _answer_document(found.head),
            **figure("usd_per_month_more", None if more is None else usd(more), "one of the runs buys nothing"),
        },
        "changes": [
            {
                "cause": one.cause,
                "what": one.what,
                **figure(
                    "usd_per_month",
                    None if one.usd_per_month is None else usd(one.usd_per_month),
                    "its part in the bill can't be told apart",
                ),
            }
            for one in found.changes
        ],
        "measured": [
            {
                "name": one.name,
                "difference": one.difference,
                "why": one.why,
                **figure("ratio", one.ratio, one.why),
                **interval("ratio", one.interval),
                **figure("p_value", one.p_value, one.why),
            }
            for one in found.measured
        ],
        "bench_absent": found.bench_absent,
    }


def _answer_document(one: Answer) -> Document:
    why = "nothing is bought"
    return {
        "run": one.run,
        **figure("fleet", one.fleet, why),
        **figure("n_replicas", one.n_replicas, why),
        **figure("usd_per_month", None if one.usd_per_month is None else usd(one.usd_per_month), why),
        **figure("replica_rps", one.replica_rps, why),
        **figure("predicted_p99_s", one.predicted_p99_s, "no latency is predicted"),
        "verdict": one.verdict,
    }


def _answer(one: Answer) -> str:
    if one.fleet is None:
        return f"nothing to buy ({one.run})"
    p99 = "" if one.predicted_p99_s is None else f", p99 {ms(one.predicted_p99_s)} predicted"
    return f"{one.fleet}, {_usd(one.usd_per_month)} a month{p99}, {one.verdict} ({one.run})"


def _change(one: Change) -> str:
    part = "" if not one.usd_per_month else f": {_signed(one.usd_per_month)} a month"
    return f"{one.cause}: {one.what}{part}"


def _measured(one: MeasuredChange) -> str:
    if one.ratio is None or one.interval is None:
        return f"{one.name}: {one.difference}, {one.why}"
    p_value = "" if one.p_value is None else f", p {one.p_value:.2g}"
    return (
        f"{one.name}: {one.difference}, ×{one.ratio:.3f} ({one.interval.low:.3f} to {one.interval.high:.3f}{p_value})"
    )


def _usd(amount: Decimal | None) -> str:
    return "nothing" if amount is None else usd_text(amount)


def _signed(amount: Decimal) -> str:
    return f"{'−' if amount < 0 else '+'}{usd_text(abs(amount))}"


def _cell(text: str) -> str:
    """Without what would break a table or become markup."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
