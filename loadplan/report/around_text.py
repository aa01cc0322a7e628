"""What was asked around a plan in words: where the slow requests' time goes, clusters and GPUs, answers beforehand."""

from loadplan.fit.records import TimePart
from loadplan.plan.records.choice import Choice
from loadplan.plan.records.cluster import Cluster, GpuWins, Proposed
from loadplan.plan.records.precomputed import BatchJob, Precomputed
from loadplan.plan.records.time_split import Lever, TimeSplit
from loadplan.report.outlook_text import choice_text
from loadplan.report.view import counted, digits, ms, percent, rate, usd

_S_PER_HOUR = 3600.0
_MILLION = 1e6
PART_WORDS: dict[TimePart, str] = {
    "outside": "what lies outside the replica",
    "fetch": "the fetch",
    "model": "the model",
    "web": "the web work",
    "work": "the work on the CPU",
}
_SPLIT_WORDS: dict[TimePart, str] = {
    "outside": "outside the replica",
    "fetch": "fetch",
    "model": "model",
    "web": "web work",
    "work": "work on the CPU",
}
_BEFORE_THE_WAIT: tuple[TimePart, ...] = ("outside", "fetch")


def split_text(split: TimeSplit) -> str:
    """Such as `p99 of 41.2 ms: 12.1 ms fetch, 14 ms waiting, 9 ms model, 6.1 ms web work (simulated)`."""
    said = [(one.part in _BEFORE_THE_WAIT, f"{ms(one.time_s)} {_SPLIT_WORDS[one.part]}") for one in split.parts]
    before, after = ([text for is_before, text in said if is_before is where] for where in (True, False))
    parts = ", ".join([*before, f"{ms(split.waiting_s)} waiting", *after])
    return f"p99 of {ms(split.p99_s)}: {parts} ({split.basis})"


def levers_text(levers: tuple[Lever, ...]) -> str:
    """Such as `halving the model saves 1 replica: $52.93 a month; halving the web work saves none`."""
    return "; ".join(f"halving {PART_WORDS[one.part]} saves {saving_text(one)}" for one in levers)


def saving_text(lever: Lever) -> str:
    """What is saved with one part of the time halved."""
    if lever.usd_less_per_month <= 0:
        return "none"
    if lever.n_fewer is None:
        return f"{usd(lever.usd_less_per_month)} a month, by {choice_text(lever.choice)}"
    return f"{counted(lever.n_fewer, 'replica')}: {usd(lever.usd_less_per_month)} a month"


def need_text(cluster: Cluster) -> str:
    """Whether one machine would do."""
    n = _n_machines(cluster.least)
    plan = f"the plan has {counted(cluster.n_planned, 'machine')}"
    bought = f"{choice_text(cluster.least)}, {usd(cluster.least.usd_per_month)} a month"
    if n == 1:
        return f"no, one machine carries the peak with nothing to spare ({bought}); {plan}"
    return f"yes, it takes {n:,} machines at least to carry the peak with nothing to spare ({bought}); {plan}"


def gpu_text(cluster: Cluster) -> str:
    """What the cheapest machines with a GPU cost, and from which peak on they win."""
    wins, choice = cluster.gpu_wins, cluster.with_gpu.cheapest
    if choice is not None:
        cheapest = f"{choice_text(choice)}, {usd(choice.usd_per_month)} a month ({cluster.with_gpu.basis})"
        return f"{cheapest}; {_wins_text(wins)}"
    if wins.usd_per_month_at_least is None:
        return f"not compared: {cluster.with_gpu.reason}"
    return (
        f"not known: {cluster.with_gpu.reason}; at least {usd(wins.usd_per_month_at_least)} a month whatever it "
        f"carries, so {_wins_text(wins)}"
    )


def _wins_text(wins: GpuWins) -> str:
    if wins.reason:
        return wins.reason
    if wins.from_rps is None:
        return f"a GPU wins at no peak up to {_about(wins.tried_to_rps)}"
    if wins.from_rps <= wins.tried_from_rps:
        may = "might win" if wins.is_earliest else "wins"
        return f"a GPU {may} at every peak from {_about(wins.tried_from_rps)} on"
    earliest = " at the earliest" if wins.is_earliest else ""
    return f"a GPU wins from about {_about(wins.from_rps)} at the peak on{earliest}"


