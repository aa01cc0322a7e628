"""Errors say what, where and what to do, and survive the way between processes."""

import pickle

import pytest

from loadplan.errors import (
    EnvironmentFault,
    InputError,
    Interrupted,
    InvalidMeasurement,
    LoadplanError,
    ObjectiveMissed,
)

EXIT_CODES = {ObjectiveMissed: 1, InputError: 2, InvalidMeasurement: 3, EnvironmentFault: 4, Interrupted: 130}


@pytest.mark.parametrize(("kind", "code"), EXIT_CODES.items(), ids=lambda value: getattr(value, "__name__", str(value)))
def test_each_class_has_its_documented_exit_code(kind: type[LoadplanError], code: int) -> None:
    assert kind.exit_code == code


def test_every_class_is_covered_here() -> None:
    assert set(LoadplanError.__subclasses__()) == set(EXIT_CODES)


@pytest.mark.parametrize("kind", EXIT_CODES, ids=lambda kind: kind.__name__)
def test_an_error_comes_back_whole_from_another_process(kind: type[LoadplanError]) -> None:
    error = pickle.loads(pickle.dumps(kind(what="it broke", where="here", fix="mend it")))
    assert type(error) is kind
    assert (error.what, error.where, error.fix) == ("it broke", "here", "mend it")


def test_as_text_an_error_has_all_three_parts() -> None:
    assert str(InputError(what="it broke", where="line 3", fix="mend it")) == "it broke (line 3); mend it"
