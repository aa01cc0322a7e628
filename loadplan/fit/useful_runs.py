"""Which live runs a fit can learn from: the valid ones with enough right answers that nobody disturbed."""

import numpy as np
from numpy.typing import NDArray

from loadplan.load.records import LoadRun, Outcome
from loadplan.load.verdict import clean_windows_of_each, due_in_clean_window

N_ANSWERS_LEAST = 30  # quantiles of fewer say nothing about a law


def right_and_clean(run: LoadRun) -> NDArray[np.bool_]:
    """(n_requests,) whether each was answered right and fell due while nobody robbed the generator's core."""
    log = run.requests
    is_clean = due_in_clean_window(log.due_s, clean_windows_of_each(run.lost, duration_s=run.spec.duration_s))
    return np.asarray(is_clean & (log.outcome == np.uint8(Outcome.OK)))


def reasons_against(run: LoadRun) -> tuple[str, ...]:
    """Why a run says too little; empty where it says enough."""
    if not run.verdict.valid:
        return run.verdict.invalid_reasons
    n_answers = int(right_and_clean(run).sum())
    if n_answers >= N_ANSWERS_LEAST:
        return ()
    return (f"{n_answers} right answers in undisturbed time, {N_ANSWERS_LEAST} must be",)
