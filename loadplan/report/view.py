"""Numbers as people read them: the only room, beside scenario files, in which there are milliseconds and percent.

The decision a reader would question: three significant digits and never a decimal from a hundred on, since no figure
here is known better; a whole number stays whole, so that what was given reads as it was written.
"""

import unicodedata
from decimal import Decimal

from loadplan.catalog.price import Offer
from loadplan.execution import ExecutionConfig, Setting
from loadplan.plan.records.fleet import Fleet, Plan
from loadplan.scenario.outside import (
    ConstantDelay,
    LognormalDelay,
    OutsideDelay,
    RecordedDelay,
    delay_quantile_s,
)
from loadplan.scenario.spec import PlanRules, Scenario
from loadplan.slo import LatencyLimit
from loadplan.stats import Interval
from loadplan.units import SECONDS_PER_MS, usd_text

UNKNOWN = "unknown"
_DECIMALS_OF_LISTS = 14  # of a price; the longest on record has 13
# Characters that change how the text around them is read: a name must not turn the sentence that it stands in.
_TURNING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C}


def digits(value: float) -> str:
    """Such as `0.0412`, `41.2`, `50` or `41,200`."""
    value = round(float(value), 12)  # whoever calls from Python may well write 50 for 50.0
    if abs(value) >= 100.0 or value.is_integer():
        return f"{value:,.0f}"
    text = f"{value:#.3g}".removesuffix(".")
    return text if "e" not in text else f"{value:.1e}"


def ms(seconds: float | None) -> str:
    """Such as `41.2 ms`."""
    return UNKNOWN if seconds is None else f"{digits(seconds / SECONDS_PER_MS)} ms"


def given_ms(seconds: float) -> str:
    """A time as it was written, such as `50 ms` or `0.1 ms`."""
    return f"{round(seconds / SECONDS_PER_MS, 9):,g} ms"


def ms_with_interval(seconds: float | None, interval: Interval | None) -> str:
    """Such as `41.2 ms (95 %: 38.0 to 44.1)`, or that too few samples were taken for an interval."""
    if seconds is None:
        return UNKNOWN
    if interval is None:
        return f"{ms(seconds)} (no interval: too few independent samples)"
    return f"{ms(seconds)} ({percent(interval.confidence_ratio)}: {span_ms(interval.low, interval.high)})"


def span_ms(low_s: float, high_s: float) -> str:
    """Such as `38.0 to 44.1`, in milliseconds."""
    return f"{digits(low_s / SECONDS_PER_MS)} to {digits(high_s / SECONDS_PER_MS)}"


def percent(ratio: float) -> str:
    """Such as `12.5 %`; a share that is not quite all is never shown as all."""
    for n_digits in range(3, 9):
        text = f"{100.0 * ratio:.{n_digits}g}"
        if ratio >= 1.0 or text != "100":
            break
    return f"{text if 'e' not in text else digits(100.0 * ratio)} %"


def usd(amount: Decimal) -> str:
    """Cents and parted thousands."""
    return usd_text(amount)


def price_each(offer: Offer) -> str:
    """Such as `$0.1785 an hour`, or `$140.00 a month` where it is paid by the month."""
    if offer.usd_per_month is not None:
        return f"{usd(offer.usd_per_month)} a month"
    return f"${price_per_hour(offer):f} an hour"


def price_per_hour(offer: Offer) -> Decimal:
    """The price as its list wrote it; one that was worked out has six decimals."""
    # No list writes more decimals than these, so more of them come from a division.
    is_written = offer.usd_per_hour == round(offer.usd_per_hour, _DECIMALS_OF_LISTS)
    return offer.usd_per_hour if is_written else round(offer.usd_per_hour, 6)


def rate(rate_rps: float) -> str:
    """Such as `2,400 requests/s`."""
    return f"{digits(rate_rps)} requests/s"


