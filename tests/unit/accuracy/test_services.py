"""The table of the services: what is judged, and what is left out because repeats are too far apart."""

from tests.accuracy.services import CapacityRow, Row, table
from tests.accuracy.table import Circumstances

ABOUT = Circumstances(commit="abc123", machine="a processor", date="2026-11-26", is_try=False, asked=("services",))


def row(name: str, p99_error: float | None, *, p99_floor: float | None = 0.02, is_bursty: bool = False) -> Row:
    return Row(
        subject="loop",
        name=name,
        is_bursty=is_bursty,
        errors=(0.01, -0.02, p99_error),
        floors=(0.01, 0.01, p99_floor),
        measured_s=(0.02, 0.05, 0.08),
    )


def capacity(predicted_rps: float) -> CapacityRow:
    return CapacityRow(
        subject="loop",
        low_rps=190.0,
        high_rps=210.0,
        predicted_rps=predicted_rps,
        predicted_low_rps=0.9 * predicted_rps,
        predicted_high_rps=1.1 * predicted_rps,
    )


def test_medians_are_of_what_repeats_agree_on_and_bursts_are_told_apart() -> None:
    rows = [
        row("30 %", 0.10),
        row("60 %", -0.20),
        row("70 %", 0.12),
        row("80 %", 0.90, p99_floor=0.3),  # repeats are as far apart, so nobody can judge it
        row("not driven", None, p99_floor=None),
        row("55 % bursty", -0.30, is_bursty=True),
    ]
    text = table(rows, [], [], ABOUT)
    assert "| p99 ≤ 15% | 12.0% over 3 | yes |" in text
    assert "| p99 of bursty arrivals ≤ 25 % | 30.0% over 1 | **no** |" in text
    assert "| loop | 80 % | +1.0% | 1.0% | -2.0% | 1.0% | +90.0% | 30.0% |" in text


def test_capacities_are_held_against_the_middle_of_their_bracket_and_unsafe_ones_are_counted() -> None:
    text = table([], [capacity(190.0), capacity(208.0), capacity(150.0)], ["loop: structure not suited"], ABOUT)
    assert "| loop | 190 to 210 | 190 | 171 to 209 | -5.0% |" in text
    assert "Capacity within 10 %: 2 of 3, worst 25.0%; above the live one by more than 3 %: 1." in text
    assert "Commit abc123, 2026-11-26, on a processor." in text
    assert "- loop: structure not suited" in text
