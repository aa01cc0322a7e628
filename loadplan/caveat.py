"""Doubts are data: a caveat travels with the figure it concerns, all the way into the report."""

from dataclasses import dataclass
from typing import Literal

# Where a number comes from. Every figure shown to a user carries one of these.
Basis = Literal["measured", "simulated", "extrapolated", "given", "assumed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caveat:
    """A reason to doubt a figure, its size, and what would remove it."""

    code: str  # stable and dotted, such as `bench.noisy`; the docs have a paragraph for each
    what: str  # one sentence with the number in it
    fix: str  # what the reader can do about it
    number: float | None = None  # how bad, in the unit that `what` names; None where there is no size
