"""What a verification drove beside the run that its verdict is about, as JSON."""

from loadplan.cli.class_documents import objective_document
from loadplan.cli.figures import Document, figure, interval, usd
from loadplan.driven import ShareVerdict, Sharpness, sharpness_text
from loadplan.verify import Verdict


def verification_documents(verdict: Verdict) -> Document:
    """On what the fleet rests that the run can't show, the lower share, and what is left on the table."""
    return {
        "evidence": verdict.fleet_basis,
        "measured_on": verdict.measured_on,
        "planned": None if verdict.planned is None else _share(verdict.planned),
        "sharpness": None if verdict.sharpness is None else _sharpness(verdict.sharpness),
    }


def _share(one: ShareVerdict) -> Document:
    why = "the run is invalid" if one.invalid_reasons else "too few correct answers"
    predicted = one.predicted
    return {
        "outcome": one.outcome,
        "invalid_reasons": list(one.invalid_reasons),
        "offered_rate_rps": one.offered_rate_rps,
        "utilisation_ratio": one.utilisation_ratio,
        "n_requests": one.n_requests,
        "n_failed": one.n_failed,
        "measured": {
            **figure("p99_s", one.measured_p99_s, why),
            **interval("p99_s", one.measured_p99_interval),
        },
        "predicted": {
            **figure("p99_s", None if predicted is None else predicted.p99_s, "the law answers nothing at this rate"),
            **interval("p99_s", None if predicted is None else predicted.p99_interval),
        },
        "objectives": [objective_document(attained) for attained in one.attainments],
    }


def _sharpness(one: Sharpness) -> Document:
    why = "the objectives were not shown to hold"
    saved = one.usd_per_month_less
    return {
        **_share(one.driven),
        "said": sharpness_text(one),
        "n_replicas": one.n_replicas,
        **figure("n_replicas_would_do", one.n_would_do, why),
        **figure("usd_per_month_less", None if saved is None else usd(saved), why),
    }
