"""From which peak on something holds."""

from hypothesis import given
from hypothesis import strategies as st

from loadplan.plan.around.crossing import crossing


@given(peak=st.floats(0.01, 1e6), share=st.floats(1.01 / 64, 63.9))
def test_a_threshold_is_found_to_half_a_percent(peak: float, share: float) -> None:
    found = crossing(lambda peak_rps: peak_rps > share * peak, peak_rps=peak)
    assert found.from_rps is not None
    assert share * peak < found.from_rps <= 1.0051 * share * peak
    assert not found.is_always


def test_what_always_holds_is_told_from_the_least_peak_on() -> None:
    found = crossing(lambda _peak_rps: True, peak_rps=640.0)
    assert (found.from_rps, found.is_always, found.tried_to_rps) == (10.0, True, 40_960.0)


def test_what_ceases_to_hold_at_the_highest_peak_has_no_beginning() -> None:
    found = crossing(lambda peak_rps: peak_rps < 40_960.0, peak_rps=640.0)
    assert (found.from_rps, found.is_always) == (None, False)


def test_where_it_ceases_between_two_peaks_that_are_tried_the_step_tells() -> None:
    # 640 and 761 are neighbours.
    def holds(peak_rps: float) -> bool:
        return not 700.0 < peak_rps < 720.0

    assert crossing(holds, peak_rps=640.0).is_always
    found = crossing(holds, peak_rps=640.0, steps_rps=[1.0, 700.0, 1e9])
    assert found.from_rps is not None
    assert 720.0 <= found.from_rps <= 724.0


def test_it_is_the_last_beginning_that_counts() -> None:
    found = crossing(lambda peak_rps: 100.0 < peak_rps < 1000.0 or peak_rps > 5000.0, peak_rps=640.0)
    assert found.from_rps is not None
    assert 5000.0 < found.from_rps <= 5025.0
