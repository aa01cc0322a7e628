"""Durations and shares as people type them."""

from decimal import Decimal

import pytest

from loadplan.errors import InputError
from loadplan.units import in_cents, parse_duration, parse_percent, usd_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250us", 0.00025), ("500ms", 0.5), ("60s", 60.0), ("1.5s", 1.5), ("5m", 300.0), ("2h", 7200.0), (" 3s ", 3.0)],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize("text", ["60", "", "s", "1 s", "-1s", "1e3s", "nan", "inf", "1.s", "1d", "1s2s"])
def test_anything_else_is_refused_with_the_text_that_was_typed(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_duration(text)
    assert repr(text) in caught.value.what
    assert "500ms" in caught.value.fix


@pytest.mark.parametrize(("text", "ratio"), [("3%", 0.03), ("2.5 %", 0.025), (" 0% ", 0.0), ("150%", 1.5)])
def test_a_share_is_read_as_a_ratio(text: str, ratio: float) -> None:
    assert parse_percent(text) == pytest.approx(ratio, rel=1e-12)


@pytest.mark.parametrize("text", ["3", "0.03", "-3%", "%", "nan%", "3%%", ""])
def test_any_other_share_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a share"):
        parse_percent(text)


@pytest.mark.parametrize(
    ("usd", "cents"), [("130.305", "130.31"), ("130.3049", "130.30"), ("-0.005", "-0.01"), ("1E+3", "1000.00")]
)
def test_half_a_cent_is_rounded_up_as_bills_do_it(usd: str, cents: str) -> None:
    assert str(in_cents(Decimal(usd))) == cents


def test_dollars_have_two_decimals_and_parted_thousands() -> None:
    assert usd_text(Decimal("1234567.125")) == "$1,234,567.13"
