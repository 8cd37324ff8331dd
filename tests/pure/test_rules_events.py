"""The rules as a fold: a bad event leaves what held, and moves the version; breakers as a decision sees them."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rulings import NOW

from router.accounts import Accounts
from router.health import Health
from router.rules import Rules
from router.terms import terms_of
from router.view import Limits
from runtime.ports import Record
from schemas import codec
from schemas.topics import BREAKERS, BUDGETS, POLICIES


def record(offset: int, topic: str = POLICIES.name, **event: Any) -> Record:
    told = {"at": "2026-11-22T12:00:00Z", **event}
    return Record(topic, 0, offset, None, codec.encode({"event": told}), (), 0)


def rules(*events: dict[str, Any]) -> Rules:
    folded = Rules()
    for offset, event in enumerate(events):
        folded.fold(record(offset, **event))
    return folded


BRIEF = {"kind": "policy", "tenant": "acme", "policy": "brief/1", "parameters": {"cheap_below": 0.2}}


def test_a_tenants_own_policy_wins_over_everybodys_and_that_over_the_installations() -> None:
    everybody = {"kind": "policy", "policy": "cheapest/1"}
    folded = rules(BRIEF, everybody)
    assert folded.policy_of("acme").cheap_below == 0.2  # type: ignore[attr-defined]
    assert folded.policy_of("other").name == "cheapest/1"
    assert rules().policy_of("other").name == "brief/1"
    assert rules(BRIEF, everybody, {**everybody, "removed": True}).policy_of("other").name == "brief/1"
    assert Rules(Limits(policy="fastest/1")).policy_of("x").name == "fastest/1"
    assert folded.version == "2"


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({**BRIEF, "parameters": {"cheap": 1}}, "parameters.cheap"),
        ({**BRIEF, "parameters": {"cheap_below": 7}}, "cheap_below"),
        ({**BRIEF, "policy": "nobodys/9"}, "nobodys/9"),
        ({**BRIEF, "tenant": "a b"}, "tenant"),
        ({"kind": "nothing"}, "kind"),
        ({"kind": "tier", "tier": "standard", "requests_per_minute": -1}, "requests_per_minute"),
    ],
)
def test_a_bad_event_is_listed_and_the_old_rule_stays(bad: dict[str, Any], told: str) -> None:
    folded = rules(BRIEF, bad)
    assert folded.policy_of("acme").cheap_below == 0.2  # type: ignore[attr-defined]
    assert folded.tier("standard") == rules().tier("standard")
    assert [fault.offset for fault in folded.faults] == [1]
    assert told in folded.faults[0].reason
    assert folded.version == "2"


@given(st.none() | st.binary(max_size=200))
def test_any_record_moves_the_version_and_nothing_else(value: bytes | None) -> None:
    folded = rules(BRIEF)
    folded.fold(Record(POLICIES.name, 0, 6, None, value, (), 0))
    assert folded.version == "7"
    assert folded.policy_of("acme").cheap_below == 0.2  # type: ignore[attr-defined]


def test_the_briefs_tiers_are_built_in_and_an_event_changes_them() -> None:
    """A103 to A105, A109 to A111, A115, A116."""
    told = {tier.tier: tier for tier in rules().tiers()}
    assert {name: tier.requests_per_minute for name, tier in told.items()} == {
        "default": None, "standard": 10_000, "enterprise": 100_000, "government": 500_000
    }  # fmt: skip
    assert [told[name].residency for name in ("standard", "enterprise", "government")] == [
        "global", "regional", "sovereign"
    ]  # fmt: skip
    assert [told[name].dedicated for name in ("standard", "enterprise", "government")] == [False, True, True]
    changed = rules({"kind": "tier", "tier": "standard", "requests_per_minute": 7})
    tier = changed.tier("standard")
    assert tier is not None
    assert tier.requests_per_minute == 7


def accounts(**tenant: Any) -> Accounts:
    folded = Accounts()
    organisation = {"kind": "organisation", "organisation": "umbrella", "bill_to": "umbrella-hf"}
    folded.fold(record(0, BUDGETS.name, **organisation))
    folded.fold(record(1, BUDGETS.name, **{"kind": "tenant", "tenant": "acme", **tenant}))
    return folded


def test_terms_are_the_tenants_own_then_its_tiers_then_the_installations() -> None:
    told = terms_of("acme", accounts(tier="enterprise", organisation="umbrella"), rules(), Limits())
    assert (told.tier, told.requests_per_minute, told.residency) == ("enterprise", 100_000, "regional")
    assert (told.organisation, told.bill_to, told.known) == ("umbrella", "umbrella-hf", True)
    assert (told.licences, told.models) == (None, None)
    own = accounts(tier="enterprise", residency="global", licences=["mit"], unknown_price_cap_nanousd=5)
    told = terms_of("acme", own, rules(), Limits(unknown_price_cap_nanousd=9))
    assert (told.residency, told.licences, told.unknown_price_cap_nanousd) == ("global", frozenset({"mit"}), 5)
    never = terms_of("acme", accounts(unknown_price_cap_nanousd=0), rules(), Limits(unknown_price_cap_nanousd=9))
    assert never.unknown_price_cap_nanousd == 0, "the tenant's own word: an unknown price is never taken"


def test_a_tenant_without_a_record_is_unknown_where_the_installation_is_closed() -> None:
    assert terms_of("new", accounts(), rules(), Limits()).known
    assert terms_of("new", accounts(), rules(), Limits()).requests_per_minute is None
    assert not terms_of("new", accounts(), rules(), Limits(tenants="closed")).known
    assert terms_of("acme", accounts(), rules(), Limits(tenants="closed")).known


def test_a_misspelt_tier_gives_nothing_away() -> None:
    told = terms_of("acme", accounts(tier="enterprize"), rules(), Limits())
    assert (told.requests_per_minute, told.dedicated, told.residency) == (10_000, False, "sovereign")
    own = terms_of("acme", accounts(tier="goverment", residency="regional", regions=["eu"]), rules(), Limits())
    assert (own.residency, own.regions) == ("regional", frozenset({"eu"}))


def test_alert_rules_and_values_are_kept_until_they_are_removed() -> None:
    alert = {"kind": "alert", "id": "a", "on": "lag", "threshold": 5}
    value = {"kind": "value", "tenant": "acme", "job_id": "j", "value_nanousd": 7}
    folded = rules(alert, value, {**value, "value_nanousd": 8})
    assert [rule.id for rule in folded.alert_rules()] == ["a"]
    assert [one.value_nanousd for one in folded.values()] == [8]
    folded.fold(record(3, **alert, removed=True))
    assert not folded.alert_rules()


def breaker(state: str, retry_at: datetime | None = None, model: str = "m") -> Record:
    told = {"provider": "p", "model": model, "state": state, "retry_at": retry_at, "at": NOW, "by": "x"}
    return Record(BREAKERS.name, 0, 0, None, codec.encode(told), (), 0)


def test_a_breaker_is_shut_until_it_lets_a_trial_call_through() -> None:
    health = Health()
    assert health.shut(NOW) == frozenset()
    health.fold(breaker("open", NOW + timedelta(seconds=5)))
    health.fold(breaker("open", None, "n"))
    assert health.shut(NOW) == {("p", "m"), ("p", "n")}
    assert health.shut(NOW) is health.shut(NOW + timedelta(seconds=4))
    assert health.shut(NOW + timedelta(seconds=5)) == {("p", "n")}
    health.fold(breaker("half-open", None, "n"))
    health.fold(Record(BREAKERS.name, 0, 0, None, b"{", (), 0))
    assert health.shut(NOW) == frozenset()


def test_a_record_that_is_given_twice_moves_no_version_back() -> None:
    """A follower may read again after an error: what was folded holds all the same, and a version says so."""
    folded = rules(BRIEF, {**BRIEF, "policy": "cheapest/1", "parameters": {}})
    folded.fold(record(0, **BRIEF))
    assert (folded.version, folded.policy_of("acme").name) == ("2", "cheapest/1")
