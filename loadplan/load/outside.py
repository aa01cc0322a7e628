"""A live run as someone further away would have seen it: with what lies beside the server added, request by request.

A run against a server on the same machine, or in the same network, meets nothing of what lies between callers and the
replica, nor of what is fetched before the model is asked. What is added here is drawn from the scenario's laws of it,
never measured.
"""

from dataclasses import replace

import numpy as np

from loadplan.load.records import LoadRun
from loadplan.scenario.outside import Vantage, draw_delays_s


def seen_from(run: LoadRun, vantage: Vantage) -> LoadRun:
    """The same run, every answer as much later as its request was delayed; where nothing does, it is the run itself."""
    if not vantage.delays:
        return run
    rng = np.random.default_rng(run.spec.seed)
    done_s = run.requests.done_s
    for delay in vantage.delays:
        done_s = done_s + draw_delays_s(delay, run.requests.n_requests, rng)
    return replace(run, requests=replace(run.requests, done_s=done_s))
