"""Makes an access log of a known peak, as nginx writes one: `python -m tests.services.made_log access.log`.

Within each hour requests are independent (Poisson, given how many there are), so the busiest hour of the clock holds
exactly the requests that it was told to.
"""

import random
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

_BEGIN_S = int(datetime(2026, 11, 2, 8, tzinfo=UTC).timestamp())  # a Monday
_HOUR_S = 3600
_N_HEALTH_CHECKS = 60  # an hour: what a balancer asks is no demand of callers


def write_log(path: Path, *, request: str, rates_rps: Sequence[float], seed: int = 3) -> None:
    """A line for each request; `rates_rps` are those of its hours, `request` is such as `GET /recommend`."""
    draw = random.Random(seed)
    method, _, target = request.partition(" ")
    with path.open("w") as log:
        for i, rate_rps in enumerate(rates_rps):
            begin_s = _BEGIN_S + i * _HOUR_S
            times_s = sorted(draw.uniform(0.0, _HOUR_S) for _ in range(round(rate_rps * _HOUR_S)))
            lines = [(time_s, f"{method} {target}") for time_s in times_s]
            lines += [(_HOUR_S / _N_HEALTH_CHECKS * k, "GET /health") for k in range(_N_HEALTH_CHECKS)]
            for time_s, asked in sorted(lines):
                stamp = datetime.fromtimestamp(int(begin_s + time_s), UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
                log.write(f'10.0.0.7 - - [{stamp}] "{asked} HTTP/1.1" 200 128 "-" "client/1.0"\n')


if __name__ == "__main__":
    write_log(Path(sys.argv[1]), request="GET /recommend", rates_rps=(60.0, 150.0, 90.0))
