"""Classes of requests as JSON: what came of each, and of the objectives that it is held to."""

from collections.abc import Sequence

from loadplan.cli.figures import Document, figure, interval, summary
from loadplan.load.classes import class_runs
from loadplan.load.records import LoadRun
from loadplan.load.verdict import answer_counts, judge_slo, judged_by, latency_summary
from loadplan.slo import Attainment, Slo
from loadplan.verify import ClassVerdict


def class_documents(run: LoadRun, why: str, objectives: Sequence[Slo]) -> Document:
    """Each class on its own, and what the run is held to; nothing where all requests are of one kind."""
    if run.classes is None:
        return {}
    return {
        "classes": [
            {
                "name": name,
                "share": share,
                "achieved_rate_rps": own.verdict.achieved_rate_rps,
                "throughput_rps": own.verdict.throughput_rps,
                "n_requests": own.requests.n_requests,
                "n_failed": own.verdict.n_failed,
                "failures": answer_counts(own),
                **summary(
                    "response_time_s",
                    latency_summary(own) if own.verdict.valid else None,
                    why,
                    timeout_s=run.spec.timeout_s,
                ),
            }
            for share, (name, own) in zip(run.classes.shares, class_runs(run), strict=True)
        ],
        "objectives": [
            objective_document(attained)
            for slo in objectives
            if run.verdict.valid and judged_by(run, slo).requests.n_requests
            for attained in judge_slo(run, slo)
        ],
    }


def objective_document(attained: Attainment) -> Document:
    """How many met one limit, and whether that is sure."""
    return {
        "class": attained.class_name,
        "quantile": attained.limit.quantile,
        "limit_s": attained.limit.limit_s,
        "within_ratio": attained.ratio,
        "outcome": attained.outcome,
        **figure("miss_ratio_low", attained.miss_ratio_low, "the count says it all"),
        **figure("miss_ratio_high", attained.miss_ratio_high, "the count says it all"),
    }


def class_verdict_document(one: ClassVerdict) -> Document:
    """What the verification showed of one class."""
    predicted = one.predicted
    return {
        "name": one.name,
        "n_requests": one.n_requests,
        "n_failed": one.n_failed,
        **figure("outcome", one.outcome, "no objective is about this class alone"),
        **figure(
            "predicted_p99_s",
            None if predicted is None else predicted.p99_s,
            "see `predicted`: the classes send as many rows",
        ),
        **figure("p50_s", one.measured_p50_s, "too few correct answers"),
        **figure("p99_s", one.measured_p99_s, "too few correct answers"),
        **interval("p99_s", one.measured_p99_interval),
    }
