"""Estimates and money: the bounds hold whatever the numbers are."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router import estimate
from router.estimate import Load
from schemas.assignment import Price

PRICES = st.builds(
    Price,
    input_nanousd_per_million_tokens=st.integers(0, 10**11),
    output_nanousd_per_million_tokens=st.integers(0, 10**11),
    nanousd_per_compute_ms=st.sampled_from([0, 0, 120, 10**6]),
    source=st.just("test"),
    as_of=st.just("2026-11-22"),
)
LOADS = st.builds(Load, most_input_tokens=st.integers(0, 10**6), input_tokens=st.integers(0, 10**6))
CEILINGS = st.integers(0, 10**15)


@settings(deadline=None)
@given(PRICES, LOADS, CEILINGS)
def test_prompt_and_output_together_never_cost_more_than_the_ceiling(price: Price, load: Load, ceiling: int) -> None:
    """A63: the prompt's cost is taken off first, at the chosen model's own prices, in integers."""
    tokens = estimate.affordable_tokens(price, load, ceiling)
    if tokens is None:
        tokens = 10**6
    if tokens < 0:
        assert estimate.least_ceiling(price, load, 0) > ceiling
        return
    assert estimate.least_ceiling(price, load, tokens) <= ceiling
    output = estimate.money(price, 0, tokens)
    prompt = estimate.money(price, load.most_input_tokens, 0)
    assert prompt + output <= ceiling + 1  # each part alone is rounded up once


@settings(deadline=None)
@given(PRICES, LOADS, CEILINGS)
def test_not_one_token_is_left_lying_about(price: Price, load: Load, ceiling: int) -> None:
    tokens = estimate.affordable_tokens(price, load, ceiling)
    if tokens is not None and tokens >= 0:
        assert estimate.least_ceiling(price, load, tokens + 1) > ceiling


@settings(deadline=None)
@given(PRICES, LOADS, CEILINGS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_one_attempt_is_never_taken_to_cost_more_than_the_ceiling(
    price: Price, load: Load, ceiling: int, tokens: int, timeout_ms: int
) -> None:
    assert estimate.most_cost(price, load, tokens, ceiling=ceiling, read_timeout_ms=timeout_ms) <= ceiling


def test_each_started_nano_dollar_counts_once_per_call() -> None:
    price = Price(input_nanousd_per_million_tokens=1, output_nanousd_per_million_tokens=1, source="t", as_of="t")
    assert estimate.money(price, 1, 1) == 1
    assert estimate.money(price, 500_000, 500_000) == 1
    assert estimate.money(price, 500_000, 500_001) == 2


def test_compute_time_costs_by_the_millisecond() -> None:
    price = Price(nanousd_per_compute_ms=120, source="t", as_of="t")
    assert estimate.money(price, 10**6, 10**6, compute_ms=3) == 360


@settings(deadline=None)
@given(st.lists(st.text(max_size=200), min_size=1, max_size=6))
def test_no_byte_level_tokenizer_makes_more_tokens_than_the_bound(texts: list[str]) -> None:
    """A token has at least one byte, and a chat template puts some tokens around each message."""
    messages = [{"role": "user", "content": text} for text in texts]
    load = estimate.load_of("chat-completion", {"messages": messages})
    assert load.most_input_tokens >= sum(len(text.encode()) + 16 for text in texts) + 64
    generation = estimate.load_of("text-generation", {"inputs": texts[0]})
    assert generation.most_input_tokens >= len(texts[0].encode()) + 64


def test_tools_count_more_than_their_bytes() -> None:
    tool = {"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": "Book a table"}]}
    with_tool = estimate.load_of("chat-completion", {**asked, "tools": [tool]})
    assert with_tool.most_input_tokens - estimate.load_of("chat-completion", asked).most_input_tokens >= 200


@pytest.mark.parametrize(
    ("task", "task_input", "tokens"),
    [
        ("chat-completion", {"messages": [], "max_tokens": 20}, 20),
        ("chat-completion", {"messages": [], "max_tokens": 20.0}, 20),
        ("chat-completion", {"messages": [], "max_tokens": None}, None),
        ("chat-completion", {"messages": [], "max_completion_tokens": 7}, 7),
        ("chat-completion", {"messages": [], "parameters": {"max_new_tokens": 7}}, None),
        ("text-generation", {"inputs": "x", "parameters": {"max_new_tokens": 7}}, 7),
        ("text-generation", {"inputs": "x", "max_tokens": 7}, None),
        ("feature-extraction", {"inputs": "x", "max_tokens": 7}, None),
    ],
)
def test_a_wish_for_tokens_is_read_where_the_task_keeps_it(
    task: str, task_input: dict[str, Any], tokens: int | None
) -> None:
    assert estimate.asked_tokens(task, task_input) == tokens
