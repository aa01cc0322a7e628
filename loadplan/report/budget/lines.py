"""What a bill holds besides the machines: given by the user, or left out by name, never left out in silence.

The catalogue has prices of machines only. So each of these lines is excluded, with that reason, until somebody says
what it costs; then it is an assumption with its source. Money is exact, in USD per month.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Literal

from loadplan.errors import InputError

LINE_NAMES = ("load balancer", "disk", "control plane", "data transfer")
GIVEN = "given with --line"
EXCLUDED = "excluded: the catalogue has prices of machines only"
NO_LINES: Mapping[str, Decimal] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLine:
    """One line of the bill besides the machines."""

    name: str
    usd_per_month: Decimal | None  # None: excluded
    kind: Literal["assumed", "excluded"]
    source: str


def budget_lines(given: Mapping[str, Decimal]) -> tuple[BudgetLine, ...]:
    """Every line by its name, those that were not given excluded."""
    return tuple(
        BudgetLine(name=name, usd_per_month=given[name], kind="assumed", source=GIVEN)
        if name in given
        else BudgetLine(name=name, usd_per_month=None, kind="excluded", source=EXCLUDED)
        for name in LINE_NAMES
    )


def parse_lines(texts: Iterable[str]) -> dict[str, Decimal]:
    """USD per month by name, from `load balancer=25` and the like.

    Raises:
        InputError: for a name that is none, one that stands twice, or an amount that is no money.
    """
    given: dict[str, Decimal] = {}
    for text in texts:
        name, _, amount = (part.strip() for part in text.partition("="))
        if name not in LINE_NAMES:
            raise _line_error(f"there is no line {name!r}", f"name one of {', '.join(LINE_NAMES)}")
        if name in given:
            raise _line_error(f"{name} stands twice", "give each line once")
        try:
            usd = Decimal(amount)
        except InvalidOperation:
            raise _line_error(f"{amount!r} is no amount", f"write USD per month, such as '{name}=25'") from None
        if not usd.is_finite() or usd < 0:
            raise _line_error(f"{amount} is no cost", "write USD per month, 0 or more")
        given[name] = usd
    return given


def _line_error(what: str, fix: str) -> InputError:
    return InputError(what=what, where="--line", fix=fix)
