"""Dollars as text: exact, or refused with the value and the limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.money.amounts import BadAmount, dollars, nanousd
from schemas.base import MAX_NANOUSD


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("5", 5_000_000_000),
        ("5.00", 5_000_000_000),
        ("$0.25", 250_000_000),
        (" .5 ", 500_000_000),
        ("1e-6", 1_000),
        ("0.000000001", 1),
        ("0", 0),
        ("-0.0", 0),
        ("1000000", MAX_NANOUSD),
    ],
)
def test_decimal_dollars_are_read_to_the_nano_dollar(text, amount):
    assert nanousd(text) == amount


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-5", "less than 0.00"),
        ("1000000.000000001", "more than 1000000.00"),
        ("1e999", "more than"),
        ("0.0000000001", "fraction of a nano-dollar"),
        ("1e-999", "fraction of a nano-dollar"),
        ("1.0000000000000000000000000000000001", "fraction of a nano-dollar"),
        ("NaN", "no amount"),
        ("inf", "no amount"),
        ("1,50", "no amount"),
        ("1_000", "no amount"),
        ("٥", "no amount"),
        ("", "no amount"),
        ("9" * 41, "has 41 characters; an amount may have 40"),
    ],
)
def test_what_is_no_exact_amount_is_refused_with_its_value_and_the_limit(text, reason):
    with pytest.raises(BadAmount, match=reason) as refused:
        nanousd(text)

    assert repr(text[:10])[:-1] in str(refused.value)


@given(st.integers(0, MAX_NANOUSD))
def test_what_is_written_as_dollars_is_read_back(amount):
    assert nanousd(dollars(amount)) == amount


@given(st.text(max_size=60))
def test_any_text_is_an_amount_within_the_limits_or_refused(text):
    try:
        amount = nanousd(text)
    except BadAmount as error:
        amount, told = 0, str(error)
    else:
        told = ""

    assert 0 <= amount <= MAX_NANOUSD
    assert len(told) < 200
