"""Jobs that wait in a router lane: for their turn, for money, for a rate; and what ends their waiting."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from router_world import START, chat
from rulings import LARGE, SMALL
from turns import Lane, budget, reserved_by_one

from router.ahead import LEAST
from router.pump import AT_ONCE
from runtime.ports import Record
from schemas.accounts import Tenant
from schemas.policies import PolicyRecord, Tier
from schemas.registry import REGISTRY_EVENTS, RegistryRecord
from schemas.topics import DECISIONS, DLQ, POLICIES, REGISTRY


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    return Lane(tmp_path)


async def test_what_is_reserved_cannot_be_had_twice_and_its_end_lets_the_next_one_go(
    lane: Lane, tmp_path: Path
) -> None:
    """A budget for hardly more than one job: the second waits until the first has ended, and has what it left."""
    each = await reserved_by_one(tmp_path)
    lane.tell(budget(each + 10_000))

    first, second = await lane.give(chat("a")), await lane.give(chat("b"))

    assert lane.sent(first)["assignment"]["reserved"]["nanousd"] == each
    assert second not in lane.ended
    lane.look()
    assert second not in lane.ended
    lane.end(first, cost=1_000)
    assert lane.sent(second)["assignment"]["reserved"]["nanousd"] == each
    assert lane.sent(second)["assignment"]["max_cost_nanousd"] == each


async def test_of_many_that_wait_for_money_each_is_looked_at_until_the_last_is_refused(
    lane: Lane, tmp_path: Path
) -> None:
    """The last job's end leaves too little for anybody: all that still wait are told so, not only the first of them."""
    each = await reserved_by_one(tmp_path)
    lane.tell(budget(each))
    offsets = [await lane.give(chat(f"a{n}")) for n in range(6)]
    assert list(lane.ended) == offsets[:1]

    lane.end(offsets[0], cost=each)

    assert [lane.refusal(offset) for offset in offsets[1:]] == ["over_budget"] * 5


async def test_a_tenant_that_chose_so_is_refused_at_once(lane: Lane, tmp_path: Path) -> None:
    lane.tell(Tenant(at=START, tenant="default", over_limit="refuse"))
    lane.tell(budget(await reserved_by_one(tmp_path)))

    first, second = await lane.give(chat("a")), await lane.give(chat("b"))

    assert lane.sent(first)
    assert lane.refusal(second) == "over_budget"


async def test_a_budget_that_is_raised_lets_those_go_who_wait_for_it(lane: Lane, tmp_path: Path) -> None:
    each = await reserved_by_one(tmp_path)
    lane.tell(budget(each))
    first, second = await lane.give(chat("a")), await lane.give(chat("b"))
    assert lane.sent(first)
    assert second not in lane.ended

    lane.tell(budget(2 * each))
    lane.look()

    assert lane.sent(second)


async def test_who_waits_until_the_deadline_ends_as_expired_by_what_it_waited_for_however_many_there_are(
    lane: Lane, tmp_path: Path
) -> None:
    lane.tell(budget(await reserved_by_one(tmp_path)))
    offsets = [await lane.give(chat(f"a{n}", timeout_s=30.0)) for n in range(350)]
    assert len(lane.ended) == 1

    lane.world.clock.turn(31)
    for _ in range(0, len(offsets), AT_ONCE):
        lane.look()

    assert [lane.refusal(offset) for offset in offsets[1:]] == ["over_budget"] * 349
    [told] = {json.loads(lane.ended[offset].records[0].value)["status"] for offset in offsets[1:]}
    late = await lane.give(chat("late", deadline="2020-01-01T00:00:00Z"))
    assert (told, lane.refusal(late)) == ("expired", "deadline_passed")


