"""Where an inference runs is chosen by the time of a full batch, unless somebody chose."""

from loadplan.serve.inference_runner import choose_place


def test_auto_takes_a_thread_from_five_milliseconds_on() -> None:
    assert choose_place("auto", 4.9e-3) == "inline"
    assert choose_place("auto", 5.0e-3) == "thread"


def test_who_asks_gets_what_he_asked_for() -> None:
    assert choose_place("inline", 1.0) == "inline"
    assert choose_place("thread", 1e-6) == "thread"
