"""Has HEAD become slower than BASE? Both are driven in turn in one job, and only what the noise lets one say is said.

A block is four visits, B H H B or H B B H by the toss of a coin, so a drift of the machine hits both alike. Each block
gives one difference of logarithms, that of HEAD's calmer visit less that of BASE's. Where both are the same code, the
coin alone decides its sign, however the machine is disturbed: Wilcoxon's signed-rank test over the blocks then errs as
seldom as it says, whatever the law of the noise. HEAD fails where it is slower by more than is allowed; it passes where
three times that is ruled out. What lies between is too noisy to say, and never a pass by default.

Times are seconds from the due time; a ratio is HEAD over BASE.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loadplan.errors import InvalidMeasurement, LoadplanError, ObjectiveMissed
from loadplan.slo import LatencyLimit
from loadplan.stats import Interval, RankTest, holm, percentile, share_above, signed_rank_test

Side = Literal["base", "head"]
_SIDES: tuple[Side, Side] = ("base", "head")
# Faster by more than is allowed is told; it fails nothing.
Finding = Literal["slower", "same", "faster", "noisy"]
Held = Literal["met", "missed", "unclear", "base misses it"]

ALLOWED_RATIO = 0.05
_RULED_OUT = 3.0  # times what is allowed
_ALPHA = 0.01  # of a false alarm in any of the figures
_TIMES_AS_MANY = 2  # blocks that may be driven until enough of them are valid
_N_BLOCKS_LEAST = 8  # one side slower in all of them has a chance of 1 in 256
_OBJECTIVE_CONFIDENCE_RATIO = 0.99

SERVICE, RESPONSE = "service time", "response time"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateDesign:
    """What is compared and how often."""

    n_blocks: int
    allowed_ratio: float  # a figure may be slower by this share
    limits: tuple[LatencyLimit, ...]  # that HEAD must hold, unless BASE misses them as well
    seed: int  # of the coin


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One side, driven once in a fresh process."""

    times_s: NDArray[np.float64]  # of all due requests, infinite for those not answered right; empty: invalid
    service_s: float | None  # mean of an inference by the server's own count; None: it doesn't tell
    invalid_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One figure of both sides."""

    name: str
    n_blocks: int  # that count
    ratio: float | None  # None: fewer blocks than it takes
    interval: Interval | None  # 90 %, so its high end is a one-sided bound of 95 %
    p_value: float | None  # of a HEAD this much slower than is allowed, adjusted for all figures
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLimit:
    """One limit over all visits of each side."""

    limit: LatencyLimit
    base_miss_ratio: float | None  # None: no valid visit
    head_miss_ratio: float | None
    outcome: Held


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """What a gate found."""

    design: GateDesign
    compared: tuple[Compared, ...]
    limits: tuple[HeldLimit, ...]
    n_visits: int
    invalid_reasons: tuple[str, ...]  # of visits that don't count, each once


def block_orders(design: GateDesign) -> tuple[tuple[Side, ...], ...]:
    """For each block, its four visits in order, by the toss of a coin; twice as many, for some may be spoiled."""
    coin = np.random.default_rng(design.seed).random(_TIMES_AS_MANY * design.n_blocks) < 0.5
    return tuple(("base", "head", "head", "base") if heads else ("head", "base", "base", "head") for heads in coin)


def run_gate(design: GateDesign, drive: Callable[[Side, int], Visit]) -> GateVerdict:
    """Drive both sides block by block and judge; `drive(side, i_block)` is one visit.

    Both sides of a block should be offered the same arrivals, which the block's number may seed. A block with an
    invalid visit is made up for by another, until twice as many were driven: what makes a visit invalid is what
    happened to the generator, never how slow the answers were.
    """
    blocks: list[list[tuple[Side, Visit]]] = []
    for i, order in enumerate(block_orders(design)):
        blocks.append([(side, drive(side, i)) for side in order])
        if sum(_is_valid(block) for block in blocks) == design.n_blocks:
            break
    return judge_gate(design, blocks)


def judge_gate(design: GateDesign, blocks: Sequence[Sequence[tuple[Side, Visit]]]) -> GateVerdict:
    """What the blocks say; one with an invalid visit doesn't count."""
    visits = [one for block in blocks for one in block]
    valid = [block for block in blocks if _is_valid(block)]
    figures: list[tuple[str, list[float]]] = [(RESPONSE, _differences(valid, _middle_s))]
    if all(visit.service_s is not None for block in valid for _, visit in block):
        figures.insert(0, (SERVICE, _differences(valid, _service_s)))
    return GateVerdict(
        design=design,
        compared=_compared(figures, design.allowed_ratio),
        limits=tuple(_held(limit, visits) for limit in design.limits),
        n_visits=len(visits),
        invalid_reasons=tuple(dict.fromkeys(reason for _, visit in visits for reason in visit.invalid_reasons)),
    )


