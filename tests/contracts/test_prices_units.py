"""Every task has a price in its own unit, and no call that used something is free for want of one."""

from typing import Any

import pytest
from price_world import tokens
from task_rows import ask_of, completion, written

from router.estimate import expected_cost, rates
from router.load import load_of
from schemas.assignment import Price
from schemas.units import CACHED_INPUT_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, REASONING_TOKENS, UNITS
from workers.cost import charge
from workers.exchange import Reply
from workers.modalities import TASKS

FIELDS = {unit.name: unit.price for unit in UNITS}
BY_THE_UNIT = [(name, unit) for name in sorted(TASKS) for unit in TASKS[name].units]


@pytest.mark.parametrize(("task", "unit"), BY_THE_UNIT)
def test_a_call_that_is_charged_by_any_of_its_tasks_units_costs_something(task: str, unit: str) -> None:
    """U19: sound and pictures at nothing because the price was in a unit that nobody counted. Before the call it is
    expected to cost something, and afterwards it does so although no answer tells the unit."""
    price = Price(**{FIELDS[unit]: 1_000_000_000}, source="test", as_of="2026-11-22")
    expected = expected_cost(rates(price), load_of(task, written(task)), 64)
    assert expected > 0
    done = charge({}, price, estimate=ask_of(task).units, expected_nanousd=expected)
    assert done.nanousd > 0
    assert done.source != "none"


def answered(usage: dict[str, Any]) -> dict[str, int]:
    document = {**completion("Hello!"), "usage": usage}
    return dict(TASKS["chat-completion"].answer(ask_of("chat-completion"), Reply(document)).usage)


def test_cached_and_reasoning_tokens_are_read_as_parts_and_the_whole_is_not_made_smaller() -> None:
    usage = {
        "prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100,
        "prompt_tokens_details": {"cached_tokens": 900}, "completion_tokens_details": {"reasoning_tokens": 60},
    }  # fmt: skip
    told = answered(usage)
    assert told == {INPUT_TOKENS: 1_000, OUTPUT_TOKENS: 100, CACHED_INPUT_TOKENS: 900, REASONING_TOKENS: 60}
    apart = tokens(
        10**9, 4 * 10**9, cached_input_nanousd_per_million_tokens=10**8, reasoning_nanousd_per_million_tokens=2 * 10**9
    )
    assert charge(told, apart).nanousd == 100 * 1_000 + 900 * 100 + 40 * 4_000 + 60 * 2_000
    assert charge(told, tokens(10**9, 4 * 10**9)).nanousd == 1_000 * 1_000 + 100 * 4_000


@pytest.mark.parametrize(
    "details", [None, 7, [], {"cached_tokens": None}, {"cached_tokens": -1}, {"cached_tokens": "x"}]
)
def test_details_that_tell_no_count_tell_nothing(details: Any) -> None:
    told = answered({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": details})
    assert told == {INPUT_TOKENS: 10, OUTPUT_TOKENS: 5}
