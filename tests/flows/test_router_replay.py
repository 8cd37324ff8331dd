"""What a real lane wrote is decided again: jobs that waited, were driven again, came from elsewhere, were refused."""

from pathlib import Path
from typing import Any

import pytest
from router_world import START, MemoryLog, World, chat

from console.decisions_read import Span, replayed
from router import admission
from router.catalogue import load
from router.replay import NO_ROOM, OWN_FAULT, Replayed
from router.snapshot import catalogue_records
from runtime.outcome import GiveUp, Hold, Publish, RetryAt
from runtime.partitions import home_partition
from runtime.ports import Delivery, Lease, Outgoing, Record
from schemas.accounts import AccountRecord, Budget, Tenant
from schemas.ledger import LedgerBatch, LedgerEntry
from schemas.policies import PolicyRecord, PolicySet
from schemas.topics import BUDGETS, DECISIONS, LEDGER, OFFERS, POLICIES, PRICES, REGISTRY, TEXT

HISTORIES = (PRICES, POLICIES, BUDGETS, OFFERS, REGISTRY)


class Kafka:
    """`console.kafka.Log` over the log that a lane wrote to."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def reader(self) -> MemoryLog:
        return self._log

    async def find_since(self, topic: str, partition: int, timestamp_ms: int) -> int:
        rows = self._log.records.get((topic, partition), [])
        end = self._log.ends.get((topic, partition), 0)
        return next((row.offset for row in rows if row.timestamp_ms >= timestamp_ms), end)


class Lane:
    """A lane, what it is told, and the engine's part for jobs that wait."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.world = World(home, **settings)
        self.log = self.world.log
        self.log.counts |= {topic.name: 1 for topic in HISTORIES}
        for out in catalogue_records(load(self.world.settings), START):
            self.log.append(out)

    def tell(self, event: Budget | Tenant | PolicySet) -> None:
        """Something about accounts or rules, as the follower brings it."""
        state = self.world.app.state
        if isinstance(event, PolicySet):
            state.rules.fold(self._append(POLICIES.name, PolicyRecord(event=event).encode()))
        else:
            state.accounts.fold(self._append(BUDGETS.name, AccountRecord(event=event).encode()))

    def _append(self, topic: str, value: bytes) -> Record:
        return self.log.append(Outgoing(topic, None, value, (), 0), int(self.world.clock.now().timestamp() * 1000))

    async def give(self, record: Record) -> None:
        """Hand a record over; an outcome that comes later settles it then."""

        def end(outcome: Publish | GiveUp | RetryAt) -> None:
            assert not isinstance(outcome, RetryAt)
            self.world.settle(record, outcome)

        lease = Lease(end=end)
        lane = await self.world.lane()
        outcome = await lane.handle(Delivery(record, self.world.clock.now(), lease=lease))
        if not isinstance(outcome, Hold):
            end(outcome)

    def ended(self, job: str, decision: dict[str, Any], cost: int) -> None:
        """A worker tells what an assigned job cost."""
        entry = LedgerEntry(
            kind="settle", tenant="default", job_id=job, submission=1, decision_id=decision["decision_id"],
            reserved_nanousd=decision["reserve"]["nanousd"], cost_nanousd=cost, cost_source="computed",
            charges=[{"model": "m", "provider": "p", "nanousd": cost, "source": "computed", "attempt": 1}],
            status="succeeded", at=self.world.clock.now(), called_ms=5,
        )  # fmt: skip
        batch = LedgerBatch(lane="w", entries=[entry])
        record = self.log.append(Outgoing(LEDGER.name, b"", batch.encode(), (), self.world.partition))
        pump = self.world.app.pumps[self.world.partition]
        pump.hear(record)
        pump.look()

    def decided(self) -> list[dict[str, Any]]:
        return [one for batch in self.world.on(DECISIONS.name) for one in batch["decisions"]]

    async def replayed(self) -> Replayed:
        """Every decision on the log, as another machine decides it again."""
        told, _ = await replayed(Kafka(self.log), Span(), "")  # type: ignore[arg-type]
        return told


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    return Lane(tmp_path)


async def test_jobs_of_all_kinds_are_decided_the_same_again(lane: Lane) -> None:
    world = lane.world
    await lane.give(world.job(chat("plain")))
    await lane.give(world.job(chat("poor", max_cost_nanousd=1)))
    await lane.give(world.job(b'{"id": "odd", "task": "chat-completion", "schema": 7}'))
    await lane.give(world.job(chat("plain")))
    lane.tell(PolicySet(at=START, policy="cheapest/1"))
    world.clock.turn(30)
    await lane.give(world.job(chat("later", "Prove and explain why.")))
    world.cancel("gone")
    await lane.give(world.job(chat("gone")))
    world.clock.turn(700)
    away = (world.partition + 1) % 3
    assert home_partition("default", 3) == world.partition
    origin = f"{away}/5/{int(START.timestamp() * 1000) + 650_000}".encode()
    await lane.give(world.job(chat("away"), headers=(("novix-origin", origin),)))
    await world.commit()

    told = await lane.replayed()

    assert (told.decisions, told.same, told.different) == (6, 6, 0), told
    assert {one["verdict"] for one in lane.decided()} == {"assigned", "rejected", "cancelled"}


