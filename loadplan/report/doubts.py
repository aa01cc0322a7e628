"""All caveats of a run, each once, those that reach furthest first.

The decision a reader would question: the order is that of the stages from the answer backwards, since a doubt about
the hardware or a price moves the bill more than one noisy cell of the benchmark.
"""

from loadplan.caveat import Caveat
from loadplan.report.findings import Findings
from loadplan.report.page import Block, Doubt, Section, Text

# First words of the codes; what isn't listed comes last.
_ORDER = ("plan", "catalog", "verify", "fit", "load", "bench", "export")


def doubts_of(known: Findings) -> tuple[Doubt, ...]:
    """Every doubt with its place on the page."""
    ordered = sorted(dict.fromkeys(_caveats(known)), key=_rank)
    return tuple(
        Doubt(name=f"doubt-{i}", code=caveat.code, what=_sentence(caveat.what), fix=caveat.fix)
        for i, caveat in enumerate(ordered, start=1)
    )


def doubts_section(doubts: tuple[Doubt, ...]) -> Section:
    """What could be wrong, and what would remove each doubt."""
    blocks: tuple[Block, ...] = doubts or (Text(text="No stage noted a doubt."),)
    return Section(name="doubts", title="What could be wrong?", blocks=blocks)


def _caveats(known: Findings) -> list[Caveat]:
    caveats = [*known.plan.caveats] if known.plan else []
    caveats += known.verdict.caveats if known.verdict else ()
    caveats += known.fit.caveats if known.fit else ()
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
