"""What the first answer of a service says before it is driven: that it is the one that is meant, or what is wrong."""

import http.client

from loadplan.errors import EnvironmentFault, InputError, LoadplanError
from loadplan.load.first_answer import FirstAnswer
from loadplan.load.messages.requests import PreparedRequests
from loadplan.scenario.spec import Service


def require_answer(first: FirstAnswer, service: Service, requests: PreparedRequests) -> None:
    """Hold a first answer to what a load would need.

    Raises:
        InputError: when the request is not one that this service takes.
        EnvironmentFault: when the service fails on a single request.
    """
    if 200 <= first.status < 300:
        return
    asked = f"{requests.method} {service.url.partition('?')[0]}"
    raise _refused(first.status, asked)


def _refused(status: int, asked: str) -> LoadplanError:
    if status >= 500:
        return EnvironmentFault(
            what=f"the service fails on a single request already: HTTP {status}",
            where=asked,
            fix="mend the service, or send what it can answer with --body; a load test would only repeat this",
        )
    reason = http.client.responses.get(status, "no success")
    what = f"the service answers HTTP {status} ({reason}) to a single request, so nothing was driven"
    return InputError(what=what, where=asked, fix=_FIXES.get(status, _USUAL_FIX))


_USUAL_FIX = "correct the address, the body (--body), the method (--method) or the headers (--header)"
_NOT_AUTHORISED = "send what it wants to see with --header 'Authorization: Bearer $TOKEN', from the environment"
_OTHER_BODY = "send a body that it takes, with --body request.json"
_FIXES = {
    400: _OTHER_BODY,
    401: _NOT_AUTHORISED,
    403: _NOT_AUTHORISED,
    404: "it has no such path: the log may be another service's; name the path in the URL, such as "
    "http://127.0.0.1:8000/predict",
    405: "say which method it takes, with --method, or give a body with --body",
    415: "send its type, with --header 'Content-Type: …'",
    422: _OTHER_BODY,
}
