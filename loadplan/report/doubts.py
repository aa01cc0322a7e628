"""All caveats of a run, each once, those that reach furthest first.

The decision a reader would question: the order is that of the stages from the answer backwards, since a doubt about
the hardware or a price moves the bill more than one noisy cell of the benchmark.
"""

from collections.abc import Iterable

from loadplan.caveat import Caveat
from loadplan.report.findings import Findings
from loadplan.report.page import Audience, Block, Doubt, Fold, Section, Text
from loadplan.report.view import counted

# First words of the codes; what isn't listed comes last.
_ORDER = ("plan", "catalog", "verify", "fit", "load", "bench", "export")
_OF_BENCHMARKS = "bench."


def doubts_of(known: Findings) -> tuple[Doubt, ...]:
    """Every doubt with its place on the page."""
    return tuple(
        Doubt(name=f"doubt-{i}", code=caveat.code, what=_sentence(caveat.what), fix=caveat.fix)
        for i, caveat in enumerate(ranked_caveats(known), start=1)
    )


def ranked_caveats(known: Findings) -> tuple[Caveat, ...]:
    """All of a run, each once, by how far it reaches."""
    return by_reach(_caveats(known))


def by_reach(caveats: Iterable[Caveat]) -> tuple[Caveat, ...]:
    """Each once, those that move the answer most first."""
    return tuple(sorted(dict.fromkeys(caveats), key=_rank))


def doubts_section(doubts: tuple[Doubt, ...], *, audience: Audience) -> Section:
    """What could be wrong, and what would remove each doubt; benchmarks are folded away from budgets."""
    blocks: tuple[Block, ...] = doubts or (Text(text="No stage noted a doubt."),)
    folded = tuple(one for one in doubts if one.code.startswith(_OF_BENCHMARKS))
    if audience == "budget" and folded:
        title = f"{counted(len(folded), 'doubt')} about single benchmarks"
        blocks = (*(one for one in doubts if one not in folded), Fold(title=title, blocks=folded))
    return Section(name="doubts", title="", blocks=blocks)


def _caveats(known: Findings) -> list[Caveat]:
    caveats = [*known.plan.caveats] if known.plan else []
    caveats += known.verdict.caveats if known.verdict else ()
    caveats += known.fit.caveats if known.fit else ()
    caveats += (*known.service.capacity.caveats, *known.service.fit.caveats) if known.service else ()
    for run in known.loads or ():
        caveats += run.caveats
    caveats += known.bench.caveats if known.bench else ()
    return [*caveats, *(known.export.caveats if known.export else ())]


def _sentence(text: str) -> str:
    """With a capital, unless it begins with a name."""
    return text[:1].upper() + text[1:] if text.split(" ", maxsplit=1)[0].isalpha() else text


def _rank(caveat: Caveat) -> int:
    stage = caveat.code.partition(".")[0]
    return _ORDER.index(stage) if stage in _ORDER else len(_ORDER)