def counted(number: int, noun: str) -> str:
    """Such as `1 replica`, `2 replicas`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def threads_text(execution: ExecutionConfig) -> str:
    """Such as `2 threads`, or `4 × 2 threads on CUDA` for four sessions side by side."""
    sessions = "" if execution.n_sessions == 1 else f"{execution.n_sessions} × "
    provider = "" if execution.provider == "CPU" else f" on {execution.provider}"
    return f"{sessions}{counted(execution.n_threads, 'thread')}{provider}"


def to_ms(seconds: float) -> float:
    """For the axes of charts."""
    return seconds / SECONDS_PER_MS


def quantile_name(quantile: float) -> str:
    """Such as `p99` or `p99.9`."""
    return f"p{100 * quantile:g}"


def limit_text(limit: LatencyLimit) -> str:
    """Such as `p99 ≤ 50 ms`."""
    return f"{quantile_name(limit.quantile)} ≤ {given_ms(limit.limit_s)}"


def objectives_text(scenario: Scenario) -> str:
    """Every objective of the scenario in one line."""
    said = []
    for slo in scenario.objectives:
        of = "" if slo.class_name is None else f"{slo.class_name}: "
        limits = ", ".join(limit_text(limit) for limit in slo.limits)
        said.append(f"{of}{limits}, at most {percent(slo.max_failed_ratio)} failed")
    at = scenario.vantage.at
    return "; ".join(said) + ("" if at == "server" else f", measured at the {at}")


def delay_text(delay: OutsideDelay) -> str:
    """Such as `5 ms`, `p50 3 ms and p99 12 ms (lognormal)` or `as recorded in rtt.csv (p99 12.3 ms)`."""
    match delay:
        case ConstantDelay():
            return given_ms(delay.delay_s)
        case LognormalDelay():
            return f"p50 {given_ms(delay.p50_s)} and p99 {given_ms(delay.p99_s)} (lognormal)"
        case RecordedDelay():
            return f"as recorded in {delay.file} (p99 {ms(delay_quantile_s(delay, 0.99))})"


def p99_limit_s(scenario: Scenario) -> float | None:
    """The strictest limit on the p99 of all requests; None where no objective names one."""
    limits = (limit for slo in scenario.objectives if slo.class_name is None for limit in slo.limits)
    return min((limit.limit_s for limit in limits if limit.quantile == 0.99), default=None)


def fleet_name(fleet: Fleet) -> str:
    """Such as `2 × c7g.large (aws/us-east-1, on demand)`."""
    return " + ".join(
        f"{item.n_replicas} × {item.offer.instance_type.name} "
        f"({item.offer.instance_type.provider}/{item.offer.region}, {item.offer.purchase.replace('_', ' ')})"
        for item in fleet.items
    )


def gone_text(rules: PlanRules | Plan) -> str:
    """What may be gone at once, such as `1 replica`, or `1 replica or any of 3 zones`; empty: nothing."""
    spares = [counted(rules.n_spare_replicas, "replica")] if rules.n_spare_replicas else []
    zones = [] if rules.n_zones is None else [f"any of {rules.n_zones} zones"]
    return " or ".join([*spares, *zones])


def types_text(fleet: Fleet) -> str:
    """The names of its instance types, such as `c7g.large and c8a.large`."""
    return " and ".join(item.offer.instance_type.name for item in fleet.items)


def setting_text(setting: Setting | None) -> str:
    """How a server runs, in one line."""
    if setting is None:
        return "not known to loadplan"
    execution, serving = setting.execution, setting.serving
    window = f"window {given_ms(serving.batch_window_s)}" if serving.batch_window_s else "no window"
    provider = "" if execution.provider == "CPU" else f" on {execution.provider}"
    threads = counted(execution.n_threads, "thread")
    return f"{execution.variant}{provider}, {threads}, batches ≤ {serving.max_batch_size}, {window}"


def plain(text: str) -> str:
    """A text whose control and direction marks are written out, so that a hostile name can be seen and does nothing."""
    return "".join(f"\\u{ord(c):04x}" if _is_hidden(c) else c for c in text)


def _is_hidden(character: str) -> bool:
    if character in "\n\t":
        return False
    return ord(character) in _TURNING or unicodedata.category(character) in {"Cc", "Cs"}
