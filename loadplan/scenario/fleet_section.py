"""The `fleet` section: what lies between callers and replicas, and what happens when a replica is lost.

None of it can be measured on one machine, so every default is an assumption, and the plan lists it as one.
"""

from typing import Self

from pydantic import Field, model_validator

from loadplan.execution import Balancing
from loadplan.scenario.section import MAX_MS, Section, contradiction
from loadplan.scenario.spec import FleetRules, LossRules

_LONGEST_S = 300.0  # so long a loss is watched at most


class LossSection(Section):
    """How the loss of a replica is found out and made good."""

    detected_after_s: float = Field(
        default=10.0, ge=0, le=_LONGEST_S, description="so long the balancer still sends to a replica that is gone"
    )
    noticed_after_s: float = Field(
        default=1.0, ge=0, le=_LONGEST_S, description="until a client gives up a request to it; 0: a reset connection"
    )
    retries: int = Field(default=1, ge=0, le=10, description="attempts after the first, by the client or the balancer")
    retry_backoff_ms: float = Field(
        default=100.0, gt=0, le=MAX_MS, description="before the second attempt, then doubled"
    )
    recovers_within_s: float = Field(
        default=30.0, gt=0, le=_LONGEST_S, description="from the loss until every objective holds again"
    )


class FleetSection(Section):
    """What lies between callers and replicas."""

    balancing: Balancing = Field(default="round_robin", description="how a request finds its replica")
    connections_per_process: int = Field(
        default=32,
        ge=1,
        le=1024,
        description="open to each server process on average; the kernel deals them out over a replica's processes",
    )
    loss: LossSection = Field(default_factory=LossSection, description="of the spare replicas, all at once")

    @model_validator(mode="after")
    def _loss_can_be_borne(self) -> Self:
        loss = self.loss
        found_s = loss.detected_after_s + loss.noticed_after_s
        if loss.recovers_within_s <= found_s:
            text = (
                f"a loss takes {found_s:g} s to be found out, so no fleet recovers within {loss.recovers_within_s:g} s"
            )
            keys = ("loss.recovers_within_s", "loss.detected_after_s", "loss.noticed_after_s")
            raise contradiction((keys, text))
        return self


def resolve_fleet(fleet: FleetSection) -> FleetRules:
    """In seconds, every default filled in."""
    loss = fleet.loss
    return FleetRules(
        balancing=fleet.balancing,
        connections_per_process=fleet.connections_per_process,
        loss=LossRules(
            detected_after_s=loss.detected_after_s,
            noticed_after_s=loss.noticed_after_s,
            n_retries=loss.retries,
            retry_backoff_s=loss.retry_backoff_ms / 1e3,
            recovers_within_s=loss.recovers_within_s,
        ),
    )
