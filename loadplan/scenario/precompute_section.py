"""The key `plan.precompute` of a scenario file: answers that are worked out beforehand, for all that may be asked."""

from typing import Self

from pydantic import Field, model_validator

from loadplan.scenario.section import Section, contradiction
from loadplan.scenario.spec import PrecomputeRules

_MAX_H = 8784.0  # a year; beyond it a unit was confused
_S_PER_H = 3600.0
_WITHIN_RATIO = 0.25  # of the time from run to run, that a run may last unless the scenario says so


class PrecomputeSection(Section):
    """Answers worked out beforehand in batches, to be compared with a fleet that answers as it is asked."""

    entities: int = Field(ge=1, le=10**13, description="users, items or whatever has an answer of its own")
    rows_per_entity: float | None = Field(
        default=None, gt=0, le=1e6, description="that its answer takes; by default as many as a request has on average"
    )
    every_h: float = Field(default=24.0, gt=0, le=_MAX_H, description="hours from one run over all of them to the next")
    within_h: float | None = Field(
        default=None,
        gt=0,
        le=_MAX_H,
        description="hours that a run may last, which tells how many machines; by default a quarter of every_h",
    )

    @model_validator(mode="after")
    def _ends_before_the_next_run(self) -> Self:
        if self.within_h is not None and self.within_h > self.every_h:
            text = f"a run of {self.within_h:g} h isn't done when the next begins, every {self.every_h:g} h"
            raise contradiction((("within_h", "every_h"), text))
        return self


def resolve_precompute(section: PrecomputeSection | None) -> PrecomputeRules | None:
    """As it was written, in seconds; None where nothing is to be worked out beforehand."""
    if section is None:
        return None
    within_h = _WITHIN_RATIO * section.every_h if section.within_h is None else section.within_h
    return PrecomputeRules(
        n_entities=section.entities,
        rows_per_entity=section.rows_per_entity,
        every_s=section.every_h * _S_PER_H,
        within_s=within_h * _S_PER_H,
    )
