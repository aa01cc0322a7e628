"""What the plan bears beside the peak itself: the loss of its spares, and requests that come in clusters."""

from loadplan.plan.reasons import loss_text
from loadplan.plan.records.fleet import Plan
from loadplan.report.page import Text
from loadplan.report.view import counted, fleet_name, gone_text, ms, percent, span_ms, usd


def loss_blocks(plan: Plan) -> tuple[Text, ...]:
    """The fleet at the peak with its spares gone, and what becomes of the requests of that moment."""
    fleet = plan.recommended
    gone = gone_text(plan)
    if fleet is None:
        return ()
    if not gone:
        return (Text(text="No replica is spare: the loss of one at the peak misses the objectives.", tone="doubt"),)
    p99 = "no latency is predicted"
    if fleet.predicted_p99_s is not None:
        span = ""
        if fleet.predicted_p99_s_low is not None and fleet.predicted_p99_s_high is not None:
            span = f" ({span_ms(fleet.predicted_p99_s_low, fleet.predicted_p99_s_high)})"
        p99 = f"the p99 is {ms(fleet.predicted_p99_s)}{span}"
    said = (
        f"At the peak with {gone} gone, {percent(fleet.utilisation_ratio_degraded)} of what the rest of "
        f"{fleet_name(fleet)} carries is used, and {p99} ({fleet.basis}); with all of them there "
        f"{percent(fleet.utilisation_ratio)} is used."
    )
    lost = "" if plan.loss is None else f" The loss itself: {loss_text(plan.loss)}."
    is_borne = plan.loss is None or plan.loss.is_borne
    return (Text(text=f"{said}{lost}", tone="plain" if is_borne else "doubt"),)


def cluster_blocks(plan: Plan) -> tuple[Text, ...]:
    """What the plan would be if requests came in clusters, where Poisson arrivals are assumed."""
    case = plan.overdispersed
    if case is None or plan.recommended is None:
        return ()
    said = f"The plan takes requests for Poisson. If they came in clusters ({case.arrivals}), a replica would carry "
    said += f"{percent(case.usable_ratio)} of what it does now"
    if case.n_replicas is None or case.usd_per_month is None:
        return (Text(text=f"{said}: the recommended offer would not do (simulated).", tone="doubt"),)
    more = case.usd_per_month - plan.recommended.usd_per_month
    said += f", and {counted(case.n_replicas, 'replica')} would be needed for {usd(case.usd_per_month)} a month, "
    said += f"{usd(more)} more (simulated)" if more else "as many as are planned (simulated)"
    if case.cheapest_usd_per_month is not None and case.cheapest_usd_per_month < case.usd_per_month:
        said += f"; the cheapest then would be {case.cheapest_n_replicas} × {case.cheapest_offer} for "
        said += usd(case.cheapest_usd_per_month)
    return (Text(text=f"{said}.", tone="plain"),)