async def test_the_same_id_while_its_job_waits_is_a_duplicate_or_a_conflict(lane: Lane, tmp_path: Path) -> None:
    lane.tell(budget(await reserved_by_one(tmp_path)))
    await lane.give(chat("a"))
    waiting = await lane.give(chat("b"))

    again, other = await lane.give(chat("b")), await lane.give(chat("b", text="another one"))

    assert waiting not in lane.ended
    assert [entry.action for entry in lane.ended[again].audit] == ["job.duplicate"]
    assert [entry.action for entry in lane.ended[other].audit] == ["job.conflict"]


async def test_a_job_that_is_cancelled_while_it_waits_ends_as_cancelled(lane: Lane, tmp_path: Path) -> None:
    lane.tell(budget(await reserved_by_one(tmp_path)))
    await lane.give(chat("a"))
    waiting = await lane.give(chat("b"))

    lane.world.cancel("b")
    lane.look()

    assert lane.refusal(waiting) == "cancelled"


async def test_a_rate_holds_jobs_back_until_their_time_and_is_changed_live(lane: Lane) -> None:
    def tier(a_minute: int) -> None:
        event = Tier(at=START, tier="default", requests_per_minute=a_minute)
        record = Record(POLICIES.name, 0, a_minute, None, PolicyRecord(event=event).encode(), (), 0)
        lane.world.app.state.rules.fold(record)

    tier(60)
    offsets = [await lane.give(chat(f"a{n}")) for n in range(10)]
    assert len(lane.ended) < 5
    before = len(lane.ended)
    lane.world.clock.turn(2.0)
    lane.look()
    assert before < len(lane.ended) <= before + 2

    tier(60_000)
    for _ in range(2):
        lane.world.clock.turn(0.25)
        lane.look()

    assert all(lane.sent(offset) for offset in offsets)


async def test_no_more_is_assigned_than_the_workers_queue_shall_hold(tmp_path: Path) -> None:
    lane = Lane(tmp_path, ahead=64)
    offsets = [await lane.give(chat(f"a{n}")) for n in range(100)]
    assert len(lane.ended) == 64

    lane.end(offsets[0], cost=0)

    assert len(lane.ended) == 65
    assert lane.sent(offsets[64]), "in the order of arrival"


async def test_who_waits_is_decided_at_the_end_by_what_holds_then(lane: Lane, tmp_path: Path) -> None:
    """The decision's time is when it was made, and not when the job came."""
    lane.tell(budget(await reserved_by_one(tmp_path)))
    first, second = await lane.give(chat("a")), await lane.give(chat("b"))
    lane.world.clock.turn(7)

    lane.end(first, cost=0)

    lane.world.settle(Record("x", 0, second, None, None, (), 0), lane.ended[second])
    await lane.world.commit()
    decision = lane.world.on(DECISIONS.name)[-1]["decisions"][-1]
    assert decision["decided_at"] == (START + timedelta(seconds=7)).isoformat().replace("+00:00", "Z")


async def test_money_is_known_again_after_a_crash(lane: Lane, tmp_path: Path) -> None:
    """What was reserved and committed is reserved still; what was not committed never was."""
    each = await reserved_by_one(tmp_path)
    lane.tell(budget(2 * each))
    first = await lane.give(chat("a"))
    record = next(one for one in lane.world.log.records["inference.jobs.v1", lane.world.partition])
    lane.world.settle(record, lane.ended[first])
    await lane.world.commit()
    await lane.give(chat("b"))  # in no transaction

    await lane.world.crash()

    assert lane.sent(await lane.give(chat("b")))
    assert await lane.give(chat("c")) not in lane.ended


async def test_a_model_that_does_not_get_on_holds_up_no_job_of_another_model(tmp_path: Path) -> None:
    """Its breaker is open, say: what is assigned to it ends nowhere, and the rest of its jobs waits here."""
    lane = Lane(tmp_path, ahead=64)
    sick = [await lane.give(chat(f"a{n}", model=SMALL)) for n in range(100)]
    assert len(lane.ended) == 64

    other = await lane.give(chat("other", model=LARGE))
    lane.look()

    assert lane.sent(other)
    assert len(lane.ended) == 65
    lane.end(sick[0], cost=0)
    assert len(lane.ended) == 66


