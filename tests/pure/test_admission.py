"""Who may be assigned at once and who waits, and what the end of an assigned job says of the workers' queue."""

from datetime import timedelta
from functools import partial

import pytest
from rooms import NOON, S, job

from router.admission import Admission, Started, queue_of
from router.ahead import FORGOTTEN_AFTER_S, Ahead
from router.purse import Line, Purse
from router.terms import Terms
from schemas.ledger import LedgerEntry

PLACE = "text auto/m"
HALF_AN_HOUR = timedelta(minutes=30)


def admission(most: int = 100) -> Admission:
    return Admission(lambda tenant: Terms(tenant=tenant), partial(Ahead, most=most))


def start(one: Admission, identity: str) -> None:
    tenant = identity.partition("/")[0]
    one.assigned(identity, 1, Started(PLACE, {}), Terms(tenant=tenant), NOON)


def end(identity: str, **more: object) -> LedgerEntry:
    tenant, _, id = identity.partition("/")
    told = {"kind": "release", "status": "failed", "called_ms": 0, "waited_ms": 20, **more}
    return LedgerEntry.model_validate(
        {"tenant": tenant, "job_id": id, "submission": 1, "decision_id": "d", "reserved_nanousd": 9, "at": NOON, **told}
    )


def test_a_job_that_has_just_come_waits_behind_those_of_its_tenant_that_sleep_and_behind_nobody_elses() -> None:
    """They wait for money: who came after them must not have it first."""
    one = admission()
    assert one.may_start("acme", PLACE, NOON)
    one.wait(job("1", needs_settle=True, destination=PLACE))

    assert not one.may_start("acme", PLACE, NOON)
    assert one.may_start("other", PLACE, NOON)


def test_a_job_that_has_just_come_waits_behind_anybody_whose_turn_may_be_next() -> None:
    one = admission()
    one.wait(job("1", destination=PLACE))

    assert not one.may_start("other", PLACE, NOON)


@pytest.mark.parametrize(
    ("told", "learns"),
    [({}, False), ({"status": "cancelled"}, False), ({"called_ms": 7}, True), ({"status": "expired"}, True)],
    ids=["refused", "cancelled", "called", "expired"],
)
def test_only_a_job_that_was_called_or_waited_in_vain_for_it_tells_how_long_the_queue_is(
    told: dict[str, object], learns: bool
) -> None:
    """A job that ended without a call, for what it brings itself, has waited for nobody's slot."""
    one = admission()
    start(one, "acme/1")
    before = one.describe()["ahead"][PLACE]["forgotten_after_s"]  # type: ignore[index]

    assert one.ended(end("acme/1", **told), NOON + HALF_AN_HOUR) is not None

    after = one.describe()["ahead"][PLACE]  # type: ignore[index]
    assert before == FORGOTTEN_AFTER_S
    assert (after["forgotten_after_s"] > before) is learns
    assert after["under_way"] == 0


def test_a_job_that_is_not_assigned_after_all_leaves_its_money_and_its_place_to_who_waits() -> None:
    """Nobody will tell its end: who waits for a reservation of the tenant to end is asked again."""
    one = admission(most=1)
    start(one, "acme/1")
    one.wait(job("2", needs_settle=True, destination=PLACE))
    assert list(one.due(NOON, 0)) == []

    assert one.unassigned("acme/1", 1, "acme", NOON + S)

    assert [waiter.identity for waiter, _ in one.due(NOON + S, 0)] == ["2"]
    assert not one.unassigned("acme/1", 1, "acme", NOON + S), "it is told once"


def test_who_waits_for_money_is_asked_again_when_its_budgets_begin_anew_although_nothing_ended() -> None:
    one = admission()
    one.wait(job("1", destination=PLACE))
    [(waiter, _)] = one.due(NOON, 0)
    one.wait_on(waiter, for_money=True, until=NOON + 60 * S)

    assert one.wakes_at(NOON) == NOON + 60 * S
    assert list(one.due(NOON + 59 * S, 0)) == []
    assert [waiter.identity for waiter, _ in one.due(NOON + 60 * S, 0)] == ["1"]


def test_budgets_or_prices_that_change_are_news_to_every_tenant_that_waits() -> None:
    one = admission()
    for tenant in ("acme", "beta", "gamma"):
        one.wait(job(tenant, tenant, needs_settle=True, destination=PLACE))
    assert list(one.due(NOON, 0)) == []

    one.stir_all()

    assert {waiter.identity for waiter, _ in one.due(NOON, 0)} == {"acme", "beta", "gamma"}


def test_a_budget_that_is_soft_holds_nobody_in_a_line_of_its_own() -> None:
    hard, soft = Line("hard", "w", 10, 0, 0), Line("soft", "w", 10, 0, 0, hard=False)
    assert queue_of(PLACE, Purse((hard, soft))) == queue_of(PLACE, Purse((hard,))) != queue_of(PLACE, Purse((soft,)))
