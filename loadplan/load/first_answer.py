"""One request before any load: does this address answer what is to be sent to it?

No redirect is followed, for load and what goes with it stay with the host that was named.
"""

import http.client
import time
from dataclasses import dataclass

from loadplan.errors import EnvironmentFault
from loadplan.load.messages.requests import PreparedRequests
from loadplan.load.target.address import find_target


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstAnswer:
    """What came back."""

    status: int  # of HTTP
    took_s: float  # a first one is often slow: it is no latency


def ask_once(
    url: str, requests: PreparedRequests, *, allow_remote: tuple[str, ...] = (), limit_s: float = 30.0
) -> FirstAnswer:
    """Send the first of the prepared requests to `url` (http://host:port) and wait for its answer.

    Raises:
        InputError: when the host is neither loopback nor allowed.
        EnvironmentFault: when it takes no connection, or gives no answer that is HTTP within the limit.
    """
    target = find_target(url, allow_remote=allow_remote)
    connection = http.client.HTTPConnection(*target.address, timeout=limit_s)
    begin_s = time.monotonic()
    try:
        connection.request(
            requests.method,
            requests.path,
            body=requests.bodies[0] or None,
            headers={"Host": target.host, **dict(requests.headers)},
        )
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise EnvironmentFault(
            what=f"no answer at all: {str(error) or type(error).__name__}",
            where=f"{requests.method} {url}{requests.path.partition('?')[0]}",
            fix=f"start the service, or check the address; a request by itself has {limit_s:g} s to be answered",
        ) from error
    finally:
        connection.close()
    return FirstAnswer(status=answer.status, took_s=time.monotonic() - begin_s)
