"""What else could serve it: a service paid by the request, or answers worked out beforehand?"""

from loadplan.plan.records.fleet import Fleet
from loadplan.plan.records.outlook import Outlook, PerRequest
from loadplan.plan.records.precomputed import BatchJob, Precomputed
from loadplan.report.around_text import break_even_text, job_text, precomputed_text, requests_text
from loadplan.report.findings import Findings
from loadplan.report.page import Block, Section, Table, Text, basis, number, reason, text
from loadplan.report.view import fleet_name, usd


def other_ways_section(known: Findings) -> Section | None:
    """Each way with its bill and from which rate on it is cheaper; nothing where there is no other."""
    plan = known.plan
    if plan is None or plan.recommended is None or plan.outlook is None:
        return None
    outlook = plan.outlook
    if not outlook.per_request and outlook.precomputed is None and not outlook.precomputed_reason:
        return None
    return Section(
        name="other-ways", title="What else could serve it?", blocks=tuple(_blocks(plan.recommended, outlook))
    )


def _blocks(fleet: Fleet, outlook: Outlook) -> list[Block]:
    found = outlook.precomputed
    blocks: list[Block] = [
        Table(
            caption="The fleet, always on, and other ways to answer the same requests",
            columns=(
                text("way"),
                number("USD a month"),
                number("interval"),
                basis(),
                reason("cheaper than a fleet"),
            ),
            rows=(
                (f"always on: {fleet_name(fleet)}", usd(fleet.usd_per_month), "–", fleet.basis, "–"),
                *(_per_request(one) for one in outlook.per_request),
                *(() if found is None else (_job(job, found) for job in found.jobs)),
            ),
            marked=(0,),
        )
    ]
    if found is not None:
        rests = (
            f"Worked out beforehand: {precomputed_text(found)}. An answer that depends on more than its entity can't "
            "be, and whoever is new has none until the next run."
        )
        others = [Text(text=f"On {job.purchase.replace('_', ' ')}: {job_text(job)}.") for job in found.jobs[1:]]
        blocks += [Text(text=rests), *others]
    elif outlook.precomputed_reason:
        blocks.append(Text(text=f"Worked out beforehand: not compared, {outlook.precomputed_reason}.", tone="doubt"))
    return blocks


def _per_request(one: PerRequest) -> tuple[str, ...]:
    n = one.break_even_requests_per_month
    since = "not worked out" if n is None else f"below {requests_text(n)} a month, of the fleet as it is"
    return (
        f"paid by the request: {one.service}",
        usd(one.usd_per_month),
        f"{usd(one.usd_per_month_low)} to {usd(one.usd_per_month_high)}",
        "extrapolated",
        since,
    )


def _job(job: BatchJob, found: Precomputed) -> tuple[str, ...]:
    is_cheapest = job is found.jobs[0]
    return (
        f"worked out beforehand: {job.n_machines:,} × {job.offer}",
        usd(job.usd_per_month),
        f"{usd(job.usd_per_month_low)} to {usd(job.usd_per_month_high)}",
        job.basis,
        break_even_text(found).removeprefix("cheaper than a fleet ") if is_cheapest else "–",
    )
