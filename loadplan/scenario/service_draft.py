"""Drafts the scenario of a running service: what was told and what a log showed, each assumption where it is corrected.

The decision a reader would question: the draft asks for nothing that a service can't be told apart by, such as threads
or batches; it is planned as it is, in copies of what was measured.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from loadplan.scenario.draft import flow, number, plan_section
from loadplan.scenario.spec import HttpMethod
from loadplan.units import SECONDS_PER_MS

BODIES_OF_LOG = ".bodies.jsonl"  # how the name of a file ends that holds bodies out of a log
_NAME_CHARACTERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceQuestion:
    """What is told of a running service; all else is assumed."""

    url: str  # with the path where requests go
    p99_s: float  # the limit
    request: str | None = None  # absolute path of a file with the body, or with one body a line; None: there is no body
    method: HttpMethod | None = None
    answer: str | None = None  # JSON pointer of what a right answer holds; None: only the status counts
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # as written: they name variables
    allow_remote: tuple[str, ...] = ()
    instance_type: str | None = None  # `provider/type` that it runs on; None: nobody said
    may_check: bool | None = None  # None: where it runs on this machine
    providers: tuple[str, ...] = ()  # none: those that a scenario has by default
    regions: tuple[str, ...] = ()
    today: tuple[tuple[str, int], ...] = ()  # what runs now: names of offers, and replicas of each
    proposal: tuple[tuple[str, int], ...] = ()  # what somebody would buy instead, told alike


def service_name(url: str) -> str:
    """The last part of its path, else its host, as far as it may name a folder."""
    parts = urlsplit(url)
    last = next((part for part in reversed(parts.path.split("/")) if part), parts.netloc)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).lstrip("._-")[:_NAME_CHARACTERS] or "service"


def poisson_traffic(peak_rps: float) -> str:
    """The section `traffic` of a scenario where nothing but the peak is told."""
    return f"""\
traffic:
  peak_rps: {number(peak_rps)}
  arrivals: {{process: poisson}}         # assumed: callers who know nothing of each other
  profile: office_hours                # assumed; also evening_peak, constant, or a CSV of a week
"""


def assumed_of_service(question: ServiceQuestion, *, has_log: bool) -> tuple[str, ...]:
    """What a draft assumes, for whoever reads the answer before the file."""
    method = question.method or ("POST" if question.request else "GET")
    from_log = question.request is not None and question.request.endswith(BODIES_OF_LOG)
    body = "a body out of the log" if from_log else "a body of those given" if question.request else "no body"
    said = [f"every request is a {method} of this one address with {body}: others may take longer"]
    if not has_log:
        said.append("callers know nothing of each other (Poisson) and keep office hours: a log would tell (--log)")
    said.append("one request in a thousand may fail; one machine may be gone, and a fifth is kept free at the peak")
    return tuple(said)


def draft_service_scenario(question: ServiceQuestion, traffic: str) -> str:
    """The text of a scenario file; the same question gives the same text.

    Args:
        question: what is told.
        traffic: the section `traffic`, as `poisson_traffic` or a log gives it; files that it names lie beside the
            scenario.
    """
    return f"""\
# What `loadplan quick` asked of a running service. It was told the address, the traffic and the limit, and assumed the
# rest. Correct what is marked as assumed, then `loadplan run` this file. `loadplan schema` prints every key.
schema: 1
name: {flow(service_name(question.url))}

target:
{_target(question)}
{traffic.rstrip()}

objectives:
  - p99_ms: {number(question.p99_s / SECONDS_PER_MS)}
    max_failed_ratio: 0.001            # assumed: this share may fail or time out

{plan_section(question.providers, question.regions, today=question.today, proposal=question.proposal)}"""


def _target(question: ServiceQuestion) -> str:
    """Its keys, those alone that were told."""
    told: list[tuple[str, object]] = [
        ("url", question.url),
        ("request", question.request),
        ("method", question.method),
        ("answer", question.answer),
        ("headers", dict(question.headers) or None),
        ("allow_remote", list(question.allow_remote) or None),
        ("instance_type", question.instance_type),
        ("check", question.may_check),
    ]
    return "".join(f"  {key}: {flow(value)}\n" for key, value in told if value is not None)
