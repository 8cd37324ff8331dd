"""What a call may cost and what it will probably cost, before it is made. Integers; money in nano-dollars.

Units times prices, over all units that `schemas.units` lists: the same sum as the bill's own (`workers.cost.charge`),
so a bound on each unit is a bound on the charge. What an input brings of each unit is counted in `router/load.py`.

One call gives one answer: a worker does not send `n` or `best_of`, and says so in the result's `adapted`.
"""

from collections.abc import Mapping
from typing import Any

from router import texts
from router.load import COMPUTE_MS_PER_OUTPUT_TOKEN, EXPECTED_OUTPUT_TOKENS, Load, whole
from schemas.assignment import Price
from schemas.units import COMPUTE_MS, OUTPUT_TOKENS, PARTS, UNITS

MICRO = 1_000_000
"""Prices are for a million, for a thousand or for one of a unit: sums are made in millionths of a nano-dollar."""
Rates = tuple[tuple[str, int], ...]
"""The units that a price charges, each with millionths of a nano-dollar for one of it; no parts of others."""

_WHOLES = tuple(
    (whole.name, (whole.price, *(part.price for part in PARTS[whole.name])), MICRO // whole.per)
    for whole in UNITS
    if not whole.part_of
)

_ASKED_TOKENS = {"chat-completion": ("max_tokens", "max_completion_tokens"), "text-generation": ("max_new_tokens",)}


def rates(price: Price) -> Rates:
    """A price as sums are made with it: the units that it charges alone.

    How much of the input a provider had read before, or how long a model will think, nobody knows before the call: a
    unit counts with the dearest of its own price and its parts', so that no part makes a call dearer than its bound.
    """
    listed = ((name, max(getattr(price, field) for field in fields) * scale) for name, fields, scale in _WHOLES)
    return tuple((name, each) for name, each in listed if each)


def asked_tokens(task: str, task_input: dict[str, Any]) -> int | None:
    """The output tokens that the job itself asks for, by whichever name its task knows; None if it does not say."""
    given = generation_parameters(task, task_input)
    for name in _ASKED_TOKENS.get(task, ()):
        count = whole(given.get(name))
        if count is not None:
            return count
    return None


def generation_parameters(task: str, task_input: dict[str, Any]) -> dict[str, Any]:
    """Where a task's input keeps its generation parameters: chat at the root, text generation under `parameters`."""
    return task_input if task == "chat-completion" else texts.parameters(task_input)


def money(charged: Rates, units: Mapping[str, int]) -> int:
    """The price of a call, a started nano-dollar counted whole: `ceil(sum(units * rate) / 10^6)`."""
    return -(-sum(units.get(unit, 0) * each for unit, each in charged) // MICRO)


def expected_cost(charged: Rates, load: Load, output_tokens: int) -> int:
    """What one call with at most `output_tokens` of generated output will probably cost."""
    return -(-expected_micro(charged, load, output_tokens) // MICRO)


def expected_micro(charged: Rates, load: Load, output_tokens: int) -> int:
    """The same in millionths of a nano-dollar, not rounded: what offers are ranked by."""
    output = min(output_tokens, EXPECTED_OUTPUT_TOKENS)
    return _micro(charged, load.expected, output, expected_compute_ms(load, output))


def expected_compute_ms(load: Load, output_tokens: int) -> int:
    """Compute time that a call will probably take, in ms."""
    return load.compute_ms + COMPUTE_MS_PER_OUTPUT_TOKEN * output_tokens


def least_ceiling(charged: Rates, load: Load, output_tokens: int) -> int:
    """The smallest ceiling under which a call with up to `output_tokens` of generated output may be made.

    Each unit counts with its upper bound. Compute time, and what a model makes by defaults of its own, have no bound
    before the call and count as expected: for an offer that charges by them the ceiling is held by what is recorded
    after each attempt. What the worker measures before it calls is left to the worker.
    """
    return -(-_micro(charged, load.least, output_tokens, expected_compute_ms(load, output_tokens)) // MICRO)


def most_cost(charged: Rates, load: Load, output_tokens: int, *, ceiling: int, silent_ms: int | None) -> int:
    """The most that one attempt is taken to cost; never above `ceiling`, and that where a charged unit has no bound.

    Compute time is bounded by `silent_ms`, the longest silence that is waited for. An answer that comes token by token
    is never silent, and one that is asked for again and again (None) takes as long: its compute time has no bound.
    """
    for unit, _ in charged:
        if unit not in load.most if unit != COMPUTE_MS else output_tokens or silent_ms is None:
            return ceiling
    return min(-(-_micro(charged, load.most, output_tokens, silent_ms or 0) // MICRO), ceiling)


def affordable_tokens(charged: Rates, load: Load, ceiling: int) -> int | None:
    """How many tokens of output `ceiling` pays for, the input's own upper bound taken off first.

    The brief's `int(budget / per_token)` forgot the prompt and took any model's price. Negative: not even the input
    can be paid. None: output is not charged.
    """
    left = ceiling * MICRO - _micro(charged, load.least, 0, expected_compute_ms(load, 0))
    each = of_a_token(charged)
    if each == 0:
        return None if left >= 0 else -1
    return left // each


def of_a_token(charged: Rates) -> int:
    """What one more token of output adds to the cost, in millionths of a nano-dollar."""
    return sum([_OF_A_TOKEN.get(unit, 0) * rate for unit, rate in charged])


_OF_A_TOKEN = {OUTPUT_TOKENS: 1, COMPUTE_MS: COMPUTE_MS_PER_OUTPUT_TOKEN}
"""Of each unit."""


def _micro(charged: Rates, units: Mapping[str, int], output_tokens: int, compute_ms: int) -> int:
    """Millionths of a nano-dollar: for `units`, and beside them generated tokens and compute time."""
    total = 0
    for unit, each in charged:
        count = compute_ms if unit == COMPUTE_MS else units.get(unit, 0)
        total += (count + output_tokens if unit == OUTPUT_TOKENS else count) * each
    return total
