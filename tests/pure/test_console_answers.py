"""A result's money, as a person reads it."""

from typing import Any

import pytest

from console import answers

COST = {"status": "succeeded", "tenant": "acme", "job_id": "a1", "task": "chat-completion", "cost_nanousd": 1_070}
MONEY = {"quoted_nanousd": 1_200, "reserved_nanousd": 8_200, "paid_nanousd": 1_070, "priced_by": "brief/1 prices@812"}


@pytest.mark.parametrize(
    ("money", "told"),
    [
        (None, "$0.00000107"),
        (MONEY, "$0.00000107 (quoted $0.0000012, reserved $0.0000082, priced by brief/1 prices@812)"),
        (MONEY | {"quoted_nanousd": None}, "$0.00000107 (reserved $0.0000082, priced by brief/1 prices@812)"),
        (
            MONEY | {"quoted_nanousd": None, "ambiguous_nanousd": 1_000, "priced_by": ""},
            "$0.00000107 (reserved $0.0000082, $0.000001 of it may not have been charged)",
        ),
        ("something else", "$0.00000107"),
    ],
)
def test_a_result_tells_what_was_quoted_reserved_and_paid_and_by_whom_it_was_priced(money: Any, told: str):
    result = COST | {"money": money}

    assert answers.paid(result) == told
    assert told in answers.line(result)
