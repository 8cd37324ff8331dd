"""How many tokens an offer may generate for a job: the tightest limit cuts, and is named."""

import pytest
from rulings import catalogue_of, offer

from router.limits import Clamped, clamp
from router.load import Load
from router.view import Limits
from schemas.units import INPUT_TOKENS

LIMITS = Limits(max_tokens=8_192, default_max_tokens=1_024)
INPUT = Load({INPUT_TOKENS: 4_000}, {INPUT_TOKENS: 4_000}, {INPUT_TOKENS: 4_000})
"""With its margin it fills 5,000 tokens of a context."""


@pytest.mark.parametrize(
    ("context", "asked", "given"),
    [
        (None, 6_000, Clamped(6_000, "job")),
        (20_000, 6_000, Clamped(6_000, "job")),
        (10_000, 6_000, Clamped(5_000, "context")),
        (10_000, None, Clamped(1_024, None)),
        (5_500, None, Clamped(500, "context")),
        (4_999, None, Clamped(-1, "context")),
        (20_000, 9_000, Clamped(8_192, "cap")),
        (13_192, 9_000, Clamped(8_192, "cap")),
        (13_191, 9_000, Clamped(8_191, "context")),
    ],
)
def test_a_context_leaves_to_the_answer_what_the_input_does_not_fill(
    context: int | None, asked: int | None, given: Clamped
):
    [one] = catalogue_of(offer(context_tokens=context)).offers

    assert clamp(asked, one, INPUT, 10**12, LIMITS) == given
