"""The section `target` of a scenario file: a service of the user's own in place of loadplan's server."""

import re
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from loadplan.scenario.credentials import VARIABLE
from loadplan.scenario.section import TAG_MARK, TYPE_PATTERN, Contradiction, Section, contradiction
from loadplan.scenario.spec import HttpMethod, TargetProtocol

_POINTER_TAG, _POINTERS_TAG = TAG_MARK + "pointer", TAG_MARK + "pointers"
_EMBEDDED_TAG, _SERVICE_TAG = TAG_MARK + "embedded", TAG_MARK + "service"

POINTER_PATTERN = r"^(/.*)?$"
Pointer = Annotated[str, Field(pattern=POINTER_PATTERN)]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, "token"
# Headers that hold no secret, so their values may stand in a file that is copied into every run folder.
_OPEN_HEADERS = frozenset({"accept", "accept-language", "content-type", "user-agent"})
_OF_THE_CONNECTION = frozenset({"connection", "content-length", "expect", "host", "te", "transfer-encoding", "upgrade"})


def _kind_of_answer(value: object) -> str:
    return _POINTERS_TAG if isinstance(value, dict) else _POINTER_TAG


AnswerKey = Annotated[
    Annotated[Pointer, Tag(_POINTER_TAG)] | Annotated[dict[str, Pointer], Tag(_POINTERS_TAG)],
    Discriminator(_kind_of_answer),
]


class ServiceSection(Section):
    """A service that runs already, and how it is asked."""

    url: str = Field(min_length=1, max_length=2000, description="http://host:port, with the path where requests go")
    protocol: TargetProtocol = Field(
        default="json",
        description="json: any HTTP API; the others: the Open Inference Protocol v2 as JSON, with binary tensors, or "
        "over gRPC",
    )
    request: str | None = Field(
        default=None,
        min_length=1,
        description="of json: a file with the body, in which $rows, $inputs.NAME and others stand for the rows; or a "
        ".jsonl with one body a line",
    )
    method: HttpMethod | None = Field(default=None, description="of json: by default POST with a body, GET without")
    answer: AnswerKey | None = Field(
        default=None,
        description="of json: where the answer holds the output, such as /predictions, or where each of several "
        "stands; by default only the status counts",
    )
    model: str | None = Field(
        default=None, min_length=1, description="of v2: the model's name there; by default the scenario's name"
    )
    headers: dict[str, str] = Field(
        default={}, max_length=64, description="such as {Authorization: Bearer $TOKEN}, from the environment"
    )
    allow_remote: list[Annotated[str, Field(min_length=1)]] = Field(
        default=[], max_length=64, description="hosts beside this machine that may be driven"
    )
    instance_type: str | None = Field(
        default=None,
        pattern=TYPE_PATTERN,
        description="what it runs on, such as aws/c7i.large; by default this machine, where it runs here",
    )
    check: bool | None = Field(
        default=None,
        description="whether a plan for it is checked by a live run near its capacity; by default where it runs here",
    )

    @model_validator(mode="after")
    def _keys_agree(self) -> Self:
        wrong = [*self._of_the_other_protocol(), *self._unsafe_headers(), *self._unsafe_url()]
        if wrong:
            raise contradiction(*wrong)
        return self

    def _of_the_other_protocol(self) -> list[Contradiction]:
        foreign = ("model",) if self.protocol == "json" else ("request", "method", "answer")
        return [
            ((key, "protocol"), f"means nothing to the protocol {self.protocol}")
            for key in foreign
            if getattr(self, key) is not None
        ]

    def _unsafe_headers(self) -> list[Contradiction]:
        wrong: list[Contradiction] = []
        for name, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(name) or name.lower() in _OF_THE_CONNECTION:
                wrong.append((("headers",), f"{name!r:.60} is not a header that can be set"))
            elif name.lower() not in _OPEN_HEADERS and not VARIABLE.search(value):
                # The value is not repeated: it may be the secret itself. Results keep a copy of this file.
                text = f"the value of {name} must come from the environment, such as $TOKEN"
                wrong.append((("headers",), text))
        return wrong

    def _unsafe_url(self) -> list[Contradiction]:
        if not self.url.startswith("http://"):
            return [(("url",), "expected an address such as http://127.0.0.1:8080/predict")]
        if "@" in self.url.removeprefix("http://").partition("/")[0]:
            return [(("url",), "holds a user or password; give it as a header from the environment")]
        return []


def _kind_of_target(value: object) -> str:
    return _SERVICE_TAG if isinstance(value, dict | ServiceSection) else _EMBEDDED_TAG


TargetKey = Annotated[
    Annotated[Literal["embedded"], Tag(_EMBEDDED_TAG)] | Annotated[ServiceSection, Tag(_SERVICE_TAG)],
    Discriminator(_kind_of_target),
]
