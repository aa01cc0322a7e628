"""Numbers as people read them."""

from decimal import Decimal

import pytest

from loadplan.report.view import digits, given_ms, ms, ms_with_interval, percent, plain, usd
from loadplan.stats import Interval


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.0412345, "0.0412"),
        (3.6, "3.60"),
        (41.25, "41.2"),
        (99.96, "100"),
        (50.0, "50"),
        (50, "50"),
        (41_234.5, "41,234"),
        (1.5e-7, "1.5e-07"),
        (-3.25, "-3.25"),
    ],
)
def test_three_digits_and_whole_numbers_whole(value: float, shown: str) -> None:
    assert digits(value) == shown


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (0.0, "0 %"),
        (0.125, "12.5 %"),
        (1.0, "100 %"),
        (0.9999, "99.99 %"),
        (0.9995, "99.95 %"),
        (0.999999, "99.9999 %"),
        (8.5, "850 %"),
        (12.34, "1,234 %"),
    ],
)
def test_a_share_that_is_not_quite_all_is_never_shown_as_all(ratio: float, shown: str) -> None:
    assert percent(ratio) == shown


def test_milliseconds_come_from_seconds() -> None:
    assert ms(0.0412) == "41.2 ms"
    assert ms(None) == "unknown"


def test_a_limit_reads_as_it_was_written() -> None:
    assert given_ms(0.035) == "35 ms"
    assert given_ms(0.0001) == "0.1 ms"


def test_a_figure_without_an_interval_says_why() -> None:
    assert ms_with_interval(0.0415, Interval(low=0.038, high=0.0452)) == "41.5 ms (95 %: 38 to 45.2)"
    assert ms_with_interval(0.0415, None) == "41.5 ms (no interval: too few independent samples)"


def test_money_has_cents_and_parted_thousands() -> None:
    assert usd(Decimal("1234567.891")) == "$1,234,567.89"


def test_hidden_characters_are_written_out_and_letters_of_every_script_kept() -> None:
    assert plain("a\u202eb\u0000c\u2066d") == "a\\u202eb\\u0000c\\u2066d"
    assert plain("שלום مرحبا 数字") == "שלום مرحبا 数字"
