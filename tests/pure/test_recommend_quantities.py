"""What quantities in a sentence limit."""

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.discovery.phrases import plain
from hub.recommend.numbers import Limit, Odd, number
from hub.recommend.quantities import limits
from hub.recommend.since import since

CENT, DOLLAR = 10_000_000, 1_000_000_000


def read(sentence: str) -> dict[str, int]:
    return {name: value for one in limits(plain(sentence)[0]) if isinstance(one, Limit) for name, value in one.values}


@pytest.mark.parametrize(
    ("sentence", "limited"),
    [
        ("under 1 GB", {"max_bytes": 10**9}),
        ("no bigger than 750 MB", {"max_bytes": 750 * 10**6}),
        ("höchstens 2,5 GB", {"max_bytes": 2_500_000_000}),
        ("fits in 8 GB of VRAM", {"max_memory_bytes": 8 * 10**9}),
        ("a 16 GB GPU", {"max_memory_bytes": 16 * 10**9}),
        ("at most 3 billion parameters", {"max_parameters": 3 * 10**9}),
        ("7b or smaller", {"max_parameters": 7 * 10**9}),
        ("weniger als 500 Mio Parameter", {"max_parameters": 500 * 10**6}),
        ("larger than 70B", {"min_parameters": 70 * 10**9}),
        ("between 1B and 3B", {"min_parameters": 10**9, "max_parameters": 3 * 10**9}),
        ("1-3B params", {"min_parameters": 10**9, "max_parameters": 3 * 10**9}),
        ("a 7B model", {"min_parameters": 5_250_000_000, "max_parameters": 8_750_000_000}),
        ("$0.50 per 1M tokens", {"max_nanousd_per_mtok": DOLLAR // 2}),
        ("50 cents per million output tokens", {"max_nanousd_per_mtok": DOLLAR // 2}),
        ("$2 per 1k tokens", {"max_nanousd_per_mtok": 2_000 * DOLLAR}),
        ("$3/Mtok", {"max_nanousd_per_mtok": 3 * DOLLAR}),
        ("less than half a cent per request", {"max_nanousd_per_request": CENT // 2}),
        ("$5 per 1,000 images", {"max_nanousd_per_request": CENT // 2}),
        ("a cent each", {"max_nanousd_per_request": CENT}),
        ("$100 a month", {"max_nanousd_per_month": 100 * DOLLAR}),
        ("a monthly budget of 20 dollars", {"max_nanousd_per_month": 20 * DOLLAR}),
        ("1.5k requests a day", {"requests_per_month": 45_000}),
        ("10 requests per second", {"requests_per_month": 25_920_000}),
        ("answers within 200ms", {"max_latency_ms": 200}),
        ("in less than half a second", {"max_latency_ms": 500}),
        ("sub-second", {"max_latency_ms": 1_000}),
        ("moins de 2 secondes", {"max_latency_ms": 2_000}),
        ("32k context", {"min_context_tokens": 32_000}),
        ("a context window of at least 128,000 tokens", {"min_context_tokens": 128_000}),
        ("more than 10k downloads", {"min_downloads": 10_000}),
        ("500+ likes", {"min_likes": 500}),
    ],
)
def test_a_quantity_with_its_unit_is_a_limit(sentence: str, limited: dict[str, int]) -> None:
    assert read(sentence) == limited


@pytest.mark.parametrize(
    "sentence",
    ["clips of 30 seconds", "a 2 hour meeting", "in 3 languages", "room 101", "the year 2024", "4 labels", "top 5"],
)
def test_what_is_no_limit_of_a_model_is_left_to_be_told(sentence: str) -> None:
    assert read(sentence) == {}


@pytest.mark.parametrize(
    ("sentence", "why"),
    [
        ("€20 a month", "not in US dollars"),
        ("15 pounds", "not in US dollars"),
        ("a budget of $50", "without what it is for"),
        ("at least 2 GB", "lower limit"),
    ],
)
def test_a_limit_that_cannot_be_held_is_odd_and_says_why(sentence: str, why: str) -> None:
    found = [one for one in limits(plain(sentence)[0]) if isinstance(one, Odd)]

    assert len(found) == 1
    assert why in found[0].why
    assert read(sentence) == {}


def test_a_budget_and_a_number_of_requests_stand_beside_each_other() -> None:
    assert read("$100 a month for 50,000 requests a day") == {
        "max_nanousd_per_month": 100 * DOLLAR,
        "requests_per_month": 1_500_000,
    }


@pytest.mark.parametrize(
    ("told", "value"),
    [("1,500", 1_500), ("0,5", 0.5), (".5", 0.5), ("half a", 0.5), ("two", 2), ("two and a half", 2.5),
     ("a quarter of a", 0.25), ("ten thousand", 10_000), ("1'000", 1_000)],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(told: str, value: float) -> None:
    assert number(told) == value


@given(st.integers(1, 999), st.sampled_from(["b", "B", " billion parameters", "bn params"]))
def test_every_count_of_thousand_millions_is_read_exactly(count: int, unit: str) -> None:
    assert read(f"under {count}{unit}") == {"max_parameters": count * 10**9}


@given(st.text(max_size=300))
def test_any_text_is_read_without_a_fault_and_no_character_twice(text: str) -> None:
    flat, places = plain(text)
    found = limits(flat)

    assert len(places) == len(flat) + 1
    spans = sorted((one.start, one.end) for one in found)
    assert all(0 <= start < end <= len(flat) for start, end in spans)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))


@pytest.mark.parametrize(
    ("sentence", "days"),
    [
        ("newer than 6 months", 180),
        ("released in the last two weeks", 14),
        ("not older than a year", 365),
        ("since 2025", 690),
        ("after 2025", 325),
        ("this year", 325),
        ("aus den letzten drei Monaten", 90),
    ],
)
def test_how_young_a_model_is_to_be_is_read_in_days(sentence: str, days: int) -> None:
    found = list(since(plain(sentence)[0], datetime(2026, 11, 22, 12, tzinfo=UTC)))

    assert [one[0] for one in found] == [days]
