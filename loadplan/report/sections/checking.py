"""What was asked, what was left out, what is assumed, and how to check all of it."""

from pathlib import PurePath

from loadplan.plan.records.fleet import NotOffered
from loadplan.report.findings import Findings, Provenance
from loadplan.report.glossary import GLOSSARY
from loadplan.report.page import Block, Column, Command, Facts, Fold, Section, Table, Text, number, reason, text
from loadplan.report.sections.measured import machine_text
from loadplan.report.view import counted, given_ms, gone_text, objectives_text, percent, rate, usd
from loadplan.scenario.arrivals import described
from loadplan.scenario.spec import RowsPerRequest, Service, Traffic


def question_section(known: Findings) -> Section:
    """The scenario as it was understood."""
    traffic, rules = known.scenario.traffic, known.scenario.plan
    budget = "none" if rules.budget_usd_per_month is None else f"{usd(rules.budget_usd_per_month)} a month"
    serving, target = known.scenario.serving, known.scenario.target
    growth = (
        f"growing {percent(traffic.growth_per_month_ratio)} a month" if traffic.growth_per_month_ratio else "no growth"
    )
    windows = ", ".join(given_ms(window_s) for window_s in serving.batch_windows_s)
    batches = _list(serving.max_batch_sizes)
    rows = (
        ("traffic", f"{rate(traffic.peak_rps)} at the peak, {described(traffic.arrivals)} arrivals"),
        ("rows in a request", _by_class(traffic) if traffic.classes else _rows(traffic.rows_per_request)),
        ("week", f"{traffic.profile}, {growth}"),
        ("objectives", objectives_text(known.scenario)),
        ("providers and regions", f"{', '.join(rules.providers)}; {', '.join(rules.regions)}"),
        ("purchase", ", ".join(kind.replace("_", " ") for kind in rules.purchases)),
        ("may be gone at once", gone_text(rules) or "nothing"),
        ("reserve", f"{percent(rules.headroom_ratio)} kept free"),
        ("budget", budget),
        ("planned", _running(target))
        if target is not None and known.scenario.model is None
        else ("may be chosen", f"threads {_list(serving.n_threads)}; batches {batches}; windows {windows}"),
    )
    return Section(name="asked", title="What was asked? (given)", blocks=(Facts(rows=rows),))


def not_offered_section(known: Findings) -> Section | None:
    """Offers that were not considered, those with the same reason together."""
    if known.plan is None or not known.plan.not_offered:
        return None
    groups: dict[str, list[NotOffered]] = {}
    for one in known.plan.not_offered:
        groups.setdefault(one.reason, []).append(one)
    table = Table(
        caption="Offers that were left out, those with the same reason together",
        columns=(number("offers"), reason("why"), text("which")),
        rows=tuple(
            (f"{len(group):,}", why, ", ".join(one.offer_name for one in group))
            for why, group in sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))
        ),
    )
    total = counted(len(known.plan.not_offered), "offer")
    fold = Fold(title=f"{total} left out, and why", blocks=(table,))
    return Section(name="not-offered", title="What was not considered?", blocks=(fold,))


def assumptions_section(known: Findings) -> Section | None:
    """Numbers that nobody measured here."""
    if known.plan is None or not known.plan.assumptions:
        return None
    table = Table(
        caption="Numbers on which the answer rests although nobody measured them here",
        columns=(text("what"), number("value"), text("unit"), text("source")),
        rows=tuple((one.name, f"{one.value:g}", one.unit, one.source) for one in known.plan.assumptions),
    )
    return Section(name="assumptions", title="What is assumed?", blocks=(table,))


def checking_section(known: Findings, provenance: Provenance) -> Section:
    """The command, the seed, the versions, the machine and the files with their hashes."""
    machine = known.machine
    blocks: list[Block] = [
        Text(
            text="The same command goes on where a run stopped and measures nothing twice; --fresh does it all again."
        ),
        Command(text=provenance.command),
        Facts(
            rows=(
                ("run", provenance.run),
                ("begun", provenance.created_at),
                ("seed", str(provenance.seed)),
                ("machine", machine_text(machine)),
                ("processor", f"{machine.architecture}, {' '.join(machine.flags) or 'no flags that matter'}"),
                ("kernel, hypervisor", f"{machine.kernel}, {machine.hypervisor or 'none seen'}"),
                ("versions", ", ".join(f"{name} {version}" for name, version in sorted(provenance.versions.items()))),
            )
        ),
    ]
    if provenance.artifacts:
        table = Table(
            caption="Files of the run folder that hold the numbers of this page",
            columns=(Column(title="file", kind="code"), Column(title="sha256", kind="code")),
            rows=provenance.artifacts,
        )
        blocks.append(Fold(title=f"{counted(len(provenance.artifacts), 'file')} with their hashes", blocks=(table,)))
    return Section(name="check", title="Do it again", blocks=tuple(blocks))


def words_section() -> Section:
    """The words of this page, for those who look for them."""
    return Section(name="words", title="Words", blocks=(Fold(title="What the words mean", blocks=(GLOSSARY,)),))


def glossary_section() -> Section:
    """The same, open: for a reader who plans money and no servers."""
    return Section(name="words", title="Every word of this page", blocks=(GLOSSARY,))


def _running(target: Service) -> str:
    """The service that is planned, without what may hold a key."""
    body = "no body" if target.request is None else PurePath(target.request).name
    return f"the service at {target.url.partition('?')[0]} as it runs, sent {body}"


def _rows(rows: RowsPerRequest) -> str:
    if rows.is_constant:
        return str(rows.most)
    return f"{rows.mean:g} on average, p95 {rows.p95:g}, {rows.most} at most (lognormal)"


def _by_class(traffic: Traffic) -> str:
    """Such as `web (80 %): 2; upload (20 %, sends large): 60 on average, …`."""
    said = []
    for one in traffic.classes:
        own = one.segment or one.body
        sends = "" if own is None else f", sends {own}"
        said.append(f"{one.name} ({percent(one.share)}{sends}): {_rows(one.rows_per_request)}")
    return "; ".join(said)


def _list(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))
