"""Who pays, as a fold: what holds, what is passed over, and what held before."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from books_world import NOON, TENANT, budget, said
from hypothesis import given
from hypothesis import strategies as st

from router.accounts import NO_CUSTOMS, Accounts, Customs
from runtime.ports import Record
from schemas import codec
from schemas.accounts import AccountRecord, Organisation, Tenant, Transfer
from schemas.topics import BUDGETS


def record(value: bytes | None, offset: int = 0) -> Record:
    return Record(BUDGETS.name, 0, offset, None, value, (), 0)


def event(**fields: Any) -> bytes:
    return codec.encode({"event": {"at": NOON, **fields}})


def transfer(id: str, nanousd: int, **more: Any) -> Transfer:
    fields = {"at": NOON, "organisation": "org", "tenant": TENANT, "budget": "all", **more}
    return Transfer.model_validate({**fields, "id": id, "nanousd": nanousd})


@given(st.binary(max_size=60) | st.none())
def test_any_bytes_are_folded_and_move_the_version(value: bytes | None):
    accounts = Accounts()

    accounts.fold(record(value, offset=6))

    assert accounts.version == "7"


@pytest.mark.parametrize("limit", [-1, 10**15 + 1, 0.5, 5.0, "5", True, None, float("nan")])
def test_a_budget_that_is_no_sum_of_money_is_passed_over_and_the_old_one_stays(limit: Any):
    accounts = Accounts()
    said(accounts, budget("all", 500))

    accounts.fold(record(event(kind="budget", id="all", tenant=TENANT, limit_nanousd=limit), offset=1))

    assert [one.limit_nanousd for one in accounts.budgets_of(TENANT)] == [500]
    assert accounts.version == "2"
    assert [(one.offset, "limit_nanousd" in one.reason) for one in accounts.faults] == [(1, True)]


def test_an_unknown_time_zone_is_a_fault_that_does_not_tell_it_and_the_old_record_stays():
    accounts = Accounts()
    said(accounts, Tenant(at=NOON, tenant=TENANT, time_zone="Europe/Berlin"))

    accounts.fold(record(event(kind="tenant", tenant=TENANT, time_zone="Mars/Olympus"), offset=1))

    assert accounts.customs(TENANT).time_zone == "Europe/Berlin"
    assert "Mars" not in accounts.faults[0].reason
    assert "12 characters" in accounts.faults[0].reason


def test_faults_are_bounded_and_name_no_value():
    accounts = Accounts()
    for offset in range(150):
        accounts.fold(record(event(kind="budget", id="all", tenant="secret value", limit_nanousd=1), offset))

    assert [one.offset for one in accounts.faults] == list(range(50, 150))
    assert all("secret" not in one.reason for one in accounts.faults)


def test_a_record_that_is_given_again_changes_nothing():
    accounts = Accounts()
    said(accounts, budget("all", 500), budget("all", 700))

    accounts.fold(record(AccountRecord(event=budget("all", 500)).encode(), offset=0))

    assert [one.limit_nanousd for one in accounts.budgets_of(TENANT)] == [700]
    assert accounts.version == "2"


def test_what_is_removed_holds_no_longer_and_may_come_back():
    accounts = Accounts()
    said(accounts, Tenant(at=NOON, tenant=TENANT), Organisation(at=NOON, organisation="org"), budget("b"), budget("a"))
    assert [one.id for one in accounts.budgets_of(TENANT)] == ["a", "b"]

    said(
        accounts, Tenant(at=NOON, tenant=TENANT, removed=True), Organisation(at=NOON, organisation="org", removed=True)
    )
    said(accounts, budget("b", removed=True))
    assert accounts.tenant(TENANT) is accounts.organisation("org") is None
    assert accounts.tenants() == []
    assert [one.id for one in accounts.budgets_of(TENANT)] == ["a"]

    said(accounts, Tenant(at=NOON, tenant=TENANT, tier="standard"), budget("b", 9))
    assert [one.tier for one in accounts.tenants()] == ["standard"]
    assert [one.limit_nanousd for one in accounts.budgets_of(TENANT)] == [1_000, 9]


def test_budgets_are_the_same_object_until_one_of_them_changes():
    accounts = Accounts()
    said(accounts, budget("all"))
    before = accounts.budgets_of(TENANT)

    said(accounts, Tenant(at=NOON, tenant=TENANT))
    assert accounts.budgets_of(TENANT) is before
    said(accounts, budget("all", 5))
    assert accounts.budgets_of(TENANT) is not before


def test_a_transfer_is_handed_over_once_however_often_it_is_said():
    accounts = Accounts()
    said(accounts, budget("all", 0, window="total", funded=True), transfer("t1", 300), transfer("t1", 300))
    said(accounts, transfer("t2", -100), transfer("t1", 300, organisation="other"))

    assert accounts.funded(TENANT, "all", "total") == 500

    said(accounts, transfer("t1", 300, removed=True), transfer("t1", 900))
    assert accounts.funded(TENANT, "all", "total") == 200
    assert [one.id for one in accounts.transfers_to(TENANT)] == ["t2", "t1"]


def test_a_transfer_counts_in_the_window_in_which_it_was_said_in_the_tenants_zone():
    accounts = Accounts()
    late = NOON.replace(day=30, hour=23, minute=30)
    said(accounts, budget("all", 0, window="month", funded=True), transfer("t1", 300, at=late))
    assert (accounts.funded(TENANT, "all", "2026-11"), accounts.funded(TENANT, "all", "2026-12")) == (300, 0)

    said(accounts, Tenant(at=NOON, tenant=TENANT, time_zone="Europe/Berlin"))
    assert (accounts.funded(TENANT, "all", "2026-11"), accounts.funded(TENANT, "all", "2026-12")) == (0, 300)


def test_a_transfer_of_the_year_one_stops_nobody():
    accounts = Accounts()
    said(accounts, Tenant(at=NOON, tenant=TENANT, time_zone="America/New_York"))
    said(
        accounts,
        budget("all", 0, window="month", funded=True),
        transfer("t1", 300, at=datetime.min.replace(tzinfo=UTC)),
    )

    assert accounts.funded(TENANT, "all", "2026-11") == 0


def test_a_budget_that_takes_no_transfers_has_none():
    accounts = Accounts()
    said(accounts, budget("all", 100, window="total"), transfer("t1", 300), transfer("t2", 300, budget="unknown"))

    assert accounts.funded(TENANT, "all", "total") == 0
    assert accounts.funded(TENANT, "unknown", "total") == 0


def test_what_held_for_a_decision_is_asked_for_by_its_version():
    accounts = Accounts()
    said(
        accounts, budget("all"), Tenant(at=NOON, tenant=TENANT, time_zone="Asia/Kolkata", ambiguous="nothing"),
        Tenant(at=NOON, tenant=TENANT, time_zone="Asia/Kolkata", ambiguous="nothing", tier="standard"),
        Tenant(at=NOON + timedelta(days=1), tenant=TENANT, removed=True),
    )  # fmt: skip

    held = Customs("Asia/Kolkata", "nothing")
    assert [accounts.customs(TENANT, version) for version in range(6)] == [
        NO_CUSTOMS, NO_CUSTOMS, held, held, NO_CUSTOMS, NO_CUSTOMS
    ]  # fmt: skip
    assert accounts.customs(TENANT) == accounts.customs("stranger", 3) == NO_CUSTOMS


def test_what_budgets_pick_jobs_by_is_known_from_the_first_of_them_on_and_for_ever():
    accounts = Accounts()
    said(accounts, budget("b1"), budget("b2", team="red", tag=("env", "prod")), budget("b3", team="red", key_id="k1"))
    said(accounts, budget("b2", removed=True))

    assert accounts.names(TENANT) == {("team", "red"): 2, ("tag", "env", "prod"): 2, ("key_id", "k1"): 3}
    assert accounts.tags(TENANT) == {"env": {"prod": 2}}
    assert accounts.names("stranger") == accounts.tags("stranger") == {}
