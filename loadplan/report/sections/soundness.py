"""How sound is what the answer rests on, in figures; and the one command that would make it better."""

import numpy as np

from loadplan.report.findings import Findings, Provenance
from loadplan.report.next_step import next_step
from loadplan.report.page import Command, Facts, Section, Text
from loadplan.report.view import counted, ms, percent, types_text

_BASES = {
    "measured": "measured",
    "simulated": "simulated by laws that were fitted to measurements",
    "extrapolated": "extrapolated: nothing was measured on it",
    "given": "given by a file",
    "assumed": "assumed",
}


def soundness_section(known: Findings) -> Section | None:
    """Hardware, prices, noise and sample sizes, as far as they are known; nothing where nothing was measured."""
    rows = [*_of_the_plan(known), *_of_the_measurements(known)]
    return (
        Section(name="sound", title="How sound is what it rests on?", blocks=(Facts(rows=tuple(rows)),))
        if rows
        else None
    )


def better_section(known: Findings, provenance: Provenance) -> Section | None:
    """What to type next; nothing where nothing is left to do."""
    step = next_step(known, run=provenance.run)
    if step is None:
        return None
    said = f"{step.why[:1].upper()}{step.why[1:]}. From the folder that holds the run:"
    return Section(
        name="better", title="What would make it better?", blocks=(Text(text=said), Command(text=step.command))
    )


def _of_the_plan(known: Findings) -> list[tuple[str, str]]:
    plan = known.plan
    if plan is None:
        return []
    rows = []
    if plan.recommended is not None:
        fleet = plan.recommended
        rows.append(("capacity", f"{types_text(fleet)}: {_BASES[fleet.basis]}"))
    if plan.oldest_price_date is not None:
        prices = f"the oldest that was compared is of {plan.oldest_price_date}, catalogue {plan.catalog_version}"
        if plan.recommended is not None:
            seen = ", ".join(str(item.offer.price_date) for item in plan.recommended.items)
            prices = f"that of the fleet was seen on {seen}; {prices}"
        rows.append(("prices", prices))
    if plan.assumptions:
        rows.append(
            ("assumptions", f"{counted(len(plan.assumptions), 'number')} that nobody measured here, listed below")
        )
    return rows


def _of_the_measurements(known: Findings) -> list[tuple[str, str]]:
    rows = []
    run = known.verification
    if run is not None and run.requests.n_requests:
        said = (
            f"{counted(run.requests.n_requests, 'request')} in {run.spec.duration_s:.3g} s; the generator's core was "
            f"undisturbed in {percent(run.verdict.clean_ratio)} of the windows, and neighbours took "
            f"{ms(float(np.sum(run.lost.length_s)))} of it (measured)"
        )
        rows.append(("live run", said))
    if known.bench is not None and known.bench.cells:
        n_noisy = sum(cell.is_noisy for cell in known.bench.cells)
        of_all = counted(len(known.bench.cells), "cell")
        rows.append(("benchmark", f"{n_noisy:,} of {of_all} are noisy (measured)"))
    n_invalid = sum(not one.verdict.valid for one in known.loads or ())
    if known.loads:
        rows.append(("calibration", f"{counted(len(known.loads), 'live run')}, {n_invalid:,} of them invalid"))
    return rows
