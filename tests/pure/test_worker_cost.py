"""Money: integers, exact, never less than what was used."""

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.assignment import Candidate, Price
from schemas.base import MAX_NANOUSD
from schemas.units import UNITS, Unit
from workers.attempt import clocked_ms
from workers.cost import Charge, charge, together
from workers.exchange import Answer, count, measured, milliseconds, text_bytes, tokens_in

tokens = st.integers(0, 10**7)
prices = st.integers(0, 10**12)


def price(inp: int = 0, out: int = 0, ms: int = 0) -> Price:
    return Price(
        input_nanousd_per_million_tokens=inp,
        output_nanousd_per_million_tokens=out,
        nanousd_per_compute_ms=ms,
        source="test",
        as_of="2026-11-22",
    )


@given(tokens, tokens, prices, prices)
def test_a_charge_is_the_exact_cost_rounded_up_once(inp: int, out: int, each_in: int, each_out: int) -> None:
    exact = Fraction(inp * each_in + out * each_out, 10**6)
    made = charge({"input_tokens": inp, "output_tokens": out}, price(each_in, each_out))
    assert exact <= made.nanousd < exact + 1 or made.nanousd == MAX_NANOUSD
    assert isinstance(made.nanousd, int)


@given(tokens, tokens, st.integers(0, 100), st.integers(1, 10**9))
def test_more_units_never_cost_less(inp: int, out: int, more: int, each: int) -> None:
    less = charge({"input_tokens": inp, "output_tokens": out}, price(each, each))
    assert charge({"input_tokens": inp + more, "output_tokens": out}, price(each, each)).nanousd >= less.nanousd


def test_compute_is_paid_by_the_millisecond() -> None:
    assert charge({"compute_ms": 123}, price(ms=120)) == Charge(14_760, "computed")


def test_calls_and_characters_are_facts_that_nobody_has_to_report() -> None:
    spoken = Price(nanousd_per_call=7, nanousd_per_million_characters=2_000_000, source="test", as_of="2026-11-22")
    assert charge({}, spoken, estimate={"calls": 1, "characters": 5}) == Charge(17, "computed")
    assert charge({}, spoken, estimate={"calls": 1}).source == "estimated"


def test_what_was_not_reported_is_estimated_and_says_so() -> None:
    made = charge({"input_tokens": 10}, price(10**6, 10**6), estimate={"input_tokens": 99, "output_tokens": 5})
    assert made == Charge(15, "estimated")


def test_a_unit_without_a_price_needs_no_report() -> None:
    assert charge({"compute_ms": 7}, price(ms=2)).source == "computed"


def test_what_the_provider_tells_wins_and_no_price_is_not_zero() -> None:
    assert charge({"input_tokens": 10}, price(10**6), told_nanousd=3) == Charge(3, "provider")
    assert charge({"input_tokens": 10}, price()) == Charge(0, "none")


def test_together_the_least_certain_source_is_told() -> None:
    assert together([Charge(1, "provider"), Charge(2, "estimated"), Charge()]) == Charge(3, "estimated")
    assert together([]) == Charge(0, "none")


@pytest.mark.parametrize(
    ("seconds", "ms"),
    [
        ("0.123", 123), ("0.29", 290), ("1.001", 1001), ("2", 2000), ("0.0001", 1), ("0", 0), ("1.005", 1005),
        ("-1", None), ("nan", None), ("inf", None), ("", None), (None, None), ("1e99", None), ("soon", None),
    ],
)  # fmt: skip
def test_compute_time_is_read_exactly(seconds: str | None, ms: int | None) -> None:
    assert milliseconds(seconds) == ms


@given(st.integers(0, 10**9))
def test_milliseconds_survive_the_header(ms: int) -> None:
    assert milliseconds(f"{ms // 1000}.{ms % 1000:03d}") == ms


@given(st.text(max_size=30) | st.integers() | st.floats() | st.booleans() | st.none())
def test_a_count_is_a_whole_number_or_nothing(value: object) -> None:
    counted = count(value)
    assert counted is None or 0 <= counted <= 10**12


def test_headers_tell_units() -> None:
    told = {"x-compute-time": "0.5", "x-prompt-tokens": "7", "x-generated-tokens": "x"}
    assert measured(told) == {"compute_ms": 500, "input_tokens": 7}


def test_four_bytes_are_a_token() -> None:
    assert [tokens_in(size) for size in (0, 1, 4, 5)] == [0, 1, 1, 2]
    assert text_bytes({"a": ["é", {"b": "xy"}], "c": 3}) == 4


