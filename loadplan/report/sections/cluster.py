"""Is a cluster needed, is a GPU, and what of a larger proposal?"""

from loadplan.plan.records.cluster import Side
from loadplan.report.around_text import gpu_text, need_text, proposed_text
from loadplan.report.findings import Findings
from loadplan.report.outlook_text import choice_text
from loadplan.report.page import Facts, Section
from loadplan.report.view import usd


def cluster_section(known: Findings) -> Section | None:
    """The answers in short; nothing where nothing is bought, or nobody asked."""
    outlook = None if known.plan is None else known.plan.outlook
    cluster = None if outlook is None else outlook.cluster
    if cluster is None:
        return None
    rows = [
        ("more than one machine?", need_text(cluster)),
        ("without a GPU", _side(cluster.without_gpu)),
        ("with a GPU", gpu_text(cluster)),
    ]
    if cluster.proposed is not None:
        rows.append(("proposed", proposed_text(cluster.proposed)))
    return Section(name="cluster", title="Is a cluster needed at all, or a GPU?", blocks=(Facts(rows=tuple(rows)),))


def _side(side: Side) -> str:
    if side.cheapest is None:
        return f"nothing: {side.reason}"
    said = f"{choice_text(side.cheapest)}, {usd(side.cheapest.usd_per_month)} a month ({side.basis})"
    if side.fewest is None or side.fewest.offers == side.cheapest.offers:
        return f"{said}; the fewest machines as well"
    return f"{said}; with the fewest machines {choice_text(side.fewest)}, {usd(side.fewest.usd_per_month)} a month"
