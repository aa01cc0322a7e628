"""loadplan's open loop in a locustfile of one's own: `class Predictions(ScheduledUser): …`, run by `locust`.

Locust starts it, shows it and ends it. The verdict is loadplan's, logged at the end; an invalid run gives exit code 3.
"""

import logging
from typing import ClassVar

from loadplan.errors import InputError, InvalidMeasurement
from loadplan.load.generator.handoff import GeneratorJob
from loadplan.load.generator.job import prepare_job
from loadplan.load.generator.loop_order import LoopResult
from loadplan.load.generator.user import OpenLoopUser
from loadplan.load.messages.requests import PreparedRequests, plain_requests
from loadplan.load.records import LoadSpec
from loadplan.load.verdict import judge
from loadplan.scenario.arrivals import Arrivals, PoissonArrivals
from loadplan.stats import summarise

_log = logging.getLogger(__name__)


class ScheduledUser(OpenLoopUser):
    """Sends one request again and again, each when it is due, and ends the test after the last answer.

    The number of users says nothing here: one of them sends the whole schedule, and a second one none of it.
    """

    abstract = True
    path = "/"
    body: bytes | None = None  # None: GET, else POST
    headers: ClassVar[tuple[tuple[str, str], ...]] = ()
    rate_rps: float
    duration_s: float
    arrivals: Arrivals = PoissonArrivals()
    seed = 0
    timeout_s = 10.0
    allow_remote: ClassVar[tuple[str, ...]] = ()  # hosts beside loopback that may be driven
    tells_locust = True

    def requests(self) -> PreparedRequests:
        """What is sent, and how an answer is judged; here every status 2xx is right."""
        return plain_requests(f"{self.host}{self.path}", body=self.body, headers=self.headers)

    def job(self) -> GeneratorJob:
        """The whole schedule, drawn from the seed.

        Raises:
            InputError: on a Locust worker, where each would send the whole schedule.
        """
        if self.environment.parsed_options.worker:
            raise InputError(
                what="each worker would send the whole schedule",
                where=type(self).__name__,
                fix="run one process, or let `loadplan load --processes N` part the schedule",
            )
        return prepare_job(self._spec(), url=str(self.host), requests=self.requests(), allow_remote=self.allow_remote)

    def finished(self, result: LoopResult) -> None:
        """Judge the run, and say so in Locust's log."""
        verdict = judge(
            self._spec(),
            result.requests,
            result.lost,
            own_fault=result.own_fault,
            saturation_ratio=result.saturation_ratio,
        )
        if not verdict.valid:
            self.environment.process_exit_code = InvalidMeasurement.exit_code
            _log.error("loadplan: INVALID: %s", "; ".join(verdict.invalid_reasons))
            return
        times_s = result.requests.response_time_s
        summary = summarise(times_s) if times_s.size else None
        told = "" if summary is None else f"; from due time p50 {_ms(summary.p50)}, p99 {_ms(summary.p99)}"
        _log.info("loadplan: valid; %d of %d failed%s", verdict.n_failed, result.requests.n_requests, told)

    def _spec(self) -> LoadSpec:
        return LoadSpec(
            name=type(self).__name__,
            purpose="ad_hoc",
            arrivals=self.arrivals,
            offered_rate_rps=self.rate_rps,
            duration_s=self.duration_s,
            seed=self.seed,
            timeout_s=self.timeout_s,
            setting=None,
        )


def _ms(seconds: float | None) -> str:
    return "unknown (too few answers)" if seconds is None else f"{1e3 * seconds:.3g} ms"
