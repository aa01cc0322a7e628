"""Single figures as JSON: SI units, and `null` with its reason where one can't be had."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING

from loadplan.caveat import Caveat
from loadplan.stats import Interval, Summary, n_samples_needed
from loadplan.units import in_cents

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Document = dict[str, object]

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}


def summary(name: str, found: Summary | None, why: str, *, timeout_s: float = math.inf) -> Document:
    """All figures of times, or why there are none; one as long as the timeout is longer than anybody waited."""
    if found is None:
        return {name: None, f"{name}_reason": why}
    unknown = f"more than {timeout_s:g} s: some requests had no answer in that time"
    mean = None if found.max >= timeout_s else found.mean
    figures: Document = {"n_samples": found.n_samples, **figure("mean", mean, unknown)}
    for name_of_q in (*_QUANTILES, "max"):
        value: float | None = getattr(found, name_of_q)
        if value is not None and value >= timeout_s:
            figures.update(figure(name_of_q, None, unknown))
        else:
            needed = n_samples_needed(_QUANTILES.get(name_of_q, 0.5))
            figures.update(figure(name_of_q, value, f"needs {needed} samples"))
    return {name: figures}


def figure(name: str, value: float | str | None, why: str) -> Mapping[str, object]:
    """The figure, or why there is none."""
    return {name: value} if value is not None else {name: None, f"{name}_reason": why}


def record(found: "DataclassInstance", why_absent: Mapping[str, str]) -> Document:
    """A record field by field, at any depth; what is None in it with the reason that its name has."""
    return _explained(asdict(found), why_absent)


def caveats(found: Iterable[Caveat]) -> list[Document]:
    """Doubts, as the figures that they are about have them."""
    return [record(caveat, {"number": "this doubt has no size"}) for caveat in found]


def _explained(found: Mapping[str, object], why_absent: Mapping[str, str]) -> Document:
    document: Document = {}
    for name, value in found.items():
        document[name] = _explained_value(value, why_absent)
        if value is None and name in why_absent:
            document[f"{name}_reason"] = why_absent[name]
    return document


def _explained_value(value: object, why_absent: Mapping[str, str]) -> object:
    if isinstance(value, dict):
        return _explained(value, why_absent)
    if isinstance(value, list | tuple):
        return [_explained_value(one, why_absent) for one in value]
    return value


def interval(name: str, found: Interval | None) -> Document:
    """Both ends of an interval, or why there is none."""
    if found is None:
        return {f"{name}_low": None, f"{name}_high": None, f"{name}_low_reason": "too few samples for an interval"}
    return {f"{name}_low": found.low, f"{name}_high": found.high}


def usd(amount: Decimal) -> str:
    """Money as a string of two decimals, since JSON has binary floats only."""
    return f"{in_cents(amount):f}"