def failure_of(verdict: GateVerdict, *, neutral_if_noisy: bool = False) -> LoadplanError | None:
    """Why the gate is shut; None: it is open.

    An `ObjectiveMissed` where HEAD was proved slower or misses a limit that BASE holds. Else an `InvalidMeasurement`
    where a figure was too noisy to rule a slower HEAD out, unless that is to be neutral.
    """
    allowed = verdict.design.allowed_ratio
    found = [
        f"{one.name} of HEAD is {ratio_text(one)} that of BASE, {1.0 + allowed:g} is allowed"
        for one in verdict.compared
        if one.finding == "slower"
    ]
    found += [
        f"{miss_text(one)} of HEAD's requests miss {1e3 * one.limit.limit_s:g} ms, {1.0 - one.limit.quantile:.2%} may"
        for one in verdict.limits
        if one.outcome == "missed"
    ]
    if found:
        return ObjectiveMissed(
            what="; ".join(found),
            where="gate",
            fix="look at what HEAD changed; allow more with --threshold if it is meant",
        )
    noisy = [one.name for one in verdict.compared if one.finding == "noisy"]
    if not noisy or neutral_if_noisy:
        return None
    why = f": {'; '.join(verdict.invalid_reasons)}" if verdict.invalid_reasons else ""
    return InvalidMeasurement(
        what=f"the machine was too noisy to say whether HEAD's {' and '.join(noisy)} grew by more than "
        f"{_RULED_OUT * allowed:.0%}{why}",
        where="gate",
        fix="give it more --blocks, or a quieter machine, or let it pass with --if-noisy neutral",
    )


def _is_valid(block: Sequence[tuple[Side, Visit]]) -> bool:
    return not any(visit.invalid_reasons for _, visit in block)


def ratio_text(one: Compared) -> str:
    """Such as `×1.151 (1.122 to 1.180)`."""
    if one.ratio is None or one.interval is None:
        return "unknown"
    return f"×{one.ratio:.3f} ({one.interval.low:.3f} to {one.interval.high:.3f})"


def miss_text(one: HeldLimit) -> str:
    """Such as `1.20%`."""
    return "an unknown share" if one.head_miss_ratio is None else f"{one.head_miss_ratio:.2%}"


def _differences(blocks: Sequence[Sequence[tuple[Side, Visit]]], figure: Callable[[Visit], float]) -> list[float]:
    """Of each block: the logarithm of the calmer of HEAD's two visits less that of BASE's.

    A neighbour only ever makes a visit slower, and in two visits of a side it seldom hits both.
    """
    logs = [{side: min(math.log(figure(v)) for s, v in block if s == side) for side in _SIDES} for block in blocks]
    return [one["head"] - one["base"] for one in logs]


def _middle_s(visit: Visit) -> float:
    """The median: of times that are disturbed now and then it is the figure that repeats best."""
    return percentile(visit.times_s, 0.5)


def _service_s(visit: Visit) -> float:
    if visit.service_s is None:
        raise ValueError("only a visit that knows its service time has one")
    return visit.service_s


def _compared(figures: Sequence[tuple[str, list[float]]], allowed_ratio: float) -> tuple[Compared, ...]:
    tests = [
        signed_rank_test(np.array(differences), above=math.log1p(allowed_ratio))
        if len(differences) >= _N_BLOCKS_LEAST and np.isfinite(differences).all()
        else None
        for _, differences in figures
    ]
    adjusted = iter(holm([test.p_value for test in tests if test is not None]))
    return tuple(
        _unknown(name, len(differences))
        if test is None
        else _told(name, differences, test, next(adjusted), allowed_ratio)
        for (name, differences), test in zip(figures, tests, strict=True)
    )


def _unknown(name: str, n_blocks: int) -> Compared:
    return Compared(name=name, n_blocks=n_blocks, ratio=None, interval=None, p_value=None, finding="noisy")


def _told(name: str, differences: Sequence[float], test: RankTest, p_value: float, allowed_ratio: float) -> Compared:
    low, high = math.exp(test.interval.low), math.exp(test.interval.high)
    finding: Finding = "noisy"
    if p_value < _ALPHA:
        finding = "slower"
    elif high < 1.0 / (1.0 + allowed_ratio):
        finding = "faster"
    elif high < 1.0 + _RULED_OUT * allowed_ratio:
        finding = "same"
    return Compared(
        name=name,
        n_blocks=len(differences),
        ratio=math.exp(test.middle),
        interval=Interval(low=low, high=high, confidence_ratio=test.interval.confidence_ratio),
        p_value=p_value,
        finding=finding,
    )


def _held(limit: LatencyLimit, visits: Sequence[tuple[Side, Visit]]) -> HeldLimit:
    """A limit that BASE misses as well says nothing against HEAD."""
    missed: dict[Side, tuple[float, Interval] | None] = {"base": None, "head": None}
    for side in missed:
        times_s = [visit.times_s for own, visit in visits if own == side and not visit.invalid_reasons]
        if times_s:
            share = share_above(np.concatenate(times_s), limit.limit_s, confidence_ratio=_OBJECTIVE_CONFIDENCE_RATIO)
            missed[side] = (share.share, share.interval)
    base, head = missed["base"], missed["head"]
    return HeldLimit(
        limit=limit,
        base_miss_ratio=None if base is None else base[0],
        head_miss_ratio=None if head is None else head[0],
        outcome=_outcome(1.0 - limit.quantile, base, head),
    )


def _outcome(allowed: float, base: tuple[float, Interval] | None, head: tuple[float, Interval] | None) -> Held:
    if head is None or base is None:
        return "unclear"
    if head[1].low > allowed:
        return "missed" if base[0] <= allowed else "base misses it"
    return "met" if head[1].high <= allowed else "unclear"
