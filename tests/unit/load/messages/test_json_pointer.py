"""Pointers name what RFC 6901 says they name."""

import pytest

from loadplan.load.messages.json_pointer import NothingThere, value_at

# The document and the pointers of RFC 6901, section 5.
DOCUMENT = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8}
NAMED = {
    "": DOCUMENT,
    "/foo": ["bar", "baz"],
    "/foo/0": "bar",
    "/": 0,
    "/a~1b": 1,
    "/c%d": 2,
    "/e^f": 3,
    "/g|h": 4,
    "/i\\j": 5,
    '/k"l': 6,
    "/ ": 7,
    "/m~0n": 8,
}


@pytest.mark.parametrize(("pointer", "value"), NAMED.items())
def test_each_example_of_the_standard_is_found(pointer: str, value: object) -> None:
    assert value_at(DOCUMENT, pointer) == value


@pytest.mark.parametrize("pointer", ["/nope", "/foo/2", "/foo/-", "/foo/01", "/foo/-1", "/foo/٣", "/foo/0/x", "foo"])
def test_what_is_not_there_is_not_found(pointer: str) -> None:
    with pytest.raises(NothingThere):
        value_at(DOCUMENT, pointer)


def test_an_index_of_thousands_of_digits_is_not_found() -> None:
    with pytest.raises(NothingThere):
        value_at(["a"], "/" + "1" * 5000)
