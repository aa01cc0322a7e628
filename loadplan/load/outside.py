"""A live run as someone further away would have seen it: with what lies outside the replica added, request by request.

A run against a server on the same machine, or in the same network, meets nothing of what lies between callers and the
replica. What is added here is drawn from the scenario's law of it, never measured.
"""

from dataclasses import replace

import numpy as np

from loadplan.load.records import LoadRun
from loadplan.scenario.outside import Vantage, draw_delays_s


def seen_from(run: LoadRun, vantage: Vantage) -> LoadRun:
    """The same run, every answer as much later as its request spent outside; at the server it is the run itself."""
    if vantage.outside is None:
        return run
    rng = np.random.default_rng(run.spec.seed)
    done_s = run.requests.done_s + draw_delays_s(vantage.outside, run.requests.n_requests, rng)
    return replace(run, requests=replace(run.requests, done_s=done_s))
