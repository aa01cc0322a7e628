"""What was found of a running service, in the lines of a summary and as JSON."""

from dataclasses import asdict

from loadplan.cli.figures import Document, caveats, figure
from loadplan.cli.lines import line
from loadplan.fit.black_box.structures import described
from loadplan.report.findings import Findings
from loadplan.report.view import counted, rate
from loadplan.service_check import FittedService, machines_needed, time_spent


def service_lines(found: Findings) -> list[str]:
    """What a request does there, what one copy carries, and machines where none can be priced; none before the fit."""
    known = found.service
    if known is None:
        return []
    capacity = known.capacity
    lines = [line("service", f"{time_spent(known.fit)}; {described(known.fit.laws[0].structure)}")]
    if capacity.usable_capacity_rps <= 0.0:
        return lines
    how = "by its law" if known.is_by_law else "as driven: no structure suits it"
    low, high = capacity.usable_capacity_rps_low, capacity.usable_capacity_rps_high
    lines.append(line("", f"one copy carries {rate(capacity.usable_capacity_rps)} ({low:,.0f} to {high:,.0f}) {how}"))
    if found.plan is None:
        n = machines_needed(capacity, found.scenario)
        peak = rate(found.scenario.traffic.peak_rps)
        needed = "nobody knows how many machines" if n is None else counted(n, "machine")
        lines.append(line("needs", f"{needed} like the one that it runs on, for {peak} at the peak"))
        lines.append(
            line("", "for prices and other types say which one that is: --instance-type, such as aws/c7i.large")
        )
    return lines


def service_document(found: Findings, known: FittedService) -> Document:
    """The laws and the capacity, and how many machines like its own the peak takes; `null` where it carries nothing."""
    is_carrying = known.capacity.usable_capacity_rps > 0.0
    law = known.fit.laws[0]
    capacity = known.capacity
    return {
        "structure": described(law.structure),
        "is_by_law": known.is_by_law,
        "n_laws": len(known.fit.laws),
        "capacity": {
            "evidence": capacity.basis,
            **figure("n_cores", capacity.n_cores, "nobody counted its CPU time"),
            "usable_capacity_rps": capacity.usable_capacity_rps,
            "usable_capacity_rps_low": capacity.usable_capacity_rps_low,
            "usable_capacity_rps_high": capacity.usable_capacity_rps_high,
            "saturated_rps": capacity.saturated_rps,
        },
        **figure(
            "n_machines_like_it",
            machines_needed(known.capacity, found.scenario) if is_carrying else None,
            "the service meets the objectives at no rate",
        ),
        "curve": [asdict(point) for point in capacity.curve],
        # A capacity by the law has the doubts of the fit among its own.
        "caveats": caveats(dict.fromkeys((*known.fit.caveats, *capacity.caveats))),
    }
