"""Which ends count against availability, and what is left of an error budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.alerting.availability import Availability, burn_rate, by_name, verdict_of
from router.accounts import Accounts
from router.rules import Rules
from schemas.failure import FAILURES, FailureKind


@pytest.mark.parametrize(
    ("status", "kind", "verdict"),
    [
        ("succeeded", None, "good"),
        ("failed", "provider_error", "bad"),
        ("failed", "timeout", "bad"),
        ("failed", "connect_failed", "bad"),
        ("failed", "internal", "bad"),
        ("failed", "rate_limited", "bad"),
        ("failed", "unauthorized", "bad"),
        ("failed", "request_refused", "uncounted"),
        ("failed", "invalid_media", "uncounted"),
        ("failed", "over_budget", "uncounted"),
        ("expired", "deadline_passed", "bad"),
        ("expired", "over_budget", "uncounted"),
        ("expired", "over_rate", "uncounted"),
        ("rejected", "invalid_input", "uncounted"),
        ("rejected", "over_budget", "uncounted"),
        ("rejected", "internal", "bad"),
        ("cancelled", "cancelled", "uncounted"),
        ("failed", "a kind of tomorrow", "bad"),
    ],
)
def test_an_end_counts_as_the_table_says(status, kind, verdict):
    assert verdict_of(status, kind) == verdict


def test_no_failure_that_is_the_producers_counts_against_us_unless_time_ran_out():
    for kind, failure in FAILURES.items():
        counted = {verdict_of(status, kind) for status in ("failed", "rejected")}
        assert (failure.fault == "producer") == (counted == {"uncounted"}) or kind is FailureKind.OVER_BUDGET


def test_two_failures_in_a_thousand_are_99_8_percent_and_twice_the_budget_of_three_nines():
    found = Availability("standard", good=998, bad=2, uncounted=50, objective_ppm=999_000)

    assert found.share == 0.998
    assert found.burn == pytest.approx(2)
    assert found.budget_left == pytest.approx(-1)
    assert found.missed


@given(st.integers(0, 1_000), st.integers(1, 1_000), st.integers(0, 999_999))
def test_the_burn_rate_is_1_exactly_where_the_share_of_failures_is_the_allowed_one(bad, good, objective):
    burn = burn_rate(bad, bad + good, objective)
    assert burn is not None
    assert (burn > 1 + 1e-9) <= (bad * 1_000_000 > (bad + good) * (1_000_000 - objective))
    assert (burn < 1 - 1e-9) <= (bad * 1_000_000 < (bad + good) * (1_000_000 - objective))


def test_an_objective_of_all_jobs_is_missed_by_one():
    assert burn_rate(0, 10, 1_000_000) == 0
    assert burn_rate(1, 10, 1_000_000) > 1
    assert burn_rate(0, 0, 999_000) is None
    assert burn_rate(5, 10, None) is None


def test_tenants_without_a_record_are_of_the_default_tier_which_promises_nothing():
    [tier] = by_name({"a": {"good": 5}, "b": {"bad": 1}}, Accounts(), Rules(), by_tenant=False)
    assert (tier.name, tier.good, tier.bad, tier.objective_ppm, tier.missed) == ("default", 5, 1, None, False)
    assert [one.name for one in by_name({"a": {"good": 5}, "b": {"bad": 1}}, Accounts(), Rules(), by_tenant=True)] == [
        "a",
        "b",
    ]