async def test_submissions_of_one_id_that_are_under_way_at_once_have_a_place_each_and_give_it_back(lane: Lane) -> None:
    """A conflict that is driven again goes to another model while the first job of its id is still at its worker."""

    def under_way() -> list[int]:
        told: Any = lane.world.app.describe()["money"][0]["ahead"]
        return sorted(one["under_way"] for one in told.values())

    first = await lane.give(chat("a", model=SMALL))
    written = await lane.world.run(lane.world.job(chat("a", model=LARGE)))
    [conflict] = [record for record in written if record.topic == DLQ.name]
    second = await lane.hand(lane.world.redrive(conflict))
    assert lane.sent(second)["submission"] == 2
    assert under_way() == [1, 1]

    lane.end(first, cost=1_000)
    assert under_way() == [0, 1]
    lane.end(second, cost=1_000)
    assert under_way() == [0, 0]


async def test_a_later_submission_that_waits_is_cancelled_by_its_own_number(lane: Lane, tmp_path: Path) -> None:
    """The first one was refused, and the id sent again."""
    each = await reserved_by_one(tmp_path)
    lane.tell(budget(each))
    first = await lane.give(chat("a"))
    refused = await lane.give({**chat("b"), "task": "no-such-task"})
    again = await lane.give(chat("b"))
    assert refused in lane.ended
    lane.look()
    assert again not in lane.ended

    lane.world.cancel("b", submission=1)
    assert not lane.leases[again].interrupted
    lane.world.cancel("b", submission=2)

    assert lane.leases[again].interrupted
    lane.look()
    assert lane.refusal(again) == "cancelled"
    assert lane.sent(first)


async def test_a_job_that_is_given_to_other_workers_when_its_turn_comes_waits_for_room_in_their_queue(
    tmp_path: Path,
) -> None:
    """The model that it waited for is withdrawn, and the queue of the next one is full as well."""
    lane = Lane(tmp_path, ahead=LEAST)
    first = [await lane.give(chat(f"a{n}")) for n in range(LEAST)]
    taken = lane.sent(first[0])["assignment"]["candidates"][0]["model"]
    other = LARGE if taken == SMALL else SMALL
    full = [await lane.give(chat(f"b{n}", model=other)) for n in range(LEAST)]
    waits = await lane.give(chat("c"))
    assert waits not in lane.ended
    gone = {"kind": "admission", "at": START, "model": taken, "state": "withdrawn"}
    value = RegistryRecord(event=REGISTRY_EVENTS.validate_python(gone)).encode()
    lane.world.app.state.registry.fold(Record(REGISTRY.name, 0, 0, None, value, (), 0))

    lane.end(first[0], cost=0)

    assert waits not in lane.ended
    lane.end(full[0], cost=0)
    assert lane.sent(waits)["assignment"]["candidates"][0]["model"] == other


async def test_a_job_that_waits_in_vain_for_its_turn_does_not_end_by_a_limit_that_was_over_before_it_came(
    tmp_path: Path,
) -> None:
    """That would tell its producer to see to a budget, and be no fault of the service's (docs/slo.md)."""
    lane = Lane(tmp_path, ahead=LEAST)
    lane.tell(budget(LEAST * await reserved_by_one(tmp_path)))
    sent = [await lane.give(chat(f"a{n}")) for n in range(LEAST)]
    before = await lane.give(chat("before", timeout_s=30.0))
    lane.tell(budget(10**12))
    lane.look()
    lane.world.clock.turn(5)
    after = await lane.give(chat("after", timeout_s=10.0))
    assert sorted(lane.ended) == sent

    for _ in range(3):
        lane.world.clock.turn(11)
        lane.look()

    assert (lane.refusal(after), lane.refusal(before)) == ("deadline_passed", "over_budget")
