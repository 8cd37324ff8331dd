"""What the demonstration tells of its small budget, and what it holds itself to."""

from typing import Any

import pytest

from console import demo_money
from console.demo_money import LIMIT, LIMIT_NANOUSD

MONEY = {"quoted_nanousd": 2_000, "reserved_nanousd": 9_000, "paid_nanousd": 2_100, "priced_by": "brief/1 prices@57"}


def done(number: int, cost: int = 2_100, **money: Any) -> dict[str, Any]:
    told = {"job_id": f"thrifty-{number}", "status": "succeeded", "cost_nanousd": cost, "error": None}
    return told | {"money": MONEY | money}


def refused(number: int, kind: str = "over_budget") -> dict[str, Any]:
    error = {"kind": kind, "message": "the budget has not enough left"}
    return {"job_id": f"thrifty-{number}", "status": "rejected", "cost_nanousd": 0, "error": error, "money": None}


def by_id(*results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["job_id"]: one for one in results}


def test_the_limit_is_the_same_in_dollars_and_in_nano_dollars_and_the_jobs_are_many():
    assert round(float(LIMIT) * 10**9) == LIMIT_NANOUSD
    jobs = demo_money.jobs("acme")
    assert len({job["id"] for job in jobs}) == len(jobs) == 12


def test_a_run_that_kept_within_the_budget_is_told_with_one_results_money():
    results = by_id(done(1), done(2), refused(3))

    assert demo_money.not_shown(results) == []
    assert demo_money.told(results) == [
        "a hard budget of $0.00002: 3 jobs published, 2 done, 1 refused in time, spent $0.0000042",
        "one of them, thrifty-1: $0.0000021 (quoted $0.000002, reserved $0.000009, priced by brief/1 prices@57)",
    ]


@pytest.mark.parametrize(
    ("results", "missing"),
    [
        (by_id(done(1), done(2)), "was refused"),
        (by_id(refused(1), refused(2)), "was done"),
        (by_id(done(1, LIMIT_NANOUSD + 1), refused(2)), "were spent"),
        (by_id(done(1), refused(2), refused(3, "internal")), "ended as internal"),
        (by_id(done(1, quoted_nanousd=None), refused(2)), "does not say"),
    ],
)
def test_what_did_not_come_to_pass_is_told(results: dict[str, dict[str, Any]], missing: str):
    [told] = demo_money.not_shown(results)

    assert missing in told
