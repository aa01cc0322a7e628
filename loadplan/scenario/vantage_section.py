"""The section `slo_measured` of a scenario: where objectives are measured, and what delays requests elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from loadplan.scenario.delay_file import read_delays
from loadplan.scenario.outside import ConstantDelay, LognormalDelay, OutsideDelay, Place, Vantage
from loadplan.scenario.section import LimitMs, Section, contradiction
from loadplan.units import SECONDS_PER_MS


class DelaySection(Section):
    """How long a request is delayed, as one law."""

    constant_ms: LimitMs | None = Field(default=None, description="as long for every request")
    p50_ms: LimitMs | None = Field(default=None, description="median of a lognormal law, with p99_ms")
    p99_ms: LimitMs | None = Field(default=None, description="99th percentile of that law")
    file: str | None = Field(default=None, min_length=1, description="a CSV with the column delay_ms")

    @model_validator(mode="after")
    def _is_one_law(self) -> Self:
        given = {
            "constant_ms": self.constant_ms is not None,
            "p50_ms": self.p50_ms is not None or self.p99_ms is not None,
            "file": self.file is not None,
        }
        laws = [key for key, is_given in given.items() if is_given]
        if len(laws) != 1:
            text = "give exactly one law: constant_ms, p50_ms with p99_ms, or file"
            raise contradiction((tuple(laws), text))
        if laws == ["p50_ms"] and (self.p50_ms is None or self.p99_ms is None):
            raise contradiction((("p50_ms", "p99_ms"), "a lognormal law needs both p50_ms and p99_ms"))
        if self.p50_ms is not None and self.p99_ms is not None and self.p99_ms < self.p50_ms:
            text = f"p99_ms {self.p99_ms:g} is below p50_ms {self.p50_ms:g}, and a higher percentile never is"
            raise contradiction((("p99_ms", "p50_ms"), text))
        return self


class VantageSection(Section):
    """Where the objectives are measured."""

    at: Place = Field(
        default="server", description="server: by the replica; edge: before its balancer; caller: by whoever asks"
    )
    outside: DelaySection | None = Field(
        default=None, description="what lies between there and the replica; it counts against every limit"
    )
    fetch: DelaySection | None = Field(
        default=None, description="what is waited for before the model is asked, such as features; it counts as well"
    )

    @model_validator(mode="after")
    def _says_what_lies_outside(self) -> Self:
        if self.at == "server" and self.outside is not None:
            raise contradiction((("outside", "at"), "nothing lies outside at the server; use at: edge or at: caller"))
        if self.at != "server" and self.outside is None:
            text = f"at the {self.at} needs the key outside as well, such as outside: {{p50_ms: 3, p99_ms: 12}}"
            raise contradiction((("at",), text))
        return self


def resolve_vantage(section: VantageSection, *, find: Callable[[str, str], Path]) -> Vantage:
    """What a section states; `find` says where a file lies, by its name and the key that names it.

    Raises:
        InputError: when a file of delays can't be read.
    """
    return Vantage(
        at=section.at,
        outside=None if section.outside is None else _delay(section.outside, find, "outside"),
        fetch=None if section.fetch is None else _delay(section.fetch, find, "fetch"),
    )


def _delay(section: DelaySection, find: Callable[[str, str], Path], key: str) -> OutsideDelay:
    if section.constant_ms is not None:
        return ConstantDelay(delay_s=section.constant_ms * SECONDS_PER_MS)
    if section.file is not None:
        return read_delays(find(section.file, f"{key}.file"))
    if section.p50_ms is None or section.p99_ms is None:
        raise ValueError("the section's own check lets no other through")
    return LognormalDelay(p50_s=section.p50_ms * SECONDS_PER_MS, p99_s=section.p99_ms * SECONDS_PER_MS)