def cluster_line(cluster: Cluster) -> str:
    """Both where there is room for one line."""
    n, least = _n_machines(cluster.least), choice_text(cluster.least)
    need = f"no, {least} carries the peak alone" if n == 1 else f"yes, it takes {n:,} machines at least ({least})"
    wins, choice = cluster.gpu_wins, cluster.with_gpu.cheapest
    if choice is not None:
        return f"{need}; with a GPU {choice_text(choice)}, {usd(choice.usd_per_month)} a month, {_wins_text(wins)}"
    if wins.usd_per_month_at_least is None:
        return f"{need}; {cluster.with_gpu.reason}"
    at_least = f"{usd(wins.usd_per_month_at_least)} a month at least"
    return f"{need}; with a GPU {at_least}, whatever it carries: {_wins_text(wins)}"


def proposed_text(proposed: Proposed) -> str:
    """What a proposal costs beside the plan, what of it stands idle, and what it would have to carry."""
    more = proposed.usd_more_per_month
    against = "as much as the plan" if more == 0 else f"{usd(abs(more))} {'more' if more > 0 else 'less'} than the plan"
    does = {True: "it would do", False: "it would NOT do", None: "whether it would do isn't known"}[proposed.holds]
    said = [f"{choice_text(proposed.choice)}, {usd(proposed.choice.usd_per_month)} a month, {against}"]
    if proposed.idle_at_peak_ratio is not None and proposed.idle_on_average_ratio is not None:
        said.append(
            f"{percent(proposed.idle_at_peak_ratio)} of it stands idle at the peak and "
            f"{percent(proposed.idle_on_average_ratio)} on average"
        )
    said.append(f"{does}: {proposed.reason}")
    if proposed.worth_rps is not None and more > 0:
        said.append(f"for as much money the plan's machines carry a peak of {_about(proposed.worth_rps)}")
    return "; ".join(said)


def precomputed_text(found: Precomputed) -> str:
    """What answers cost that are worked out beforehand, how old they get, and from which rate on that is cheaper."""
    return "; ".join(
        [
            f"{found.n_entities:,} answers every {hours_text(found.every_s)}, {job_text(found.jobs[0])}",
            f"an answer is up to {hours_text(found.oldest_answer_s)} old",
            break_even_text(found),
            "keeping and looking them up is not priced",
        ]
    )


def job_text(job: BatchJob) -> str:
    """The machines of one kind of purchase, how long they run, the bill, and the fleet's beside it."""
    less = job.usd_less_per_month
    against = (
        "as much as the fleet" if less == 0 else f"{usd(abs(less))} {'less' if less > 0 else 'more'} than the fleet"
    )
    doubt = "" if job.price_quality == "ok" else f", price DOUBTFUL: {job.price_quality}"
    return (
        f"{job.n_machines:,} × {job.offer} for {hours_text(job.run_s)} each: {usd(job.usd_per_month)} a month "
        f"({usd(job.usd_per_month_low)} to {usd(job.usd_per_month_high)}, {job.basis}{doubt}), {against}"
    )


def break_even_text(found: Precomputed) -> str:
    """From which requests a month on the cheapest job costs less than a fleet."""
    n, peak_rps = found.break_even_requests_per_month, found.break_even_peak_rps
    if n is None or peak_rps is None:
        return "a fleet is cheaper at every rate that was tried"
    since = f"{requests_text(n)} a month (a peak of {_about(peak_rps)})"
    if found.is_cheaper_always:
        return f"cheaper than a fleet at every rate that was tried, from {since} on"
    return f"cheaper than a fleet from about {since} on"


def requests_text(n_requests: float) -> str:
    """Such as `59,100 requests` or `1.97 million requests`."""
    if n_requests < _MILLION:
        return f"{n_requests:,.0f} requests"
    return f"{digits(n_requests / _MILLION)} million requests"


def _about(rate_rps: float) -> str:
    """Three digits are all that is known of a rate that was searched for."""
    return rate(float(f"{rate_rps:.3g}"))


def hours_text(time_s: float) -> str:
    """Such as `24 h`, or `12 min` below one."""
    return f"{digits(time_s / _S_PER_HOUR)} h" if time_s >= _S_PER_HOUR else f"{digits(time_s / 60.0)} min"


def _n_machines(choice: Choice) -> int:
    return sum(n for _, n in choice.offers)
