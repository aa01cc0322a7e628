"""Which columns are started how often, in virtual time."""

from collections.abc import Callable, Mapping

from loadplan.bench.handoff import StartAnswer
from loadplan.bench.resources import StartReading
from loadplan.bench.starts import measure_starts
from loadplan.execution import ExecutionConfig

A, B = ExecutionConfig(variant="fp32"), ExecutionConfig(variant="int8")
COLUMNS = {A: (1, 8), B: (1,)}


class VirtualStarts:
    """Starts that take known times on a clock of their own."""

    def __init__(self, took_s: Mapping[ExecutionConfig, float], failing: Mapping[ExecutionConfig, str] | None = None):
        self.took_s, self.failing = took_s, failing or {}
        self.clock_s = 0.0
        self.made: list[tuple[ExecutionConfig, int]] = []

    def now_s(self) -> float:
        return self.clock_s

    def start(self, execution: ExecutionConfig, i_start: int) -> StartAnswer:
        self.made.append((execution, i_start))
        self.clock_s += self.took_s[execution]
        if execution in self.failing:
            return StartAnswer(failure=self.failing[execution])
        return StartAnswer(reading=reading(execution, i_start))


def reading(execution: ExecutionConfig, i_start: int) -> StartReading:
    return StartReading(
        execution=execution, i_start=i_start, base_memory_bytes=1, load_s=1.0, first_inference_s=1.0, batches=()
    )


def measured(
    virtual: VirtualStarts,
    *,
    budget_s: float,
    done: tuple[StartReading, ...] = (),
    on_record: Callable[[StartReading], None] | None = None,
) -> list[tuple[ExecutionConfig, int]]:
    found = measure_starts(
        COLUMNS, virtual.start, budget_s=budget_s, done=done, on_record=on_record, now_s=virtual.now_s
    )
    return [(start.execution, start.i_start) for start in found.readings]


def test_columns_take_turns_and_three_starts_of_each_are_enough() -> None:
    virtual = VirtualStarts({A: 1.0, B: 1.0})
    found = measured(virtual, budget_s=1000.0)
    assert virtual.made == [(A, 0), (B, 0), (A, 1), (B, 1), (A, 2), (B, 2)]
    assert found == [(A, 0), (A, 1), (A, 2), (B, 0), (B, 1), (B, 2)]


def test_every_column_is_started_once_whatever_it_takes_and_again_only_while_there_is_time() -> None:
    slow = VirtualStarts({A: 100.0, B: 100.0})
    measured(slow, budget_s=2.0)
    assert slow.made == [(A, 0), (B, 0)]
    some = VirtualStarts({A: 1.0, B: 1.0})
    measured(some, budget_s=2.5)
    assert some.made == [(A, 0), (B, 0), (A, 1)]


def test_starts_that_were_kept_are_not_made_again() -> None:
    virtual = VirtualStarts({A: 1.0, B: 1.0})
    heard: list[StartReading] = []
    kept = (reading(A, 0), reading(B, 0), reading(A, 1), reading(ExecutionConfig(variant="gone"), 0))
    found = measured(virtual, budget_s=1000.0, done=kept, on_record=heard.append)
    assert virtual.made == [(B, 1), (A, 2), (B, 2)] == [(start.execution, start.i_start) for start in heard]
    assert len(found) == 6


def test_a_column_that_does_not_start_is_a_doubt_and_is_not_tried_again() -> None:
    virtual = VirtualStarts({A: 1.0, B: 1.0}, failing={A: "no answer within 1 s"})
    found = measure_starts(COLUMNS, virtual.start, budget_s=1000.0, now_s=virtual.now_s)
    assert virtual.made == [(A, 0), (B, 0), (B, 1), (B, 2)]
    assert {start.execution for start in found.readings} == {B}
    (caveat,) = found.caveats
    assert caveat.code == "bench.resources"
    assert "fp32 with 1 thread are not known: no answer within 1 s" in caveat.what
