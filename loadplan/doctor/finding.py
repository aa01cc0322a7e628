"""What is found out about a machine.

A lack stops the road or a part of it that every scenario walks; a doubt lets it go on to figures that stand for less.
What loadplan puts into a finding is neither a path nor the name of a host or a user, so that it can go into a report of
a defect; the words of a runtime or a driver are passed on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from loadplan.errors import EnvironmentFault

State = Literal["ok", "doubt", "lack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer to one question about this machine."""

    name: str  # what it is about, such as `cores`; of a provider with its device, such as `provider CUDA:0`
    state: State
    what: str  # one line
    fix: str | None = None  # the command that mends it, or what to do where none does; None: nothing is to be done


def fault_of(findings: Sequence[Finding]) -> EnvironmentFault | None:
    """What is to be said where something lacks; None where the road can be walked."""
    lacks = [finding for finding in findings if finding.state == "lack"]
    if not lacks:
        return None
    return EnvironmentFault(
        what=f"loadplan can't work here: {', '.join(finding.name for finding in lacks)}",
        where="this machine",
        fix=next((finding.fix for finding in lacks if finding.fix is not None), "see the findings"),
    )
