"""The limits of the objectives as lines in a chart of response times."""

from loadplan.report.chart import Mark
from loadplan.report.view import given_ms, quantile_name, to_ms
from loadplan.scenario.spec import Scenario


def limit_marks(scenario: Scenario) -> tuple[Mark, ...]:
    """One line per latency limit, each once; one of a class says so."""
    limits = dict.fromkeys((slo.class_name, limit) for slo in scenario.objectives for limit in slo.limits)
    return tuple(
        Mark(
            word=f"{name + ' ' if name else ''}{quantile_name(limit.quantile)} limit {given_ms(limit.limit_s)}",
            y=to_ms(limit.limit_s),
        )
        for name, limit in limits
    )
