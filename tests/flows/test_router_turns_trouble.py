"""Jobs that wait in a router lane while something goes wrong: faults, floods, a broker that takes nothing."""

import asyncio
import gc
import json
from pathlib import Path

import pytest
from router_world import START, chat
from turns import Lane, budget, reserved_by_one

from router import admission, application
from router.answers import Answers
from router.pump import AT_ONCE
from router.ruled import Ruled
from runtime.outcome import Hold, Publish
from runtime.partitions import home_partition
from runtime.ports import Delivery, Lease, Record
from schemas.accounts import Tenant
from schemas.policies import PolicyRecord, Tier
from schemas.topics import POLICIES, TEXT


def rulings_of(prefix: str) -> list[Ruled]:
    """The rulings about jobs of such ids that anybody still holds."""
    gc.collect()
    told = [one for one in gc.get_objects() if type(one) is Ruled]
    return [one for one in told if one.case.arrival.reading.id.startswith(prefix)]


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    return Lane(tmp_path)


async def test_who_waits_for_money_while_a_lane_of_others_goes_by_is_refused_before_the_lane_would_stop(
    lane: Lane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One tenant without money must not keep the others of its partition from being read."""
    monkeypatch.setattr(admission, "MOST_OVERTAKEN", 5)
    lane.tell(budget(await reserved_by_one(tmp_path) + 10_000))
    first, waits, behind = [await lane.give(chat(f"poor-{n}")) for n in range(3)]
    assert lane.sent(first)
    home = lane.world.partition
    rich = next(name for name in map(str, range(100)) if home_partition(name, 3) == home)
    others = [await lane.give({**chat(f"rich-{n}"), "tenant": rich}) for n in range(3)]
    lane.look()
    assert waits not in lane.ended

    others.append(await lane.give({**chat("richer"), "tenant": rich}))
    lane.look()

    assert lane.refusal(waits) == "over_budget"
    assert "waits no longer" in json.loads(lane.ended[waits].records[0].value)["error"]["message"]
    assert behind not in lane.ended, "it may wait on"
    assert all(lane.sent(offset) for offset in others)


async def test_a_job_that_no_broker_takes_leaves_its_money_to_who_waits_for_it(lane: Lane, tmp_path: Path) -> None:
    """No worker will ever tell its end: who waits is asked again at once."""
    lane.tell(budget(await reserved_by_one(tmp_path)))
    first, second = await lane.give(chat("a")), await lane.give(chat("b"))
    assert second not in lane.ended

    lane.ended[first] = lane.ended[first].shrunk(2_000_000)
    lane.look()

    assert lane.refusal(first) == "too_large"
    assert lane.sent(second)


async def test_a_fault_of_ours_while_a_job_is_answered_ends_it_as_failed_and_reserves_nothing(
    lane: Lane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is remembered of a decision that was not written down: the record would be taken for one done before."""
    lane.tell(budget(await reserved_by_one(tmp_path)))
    with monkeypatch.context() as broken:
        broken.setattr(Answers, "assigned", lambda *_: 1 // 0)
        record = lane.world.job(chat("a"))
        outcome = await lane.world.handle(record)

    assert json.loads(outcome.records[0].value or b"")["status"] == "failed"
    assert lane.sent(await lane.give(chat("b")))


async def test_a_redriven_job_that_fails_by_a_fault_of_ours_after_it_waited_has_its_own_result(
    lane: Lane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane.tell(budget(await reserved_by_one(tmp_path)))
    first = await lane.give(chat("a"))
    assigned = lane.world.log.append(lane.ended[first].records[0])
    redriven = lane.world.redrive(lane.world.failed(assigned))
    lease = Lease(end=lambda outcome: lane.ended.setdefault(redriven.offset, outcome))
    handler = await lane.world.lane()
    assert isinstance(await handler.handle(Delivery(redriven, lane.world.clock.now(), lease=lease)), Hold)
    twice = lane.world.redrive(lane.world.failed(assigned))
    again = await handler.handle(Delivery(twice, lane.world.clock.now()))
    assert isinstance(again, Publish)
    assert not again.records, "one submission of an identity waits at a time"

    monkeypatch.setattr(Answers, "assigned", lambda *_: 1 // 0)
    lane.end(first, cost=0)

    result = json.loads(lane.ended[redriven.offset].records[0].value)
    assert (result["status"], result["submission"]) == ("failed", 2)


async def test_however_many_are_cancelled_at_once_others_have_their_turn_between(lane: Lane, tmp_path: Path) -> None:
    lane.tell(budget(await reserved_by_one(tmp_path)))
    offsets = [await lane.give(chat(f"a{n}")) for n in range(250)]
    for number in range(1, 250):
        lane.world.cancel(f"a{number}")

    looked = [lane.world.app.pumps[lane.world.partition].look() for _ in range(0, 250, AT_ONCE)]

    assert set(looked[:-1]) == {AT_ONCE}
    assert [lane.refusal(offset) for offset in offsets[1:]] == ["cancelled"] * 249


async def test_who_chose_to_be_refused_is_refused_when_its_turn_comes_and_its_rate_does_not_allow_it(
    tmp_path: Path,
) -> None:
    """As many as the workers' queue takes are assigned; the others wait for their turn, and not for the rate."""
    lane = Lane(tmp_path, ahead=8)
    lane.tell(Tenant(at=START, tenant="default", over_limit="refuse", tier="slow"))
    tier = PolicyRecord(event=Tier(at=START, tier="slow", requests_per_minute=1_200))
    lane.world.app.state.rules.fold(Record(POLICIES.name, 0, 0, None, tier.encode(), (), 0))
    offsets = [await lane.give(chat(f"a{n}")) for n in range(30)]
    assert list(lane.ended) == offsets[:8]

    for offset in offsets[:4]:
        lane.end(offset, cost=0)

    sent = [offset for offset in lane.ended if lane.ended[offset].records[0].topic == TEXT.name]
    assert len(sent) == 11, "half a second's worth of the rate, and one"
    assert {lane.refusal(offset) for offset in lane.ended if offset not in sent} == {"over_rate"}
    assert list(lane.ended) == offsets, "nobody waits for the rate"


async def test_jobs_without_money_do_not_fill_the_process_for_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes of those who wait count in the process's window; when they are it, nobody's jobs are read."""
    monkeypatch.setattr(application, "MOST_WAITING", 0.05)
    lane, text = Lane(tmp_path, max_in_flight_bytes=1_048_576), "x" * 10_000
    lane.tell(budget(await reserved_by_one(tmp_path, text)))
    offsets = [await lane.give(chat(f"a{n}", text=text)) for n in range(12)]
    assert list(lane.ended) == offsets[:1]

    for _ in range(3):  # the first time, it is not known yet that they wait for money
        lane.look()

    assert list(lane.ended) == offsets[:7], "the oldest, until the others are few enough"
    assert lane.refusal(offsets[1]) == "over_budget"
    assert "waits no longer" in json.loads(lane.ended[offsets[1]].records[0].value)["error"]["message"]


async def test_a_price_or_a_rule_that_changes_is_news_to_who_waits_for_money(lane: Lane, tmp_path: Path) -> None:
    each = await reserved_by_one(tmp_path)
    lane.tell(budget(each))
    first, second = await lane.give(chat("a")), await lane.give(chat("b"))
    asked: list[str] = []
    admission = lane.world.app.pumps[lane.world.partition]._admission
    stir = admission.stir_all
    admission.stir_all = lambda: (asked.append("all"), stir())  # type: ignore[func-returns-value,assignment,method-assign]

    lane.look()
    lane.world.app.state.rules.fold(Record(POLICIES.name, 0, 7, None, None, (), 0))
    lane.look()

    assert asked == ["all"]
    assert lane.sent(first)
    assert second not in lane.ended


async def test_of_who_had_its_turn_nothing_is_kept_of_what_was_decided_while_it_waited(tmp_path: Path) -> None:
    lane = Lane(tmp_path, ahead=64)
    offsets = [await lane.give(chat(f"turn-{n}")) for n in range(128)]
    assert len(rulings_of("turn-")) == 64

    for offset in offsets[:64]:
        lane.end(offset, cost=0)

    assert all(lane.sent(offset) for offset in offsets)
    assert rulings_of("turn-") == []


async def test_a_lane_that_was_closed_is_kept_nowhere(lane: Lane, tmp_path: Path) -> None:
    lane.tell(budget(await reserved_by_one(tmp_path)))
    for number in range(3):
        await lane.give(chat(f"a{number}"))

    await lane.world.crash()

    assert lane.world.app.describe()["money"] == []
    assert not lane.world.app.pumps


async def test_a_log_that_cannot_be_asked_how_far_it_is_fails_no_job(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked now and then, so that the next opening reads less."""
    monkeypatch.setattr("router.lane.CHECKPOINT_EVERY", 1)
    monkeypatch.setattr("router.lane.CHECKPOINT_S", 0.05)
    first = lane.world.job(chat("a"))
    await lane.world.run(first)

    async def refuses(*_: object) -> tuple[int, int]:
        raise ConnectionError

    async def is_silent(*_: object) -> tuple[int, int]:
        await asyncio.Event().wait()
        return 0, 0

    for number, answer in enumerate((refuses, is_silent)):
        monkeypatch.setattr(lane.world.log, "bounds", answer)
        assert lane.sent(await lane.give(chat(f"b{number}")))
        lane.world.settle(first, lane.ended.popitem()[1])
        await lane.world.commit()


async def test_one_tenant_without_money_makes_nobody_else_wait(lane: Lane, tmp_path: Path) -> None:
    """Not even for the next look at who waits: their jobs are decided once, when they come."""
    lane.tell(budget(await reserved_by_one(tmp_path)))
    rich = next(name for name in map(str, range(100)) if home_partition(name, 3) == lane.world.partition)
    await lane.give(chat("a"))
    waiting = [await lane.give(chat(f"b{number}")) for number in range(2)]
    held = await lane.give({**chat("c"), "tenant": rich})
    assert held not in lane.ended, "who waits is not known to sleep before it was looked at"
    lane.look()

    assert lane.sent(held)
    assert lane.sent(await lane.give({**chat("d"), "tenant": rich}))
    assert not any(offset in lane.ended for offset in waiting)
