"""What the loss of its spare replicas does to the callers of a fleet."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LossOutcome:
    """Of all spares at once, at the peak; simulated at the share of its capacity that the fleet is to use then."""

    n_lost: int
    n_replicas: int  # before the loss
    failed_ratio: float  # of the requests sent in the time watched, that were never answered
    tried_again_ratio: float  # of those, that took more than one attempt
    recovered_after_s: float | None  # from the loss; 0: no objective was missed; None: not in the time watched
    watched_s: float  # from the loss
    allowed_s: float  # from the loss until every objective holds again: the scenario's

    @property
    def is_borne(self) -> bool:
        """Whether every objective holds again in the time allowed."""
        return self.recovered_after_s is not None and self.recovered_after_s <= self.allowed_s
