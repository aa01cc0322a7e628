"""How fast the load generator is on this machine: `python -m tests.performance.generator`. Prints, asserts nothing.

The fake server spins on one core, the generator on another. For each rate: the generator's send delay, and the
response time beside what the server stamped itself; the difference is the wire and the two ends' own work.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import numpy as np
from numpy.typing import NDArray

from loadplan.load.driver import run_load
from loadplan.load.messages.requests import PreparedRequests, plain_requests, v2_requests
from loadplan.load.records import LoadSpec
from loadplan.load.verdict import clean_windows, due_in_clean_window
from loadplan.machine import read_machine, usable_cores
from loadplan.scenario.arrivals import PoissonArrivals
from loadplan.scenario.payloads import PayloadSet
from loadplan.scenario.rows_law import always
from loadplan.stats import percentile

_FAKE = Path(__file__).parents[1] / "fakes" / "fake_server.py"
_RATES_RPS = (1.0, 10.0, 100.0, 1000.0, 4000.0, 8000.0, 12_000.0, 16_000.0, 20_000.0)
_DURATION_S = 3.0
_DELAY_ALLOWED_S = 1e-4


def show(rate_rps: float, law: dict[str, object], *, checks_answers: bool) -> bool:
    """One run, one line; whether the generator kept its promise."""
    generator_core = usable_cores()[-1]
    with fake_server(law) as url:
        spec = LoadSpec(
            name="speed",
            purpose="ad_hoc",
            arrivals=PoissonArrivals(),
            offered_rate_rps=rate_rps,
            duration_s=max(_DURATION_S, 10.0 / rate_rps),
            seed=1,
            timeout_s=0.5,
            setting=None,
        )
        requests = _checked() if checks_answers else plain_requests("/", body=b"x" * 300)
        run = run_load(spec, url=url, requests=requests, machine=read_machine(), core=generator_core)
        with urlopen(f"{url}/stamps") as answer:
            stamps = json.load(answer)
    log = run.requests
    is_clean = due_in_clean_window(log.due_s, clean_windows(run.lost, duration_s=spec.duration_s))
    delays_s = (log.sent_s - log.due_s)[is_clean]
    inside_s = np.array(stamps["departures"]) - np.array(stamps["arrivals"])
    seen_s = (log.done_s - log.sent_s)[is_clean]
    if not is_clean.any():
        sys.stdout.write(f"{rate_rps:8.0f}/s  no clean window: the machine is too busy\n")
        return False
    cells = [
        f"{rate_rps:8.0f}/s",
        f"send delay p50 {percentile(delays_s, 0.5) * 1e6:6.1f} p99 {percentile(delays_s, 0.99) * 1e6:7.1f} µs",
        f"seen p50 {percentile(seen_s, 0.5) * 1e6:7.0f} p99 {percentile(seen_s, 0.99) * 1e6:7.0f} µs",
        f"stamped p50 {percentile(inside_s, 0.5) * 1e6:7.0f} p99 {percentile(inside_s, 0.99) * 1e6:7.0f} µs",
        "agree" if _agrees(seen_s, inside_s) else "DIFFER by more than 2 % or 0.2 ms",
        f"clean {run.verdict.clean_ratio:4.0%} failed {run.verdict.n_failed}",
        "valid" if run.verdict.valid else "invalid: " + "; ".join(run.verdict.invalid_reasons),
    ]
    sys.stdout.write("  ".join(cells) + "\n")
    return percentile(delays_s, 0.99) <= _DELAY_ALLOWED_S


def _agrees(seen_s: NDArray[np.float64], stamped_s: NDArray[np.float64]) -> bool:
    """Whether p50 and p99 are within 2 % or 0.2 ms of what the server stamped itself."""
    pairs = [(percentile(seen_s, q), percentile(stamped_s, q)) for q in (0.5, 0.99)]
    return all(abs(seen - stamped) <= max(0.02 * stamped, 0.0002) for seen, stamped in pairs)


def h2load_line(rate_rps: float) -> str:
    """What h2load shows of the same server in a closed loop as fast as it goes; for orientation only."""
    program = shutil.which("h2load")
    if program is None:
        return "h2load: not installed"
    with fake_server({"is_fast": True}) as url:
        said = subprocess.run(
            [program, "--h1", "-c", "16", "-n", str(int(3 * rate_rps)), url],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    return "h2load: " + "; ".join(
        line.strip() for line in said.splitlines() if line.startswith(("finished", "request "))
    )


@contextmanager
def fake_server(law: dict[str, object]) -> Iterator[str]:
    """The fake server on a core of its own, and its address."""
    server = subprocess.Popen(
        [sys.executable, str(_FAKE), json.dumps(law | {"is_spinning": True})],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        os.sched_setaffinity(server.pid, {usable_cores()[0]})
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.kill()


def _checked() -> PreparedRequests:
    x = np.random.default_rng(1).normal(size=(1000, 32)).astype(np.float32)
    payloads = PayloadSet(inputs={"x": x}, expected={"y": 2.0 * x[:, 0]}, segments=("",) * 1000, labels=None)
    return v2_requests(payloads, model="m", rows_per_request=always(1))


def main() -> None:
    """Rates up to where the promise breaks, then the price of checking answers."""
    sys.stdout.write("fixed service time of 2 ms, all at once\n")
    for rate in _RATES_RPS[:6]:
        show(rate, {"service_s": 0.002, "is_fast": True}, checks_answers=False)
    sys.stdout.write("no service time\n")
    best_rps = max((r for r in _RATES_RPS[3:] if show(r, {"is_fast": True}, checks_answers=False)), default=0.0)
    sys.stdout.write(f"highest of these rates at p99 send delay ≤ 0.1 ms: {best_rps:.0f}/s\n")
    sys.stdout.write("every answer checked\n")
    checked = (1000.0, 4000.0, 8000.0, 10_000.0, 12_000.0)
    best_rps = max((rate for rate in checked if show(rate, {}, checks_answers=True)), default=0.0)
    sys.stdout.write(f"highest of these rates at p99 send delay ≤ 0.1 ms, every answer checked: {best_rps:.0f}/s\n")
    sys.stdout.write(h2load_line(10_000.0) + "\n")


if __name__ == "__main__":
    main()
