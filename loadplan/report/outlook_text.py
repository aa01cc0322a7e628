"""What lies around a plan in words, for the page and for the terminal."""

from decimal import Decimal

from loadplan.plan.records.choice import Choice
from loadplan.plan.records.outlook import (
    Chance,
    Footprint,
    PerRequest,
    Relaxation,
    SizeRange,
    Switch,
    Today,
    UnitCosts,
)
from loadplan.report.view import counted, digits, percent, usd

_MOST_CERTAIN = 0.999  # the interval says nothing beyond
_LEAST_SHARE = 1e-4


def choice_text(choice: Choice) -> str:
    """Such as `3 × aws/us-east-1/c7g.large/on_demand`."""
    return " + ".join(f"{n} × {name}" for name, n in choice.offers)


def unit_costs_text(costs: UnitCosts) -> str:
    """What a million requests and a tenth more traffic cost."""
    each = f"{_fine_usd(costs.usd_per_million_requests)} per million requests at the mean rate"
    return f"{each}; 10 % more traffic {_more_text(costs)}"


def _more_text(costs: UnitCosts) -> str:
    more, n = costs.usd_per_month_of_more_traffic, costs.n_replicas_of_more_traffic
    if more is None or n is None:
        return "takes more machines than there are"
    said = "costs nothing more" if more == 0 else f"costs {usd(abs(more))} a month {'more' if more > 0 else 'less'}"
    return f"{said} ({counted(n, 'replica')} on top)" if n > 0 else said


def chance_text(chance: Chance) -> str:
    """How likely the objectives hold, as far as the law is right."""
    return (
        f"{_chance(chance.with_spares_gone_ratio)} with the spares gone, {_chance(chance.with_all_ratio)} with all "
        f"replicas there, as far as the law and its interval are right"
    )


def size_text(size: SizeRange) -> str:
    """How many replicas would do, by what one may carry, and what they cost."""
    low, high = size.n_replicas_low, size.n_replicas_high
    if low == high:
        return f"{counted(high, 'replica')} at either end of what one may carry, {usd(size.usd_per_month_high)} a month"
    return (
        f"{low:,} to {counted(high, 'replica')}, {usd(size.usd_per_month_low)} to {usd(size.usd_per_month_high)} a "
        "month, by the ends of what one may carry; sized on the low end"
    )


def today_text(today: Today) -> str:
    """What runs today against the plan, also where the plan is dearer, and whether today's fleet would do."""
    does = {True: "it would do", False: "it would NOT do", None: "whether it would do isn't known"}[today.holds]
    costs = f"{choice_text(today.choice)}, {usd(today.choice.usd_per_month)} a month"
    return f"{costs}{_change_text(today.usd_less_per_month)}{_committed_text(today)}; {does}: {today.reason}"


def _committed_text(today: Today) -> str:
    """What has to be paid until commitments end, and what the plan saves until then; nothing where none is held."""
    if today.committed_usd_per_month is None:
        return ""
    said = f"; {usd(today.committed_usd_per_month)} of today's is committed"
    less = today.usd_less_while_committed
    if less is None:
        return said
    change = "costs the same" if less == 0 else f"is {usd(abs(less))} a month {'cheaper' if less > 0 else 'dearer'}"
    return f"{said}: until that ends the plan {change}"


def _change_text(less: Decimal | None) -> str:
    """What the plan costs against today; nothing where there is no plan."""
    if less is None:
        return ""
    if less == 0:
        return "; the plan costs the same"
    return f"; the plan is {usd(abs(less))} a month {'cheaper' if less > 0 else 'dearer'}"


def switch_text(switch: Switch) -> str:
    """At which figure another machine wins."""
    then, now = _figure(switch, switch.then), _figure(switch, switch.now)
    if switch.kind == "capacity":
        chance = "" if switch.chance_ratio is None else f"; the chance that it does is {_chance(switch.chance_ratio)}"
        return f"{switch.winner} wins if {switch.what} is less than {then} (sized on {now}){chance}"
    change = f"{100 * switch.change_ratio:+.3g} %".replace("-", "−")
    return f"{switch.winner} wins at a {switch.what} of {then} ({change}, now {now})"


def relaxation_text(relaxation: Relaxation) -> str:
    """What one relaxed rule would buy."""
    choice = relaxation.choice
    return f"{relaxation.rule} ({relaxation.change}): {choice_text(choice)}, {usd(choice.usd_per_month)} a month"


def footprint_text(footprint: Footprint) -> str:
    """Energy and emissions."""
    kg = footprint.kg_co2e_per_month
    emitted = f"CO2e unknown ({footprint.kg_co2e_reason})" if kg is None else f"{digits(kg)} kg CO2e"
    return (
        f"{digits(footprint.kwh_per_month)} kWh and {emitted} a month at {percent(footprint.mean_utilisation_ratio)} "
        "mean use (estimated from published coefficients)"
    )


def per_request_text(service: PerRequest) -> str:
    """What a service paid by the request costs, up to which rate it is cheaper, and what cold starts do."""
    low, high = service.usd_per_month_low, service.usd_per_month_high
    span = "" if low == high else f"{usd(low)} to {usd(high)}, "
    allowed = service.allowed_ratio
    if allowed is None:
        cold = f"{_share(service.cold_ratio_at_peak)} cold starts at the peak"
    else:
        cold = (
            f"cold starts are {_share(service.cold_ratio_at_peak)} of the requests at the peak and "
            f"{_share(service.cold_ratio_when_quiet)} in the quietest hour; {percent(allowed)} may be slow"
            f"{_cold_doubt(service)}"
        )
    return (
        f"{service.service}: {usd(service.usd_per_month)} a month ({span}extrapolated), cheaper than the fleet below "
        f"{digits(service.break_even_rps)} requests/s on average; {cold}"
    )


def per_request_line(service: PerRequest) -> str:
    """The same where there is room for one line."""
    return (
        f"{service.service}: {usd(service.usd_per_month)} a month (extrapolated), cheaper than the fleet below "
        f"{digits(service.break_even_rps)} requests/s on average{_cold_doubt(service)}"
    )


def _cold_doubt(service: PerRequest) -> str:
    most = max(service.cold_ratio_at_peak, service.cold_ratio_when_quiet)
    is_more = service.allowed_ratio is not None and most > service.allowed_ratio
    return ", and cold starts alone may miss the objective" if is_more else ""


def _figure(switch: Switch, value: float) -> str:
    return f"${value:.5g} an hour" if switch.kind == "price" else f"{digits(value)} requests/s"


def _share(ratio: float) -> str:
    return f"less than {percent(_LEAST_SHARE)}" if ratio < _LEAST_SHARE else percent(ratio)


def _chance(ratio: float) -> str:
    if ratio > _MOST_CERTAIN:
        return f"above {percent(_MOST_CERTAIN)}"
    return f"below {percent(1.0 - _MOST_CERTAIN)}" if ratio < 1.0 - _MOST_CERTAIN else percent(ratio)


def _fine_usd(amount: Decimal) -> str:
    """Fractions of a cent stay visible."""
    return usd(amount) if amount >= 1 else f"${amount:.4f}"
