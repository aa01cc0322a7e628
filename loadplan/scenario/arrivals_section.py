"""The section `traffic.arrivals` of a scenario file: the law of the requests, with the keys that belong to it."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loadplan.scenario.arrivals import (
    Arrivals,
    ConstantArrivals,
    GammaArrivals,
    MarkovArrivals,
    PoissonArrivals,
    ProfileArrivals,
    ProfileStep,
    TraceArrivals,
)
from loadplan.scenario.section import Contradiction, Section, contradiction
from loadplan.scenario.trace_file import read_trace

_MAX_S = 31_622_400.0  # a year; beyond it a unit was confused

Share = Annotated[float, Field(ge=0, le=1)]

_KEYS_OF: dict[str, tuple[str, ...]] = {
    "constant": (),
    "poisson": (),
    "gamma": ("cv",),
    "markov": ("busy_ratio", "busy_share", "mean_busy_s"),
    "trace": ("file",),
    "profile": ("steps",),
}


class StepSection(Section):
    """A stretch of a profile: a share of the rate, held or on a straight ramp to another."""

    for_s: float = Field(gt=0, le=_MAX_S, description="how long the step takes")
    share: Share = Field(description="of the rate at the beginning of the step; the largest of all steps is 1")
    to_share: Share | None = Field(default=None, description="of the rate at its end; left out where it is the same")


class ArrivalsSection(Section):
    """The law by which requests arrive."""

    process: Literal["constant", "poisson", "gamma", "markov", "trace", "profile"] = Field(
        default="poisson", description="poisson: callers who know nothing of each other"
    )
    cv: float | None = Field(
        default=None,
        gt=0,
        le=100,
        description="coefficient of variation of the gaps; for gamma only, above 1 is bursty",
    )
    busy_ratio: float | None = Field(
        default=None, gt=1, le=1e4, description="for markov: the rate while busy over the mean rate"
    )
    busy_share: float | None = Field(default=None, gt=0, lt=1, description="for markov: share of the time that is busy")
    mean_busy_s: float | None = Field(
        default=None, gt=0, le=_MAX_S, description="for markov: how long a busy period lasts on average"
    )
    file: str | None = Field(
        default=None, min_length=1, description="for trace: a CSV with a time for each request, or with time and count"
    )
    steps: list[StepSection] | None = Field(
        default=None, min_length=1, max_length=1000, description="for profile: what it does one after the other"
    )

    @model_validator(mode="after")
    def _keys_belong_to_the_process(self) -> Self:
        own = _KEYS_OF[self.process]
        wrong: list[Contradiction] = [
            (("process",), f"{self.process} needs the key {key} as well") for key in own if getattr(self, key) is None
        ]
        wrong += [
            ((key, "process"), f"{key} means nothing to {self.process}; use process: {process}")
            for process, keys in _KEYS_OF.items()
            for key in keys
            if process != self.process and getattr(self, key) is not None
        ]
        wrong = wrong or [*_busy_enough(self), *_reaches_the_peak(self)]
        if wrong:
            raise contradiction(*wrong)
        return self


def resolve_arrivals(section: ArrivalsSection, *, find: Callable[[str], Path]) -> Arrivals:
    """The law that a section states; `find` says where a file that it names lies.

    Raises:
        InputError: when the file of a trace can't be read or is no recording.
    """
    match section:
        case ArrivalsSection(process="constant"):
            return ConstantArrivals()
        case ArrivalsSection(process="gamma", cv=float(cv)):
            return GammaArrivals(cv=cv)
        case ArrivalsSection(
            process="markov", busy_ratio=float(ratio), busy_share=float(share), mean_busy_s=float(mean_s)
        ):
            return MarkovArrivals(busy_ratio=ratio, busy_share=share, mean_busy_s=mean_s)
        case ArrivalsSection(process="trace", file=str(name)):
            return TraceArrivals(recording=read_trace(find(name)))
        case ArrivalsSection(process="profile", steps=list(steps)):
            return ProfileArrivals(steps=tuple(_step(step) for step in steps))
    return PoissonArrivals()


def _step(step: StepSection) -> ProfileStep:
    to_share = step.share if step.to_share is None else step.to_share
    return ProfileStep(for_s=step.for_s, share=step.share, to_share=to_share)


def _busy_enough(section: ArrivalsSection) -> list[Contradiction]:
    if section.busy_ratio is None or section.busy_share is None:
        return []
    busy = section.busy_ratio * section.busy_share
    if busy <= 1.0 + 1e-9:
        return []
    text = f"busy_ratio {section.busy_ratio:g} in {section.busy_share:g} of the time is {busy:.3g} times the mean rate"
    return [(("busy_ratio", "busy_share"), f"{text}; together they may be 1 at most")]


def _reaches_the_peak(section: ArrivalsSection) -> list[Contradiction]:
    if section.steps is None:
        return []
    largest = max(max(step.share, step.to_share or 0.0) for step in section.steps)
    if largest == 1.0:
        return []
    return [(("steps",), f"the largest share is {largest:g}, and the busiest moment must have the share 1")]
