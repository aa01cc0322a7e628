"""Which questions a page answers, in which order: one row for the engineer, another for whoever owns the budget.

The decision a reader would question: doubts stand near the end, after all that they are about. The weakest of them are
in the answer already, as links that lead here.
"""

from collections.abc import Iterable

from loadplan.report.doubts import doubts_section
from loadplan.report.findings import Findings, Provenance
from loadplan.report.page import Audience, Block, Chapter, Doubt, Section
from loadplan.report.sections.alternatives import alternatives_section
from loadplan.report.sections.checking import (
    assumptions_section,
    checking_section,
    glossary_section,
    not_offered_section,
    question_section,
    words_section,
)
from loadplan.report.sections.cluster import cluster_section
from loadplan.report.sections.cost_model import cost_model_section
from loadplan.report.sections.holding import holding_section
from loadplan.report.sections.live_run import live_run_section
from loadplan.report.sections.measured import measured_section
from loadplan.report.sections.money import money_section
from loadplan.report.sections.other_ways import other_ways_section
from loadplan.report.sections.outlook import outlook_section
from loadplan.report.sections.paying import paying_section
from loadplan.report.sections.promise import promise_section
from loadplan.report.sections.purchases import purchases_section
from loadplan.report.sections.same_model import same_model_section
from loadplan.report.sections.scaling import scaling_section
from loadplan.report.sections.soundness import better_section, soundness_section
from loadplan.report.sections.time_parts import time_section


def chapters_of(
    known: Findings, provenance: Provenance, doubts: tuple[Doubt, ...], *, audience: Audience
) -> tuple[Chapter, ...]:
    """The chapters for which anything is known."""
    every = _for_engineers if audience == "engineer" else _for_budgets
    return tuple(chapter for chapter in every(known, provenance, doubts) if chapter.sections)


def blocks_of(chapters: Iterable[Chapter]) -> list[Block]:
    """Every block of the page, in its order."""
    return [block for chapter in chapters for section in chapter.sections for block in section.blocks]


def _for_engineers(known: Findings, provenance: Provenance, doubts: tuple[Doubt, ...]) -> tuple[Chapter, ...]:
    return (
        _chapter(
            "why",
            "Why this and not the others?",
            alternatives_section(known),
            cluster_section(known),
            not_offered_section(known),
        ),
        _chapter("hold", "Will it hold?", holding_section(known), time_section(known), cost_model_section(known)),
        _money(known, provenance),
        _chapter("seen", "What was measured?", measured_section(known), live_run_section(known)),
        _chapter("model", "Is it still the same model?", same_model_section(known)),
        _wrong(known, provenance, doubts, audience="engineer"),
        _chapter(
            "how", "How to check it", question_section(known), checking_section(known, provenance), words_section()
        ),
    )


def _for_budgets(known: Findings, provenance: Provenance, doubts: tuple[Doubt, ...]) -> tuple[Chapter, ...]:
    """Money first, no benchmark, and every word explained."""
    return (
        _money(known, provenance),
        _chapter("why", "Why this and not the others?", alternatives_section(known), cluster_section(known)),
        _chapter("hold", "Will it hold?", promise_section(known)),
        _wrong(known, provenance, doubts, audience="budget"),
        _chapter("terms", "What was asked, and what do the words mean?", question_section(known), glossary_section()),
    )


def _money(known: Findings, provenance: Provenance) -> Chapter:
    return _chapter(
        "cost",
        "What does it cost over time?",
        money_section(known, provenance),
        purchases_section(known),
        paying_section(known),
        scaling_section(known),
        other_ways_section(known),
        outlook_section(known),
    )


def _wrong(known: Findings, provenance: Provenance, doubts: tuple[Doubt, ...], *, audience: Audience) -> Chapter:
    return _chapter(
        "wrong",
        "What could be wrong?",
        doubts_section(doubts, audience=audience),
        soundness_section(known),
        assumptions_section(known),
        better_section(known, provenance),
    )


def _chapter(name: str, title: str, *sections: Section | None) -> Chapter:
    return Chapter(name=name, title=title, sections=tuple(one for one in sections if one is not None))