def test_every_units_price_is_counted_exactly() -> None:
    """One of what a price is for costs that price, whatever the price is for: a call or a million tokens."""
    for unit in UNITS:
        price = Price(**{unit.price: 7}, source="test", as_of="2026-11-22")
        for number, costs in ((unit.per, 7), (1, -(-7 // unit.per))):
            usage = {unit.name: number} | ({unit.part_of: number} if unit.part_of else {})
            assert charge(usage, price) == Charge(costs, "computed")


PARTS = [unit for unit in UNITS if unit.part_of]
WHOLES = {unit.name: unit for unit in UNITS}


@given(st.sampled_from(PARTS), prices, st.integers(1, 10**12), tokens, st.integers(0, 10**7))
def test_a_part_with_a_price_of_its_own_is_charged_at_it_and_never_a_second_time(
    part: Unit, whole: int, own: int, count: int, of_these: int
) -> None:
    """U31: 1,000 tokens of which 900 were cached are 100 at one price and 900 at the other."""
    asked = Price(**{WHOLES[part.part_of].price: whole, part.price: own}, source="test", as_of="2026-11-22")
    of_these = min(of_these, count)
    exact = Fraction((count - of_these) * whole + of_these * own, part.per)
    made = charge({part.part_of: count, part.name: of_these}, asked)
    assert exact <= made.nanousd < exact + 1 or made.nanousd == MAX_NANOUSD
    assert made.source == "computed"


@given(st.sampled_from(PARTS), prices, tokens, tokens)
def test_a_part_without_a_price_of_its_own_is_charged_with_the_whole(
    part: Unit, each: int, count: int, of_these: int
) -> None:
    asked = Price(**{WHOLES[part.part_of].price: each}, source="test", as_of="2026-11-22")
    assert charge({part.part_of: count, part.name: of_these}, asked) == charge({part.part_of: count}, asked)


def test_a_part_that_is_not_told_or_larger_than_its_whole_costs_no_less_than_it_may_have() -> None:
    cheaper = price(100 * 10**6).model_copy(update={"cached_input_nanousd_per_million_tokens": 10 * 10**6})
    assert charge({"input_tokens": 5}, cheaper) == Charge(500, "computed")
    assert charge({"input_tokens": 5, "cached_input_tokens": 6}, cheaper) == Charge(500, "computed")
    dearer = price(0, 100 * 10**6).model_copy(update={"reasoning_nanousd_per_million_tokens": 300 * 10**6})
    assert charge({"output_tokens": 5}, dearer) == Charge(1_500, "estimated")
    assert charge({"output_tokens": 5, "reasoning_tokens": 6}, dearer) == Charge(1_500, "estimated")
    assert charge({"output_tokens": 5, "reasoning_tokens": 0}, dearer) == Charge(500, "computed")


def test_what_is_known_to_cost_nothing_costs_nothing_and_what_is_unknown_is_not_said_to() -> None:
    free = price().model_copy(update={"is_free": True})
    assert charge({"input_tokens": 10**6}, free) == Charge(0, "computed")
    assert charge({"input_tokens": 10**6}, price()) == Charge(0, "none")


@given(st.integers(0, 10**6), st.integers(0, 10**9), st.integers(1, 10**6), st.integers(0, 10**6))
def test_the_time_that_our_clock_took_is_never_charged_beyond_the_ceiling(
    took_ms: int, ceiling: int, each: int, spoken: int
) -> None:
    """A slow upload, a long way back, a queue: none of it was computing, and none of it was reserved."""
    asked = price(ms=each).model_copy(update={"nanousd_per_call": spoken})
    candidate = Candidate(
        model="m", provider="p", provider_model="m", dialect="replicate", base_url="https://e.example", price=asked,
        max_in_flight=1, estimate_nanousd=0, ceiling_nanousd=ceiling,
    )  # fmt: skip
    answer = Answer({}, estimate={"calls": 1})
    clocked = clocked_ms(answer, candidate, timedelta(milliseconds=took_ms))
    made = charge({}, asked, estimate={"calls": 1, "compute_ms": clocked})
    assert made.nanousd <= max(ceiling, spoken)
    assert clocked == took_ms or made.nanousd + each > ceiling
    told = Answer({}, usage={"compute_ms": 5})
    assert clocked_ms(told, candidate, timedelta(milliseconds=took_ms)) == took_ms