async def test_a_job_that_waited_for_money_is_decided_again_with_the_money_of_that_moment(lane: Lane) -> None:
    budget = Budget(at=START, id="b", tenant="default", window="total", limit_nanousd=10**12)
    lane.tell(budget)
    await lane.world.run(lane.world.job(chat("a")))
    each = lane.decided()[0]["reserve"]["nanousd"]
    lane.tell(budget.model_copy(update={"limit_nanousd": 2 * each + 1_000}))
    for name in ("b", "c", "d"):
        await lane.give(lane.world.job(chat(name)))
        lane.world.clock.turn(1)
    await lane.world.commit()
    first = lane.decided()
    assert [one["job_id"] for one in first] == ["a", "b"], "the others wait"

    for one in first:
        lane.world.clock.turn(5)
        lane.ended(one["job_id"], one, cost=1_000)
    await lane.world.commit()

    assert len(lane.decided()) == 4
    assert any(one["held"].get("purse") for one in lane.decided())
    told = await lane.replayed()
    assert (told.decisions, told.same, told.different) == (4, 4, 0), told


async def test_a_job_that_was_turned_away_for_the_others_sake_is_decided_again_as_one(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MOST_OVERTAKEN", 2)
    budget = Budget(at=START, id="b", tenant="default", window="total", limit_nanousd=10**12)
    lane.tell(budget)
    await lane.world.run(lane.world.job(chat("a")))
    each = lane.decided()[0]["reserve"]["nanousd"]
    lane.tell(budget.model_copy(update={"limit_nanousd": 2 * each + 1_000}))
    for name in ("b", "c", "d", "e", "f"):
        await lane.give(lane.world.job(chat(name)))
    for _ in range(2):
        lane.world.app.pumps[lane.world.partition].look()
    await lane.world.commit()

    assert {one["job_id"]: one.get("kind") for one in lane.decided()} == {
        "a": None, "b": None, "c": "over_budget", "d": "over_budget",
    }  # fmt: skip
    told = await lane.replayed()
    assert (told.decisions, told.same, told.different) == (4, 4, 0), told


async def test_a_job_whose_time_ran_out_while_it_waited_for_money_is_decided_again_as_one(lane: Lane) -> None:
    budget = Budget(at=START, id="b", tenant="default", window="total", limit_nanousd=10**12)
    lane.tell(budget)
    await lane.world.run(lane.world.job(chat("a")))
    each = lane.decided()[0]["reserve"]["nanousd"]
    lane.tell(budget.model_copy(update={"limit_nanousd": each + 1_000}))
    for name in ("b", "c"):
        await lane.give(lane.world.job(chat(name, timeout_s=30.0)))
    lane.world.clock.turn(31)
    lane.world.app.pumps[lane.world.partition].look()
    await lane.world.commit()

    assert {one["job_id"]: (one["verdict"], one.get("kind")) for one in lane.decided()} == {
        "a": ("assigned", None), "b": ("expired", "over_budget"), "c": ("expired", "over_budget"),
    }  # fmt: skip
    told = await lane.replayed()
    assert (told.decisions, told.same, told.different) == (3, 3, 0), told


async def test_a_dead_letter_driven_again_is_decided_again_as_the_same_submission(lane: Lane) -> None:
    world = lane.world
    written = await world.run(world.job(chat("a1")))
    (assigned,) = [one for one in written if one.topic == TEXT.name]
    letter = world.failed(assigned)
    world.clock.turn(60)
    await world.run(world.redrive(letter))

    told = await lane.replayed()

    assert [one["submission"] for one in lane.decided()] == [1, 2]
    assert (told.decisions, told.same, told.different) == (2, 2, 0), told


async def test_what_no_rule_led_to_is_counted_and_not_called_a_difference(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = lane.world
    record = world.job(chat("large"))
    done = await world.handle(record)
    assert isinstance(done, Publish)
    assert done.shrunk is not None
    shrunk = done.shrunk(2_000_000)
    assert shrunk is not None
    world._open.clear()
    world.settle(record, shrunk)
    monkeypatch.setattr("router.lane.decide", lambda *_, **__: 1 // 0)
    await world.run(world.job(chat("broken")))

    told = await lane.replayed()

    assert dict(told.skipped) == {NO_ROOM: 1, OWN_FAULT: 1}
    assert told.different == 0
