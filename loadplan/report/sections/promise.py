"""Will it hold, for whoever pays for it: what was promised, what the live run showed, and what nobody has shown yet."""

from loadplan.report.findings import Findings
from loadplan.report.outlook_text import chance_text
from loadplan.report.page import Block, Facts, Section, Text
from loadplan.report.sections.losing import cluster_blocks, loss_blocks
from loadplan.report.verdict_text import driven_text, proved_text, verdict_words
from loadplan.report.view import objectives_text, rate


def promise_section(known: Findings) -> Section | None:
    """In words; nothing where nothing can be bought."""
    plan = known.plan
    if plan is None or plan.recommended is None:
        return None
    fleet = plan.recommended
    words = verdict_words(known.verdict, fleet)
    rows = [
        ("promised", f"{objectives_text(known.scenario)}, at {rate(plan.peak_rps)} (given)"),
        ("the verdict", f"{words.word}: {words.said}"),
        ("driven live", driven_text(known, known.verdict)),
        ("proved", proved_text(known.verdict, fleet)),
    ]
    if plan.outlook is not None and plan.outlook.chance is not None:
        rows.append(("how likely", chance_text(plan.outlook.chance)))
    blocks: list[Block] = [Facts(rows=tuple(rows)), *loss_blocks(plan), *cluster_blocks(plan)]
    if fleet.basis == "extrapolated":
        blocks.append(
            Text(
                text="Nobody has driven this on the machines that it buys: what they carry is taken over from another "
                "machine, which the fleet is sized for by the low end. Before a large bill, measure one of them.",
                tone="doubt",
            )
        )
    return Section(name="holds", title="", blocks=tuple(blocks))
