"""Clusters, the parts of the p99 and answers worked out beforehand, as the JSON that scripts rely on."""

from dataclasses import asdict

from loadplan.cli.figures import Document, figure, usd
from loadplan.plan.records.choice import Choice
from loadplan.plan.records.cluster import Cluster, GpuWins, Proposed, Side
from loadplan.plan.records.outlook import Outlook
from loadplan.plan.records.precomputed import BatchJob, Precomputed
from loadplan.plan.records.time_split import Lever

_NOT_KNOWN = "what it carries isn't known"


def around_documents(outlook: Outlook) -> Document:
    """Each with the reason where there is none."""
    return {
        "cluster": None if outlook.cluster is None else _cluster(outlook.cluster),
        **({} if outlook.cluster else {"cluster_reason": "nothing is bought"}),
        "p99_split": None if outlook.split is None else asdict(outlook.split),
        **({} if outlook.split else {"p99_split_reason": outlook.split_reason or "nothing is bought"}),
        "levers": [_lever(one) for one in outlook.levers],
        "precomputed": None if outlook.precomputed is None else _precomputed(outlook.precomputed),
        **({} if outlook.precomputed else {"precomputed_reason": outlook.precomputed_reason or "not asked about"}),
    }


def choice_document(choice: Choice) -> Document:
    """A fleet in few words."""
    return {
        "offers": [{"offer": name, "n_replicas": n} for name, n in choice.offers],
        "usd_per_month": usd(choice.usd_per_month),
        **figure("predicted_p99_s", choice.predicted_p99_s, "no latency is predicted for it"),
    }


def _cluster(cluster: Cluster) -> Document:
    return {
        "least": choice_document(cluster.least),
        "n_planned": cluster.n_planned,
        "without_gpu": _side(cluster.without_gpu),
        "with_gpu": _side(cluster.with_gpu),
        "gpu_wins": _gpu_wins(cluster.gpu_wins),
        "proposed": None if cluster.proposed is None else _proposed(cluster.proposed),
        **({} if cluster.proposed else {"proposed_reason": "nothing is proposed: plan.proposal, or --proposal"}),
    }


def _side(side: Side) -> Document:
    return {
        "cheapest": None if side.cheapest is None else choice_document(side.cheapest),
        "fewest": None if side.fewest is None else choice_document(side.fewest),
        "basis": side.basis,
        "reason": side.reason,
    }


def _gpu_wins(wins: GpuWins) -> Document:
    least = wins.usd_per_month_at_least
    return {
        **asdict(wins),
        **figure("from_rps", wins.from_rps, wins.reason or "at no peak that was tried"),
        **figure("usd_per_month_at_least", None if least is None else usd(least), "no machine with a GPU has a price"),
    }


def _proposed(proposed: Proposed) -> Document:
    return {
        **asdict(proposed),
        "choice": choice_document(proposed.choice),
        "usd_more_per_month": usd(proposed.usd_more_per_month),
        **figure("carried_rps", proposed.carried_rps, proposed.reason),
        **figure("idle_at_peak_ratio", proposed.idle_at_peak_ratio, _NOT_KNOWN),
        **figure("idle_on_average_ratio", proposed.idle_on_average_ratio, _NOT_KNOWN),
        **figure("worth_rps", proposed.worth_rps, "so much money buys no fleet of the planned offer"),
    }


def _lever(lever: Lever) -> Document:
    return {
        **asdict(lever),
        "choice": choice_document(lever.choice),
        **figure("n_fewer", lever.n_fewer, "another offer would be cheapest"),
        "usd_less_per_month": usd(lever.usd_less_per_month),
    }


def _precomputed(found: Precomputed) -> Document:
    why = "a fleet is cheaper at every rate that was tried"
    return {
        **asdict(found),
        "jobs": [_job(job) for job in found.jobs],
        **figure("break_even_requests_per_month", found.break_even_requests_per_month, why),
        **figure("break_even_peak_rps", found.break_even_peak_rps, why),
    }


def _job(job: BatchJob) -> Document:
    money = ("usd_per_month", "usd_per_month_low", "usd_per_month_high", "usd_less_per_month")
    return {**asdict(job), **{name: usd(getattr(job, name)) for name in money}}
