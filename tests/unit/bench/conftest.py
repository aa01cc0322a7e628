"""Visits with known times."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from loadplan.bench.records import BenchCell, CellRound
from loadplan.execution import ExecutionConfig

MakeRound = Callable[..., CellRound]


@pytest.fixture
def make_round() -> MakeRound:
    def make(
        times_s: Sequence[float],
        *,
        i: int = 0,
        batch_size: int = 1,
        lost_ratio: float = 0.0,
        variant: str = "fp32",
        n_threads: int = 1,
        apart_ratio: float | None = None,
    ) -> CellRound:
        return CellRound(
            cell=BenchCell(execution=ExecutionConfig(variant=variant, n_threads=n_threads), batch_size=batch_size),
            i_round=i,
            service_times_s=np.array(times_s, dtype=np.float64),
            lost_ratio=lost_ratio,
            dropped_ratio=lost_ratio / 10,
            apart_ratio=apart_ratio,
        )

    return make
