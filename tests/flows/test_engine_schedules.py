"""The lane engine under random schedules: kills, freezes, rebalances and a broker that fails, from one seed each.

A seed that fails is the whole reproduction: `pytest "tests/flows/test_engine_schedules.py::...[217]"`.
"""

import asyncio
import random
from collections import Counter, defaultdict
from datetime import timedelta

import pytest
from sim_log import LATER, Faults, SimGroup, SimLog
from sim_world import Process, SimApp, SimHandler, offset_of, publish
from virtual_time import LoopClock, run

from runtime import audit, progress
from runtime.outcome import Hold, Outcome, Publish, RetryAt
from runtime.ports import Delivery, Lease, Outgoing, Record
from runtime.progress import GENESIS
from schemas.audit import AuditBatch, AuditEntry
from schemas.failure import FailureKind

SEEDS = 300
NAMES = ("a", "b")
HEALED_WITHIN_S = 400


class Schedule:
    """What happens, by one seed."""

    def __init__(self, seed: int) -> None:
        self.dice = dice = random.Random(seed)
        rate = dice.choice([0.0, 0.05, 0.3])
        faults = Faults(*(rate * dice.random() for _ in range(4)), slow=rate)
        self.log = SimLog(dice, dice.randint(1, 4), faults)
        self.group = SimGroup(self.log)
        self.inline = dice.random() < 0.35
        self.orders = dice.choice([0.0, 0.0, 0.5, 1.0])
        """Share of the records that have a key whose order counts."""
        self.apps = {
            name: SimApp(self.work, inline=self.inline, order=self.key, postpones=True, custody=name * 12)
            for name in NAMES
        }
        self.processes: dict[str, Process] = {}
        self.plan: dict[str, list[int]] = {}
        self.frozen: set[str] = set()
        self.windows = {name: dice.choice([1, 4, 16, 64]) for name in NAMES}
        self.count = dice.randint(20, 120)
        self.begun: Counter[bytes | None] = Counter()
        self.may_repeat = self.inline
        self.under_way: Counter[object] = Counter()
        self.leases: dict[Lease, None] = {}
        """Of the handlers that are at work, the longest first."""
        for app in self.apps.values():
            app.on_close = self.close_slowly
        self.most_of_a_key = 0
        self.holding = random.Random(-seed)
        self.holds = self.holding.choice([0.0, 0.3, 0.9]) if self.inline else 0.0
        """Share of the outcomes that are told later, by a lease, while the records behind go on."""

    def key(self, record: Record) -> tuple[int, int] | None:
        """Three keys a partition."""
        number = int(record.value or b"")
        return (record.partition, number % 3) if number % 10 < 10 * self.orders else None

    async def work(self, handler: SimHandler, delivery: Delivery) -> Outcome:
        """One at a time of each key, as far as this process knows."""
        key = (id(handler.app), self.key(delivery.record))
        self.under_way[key] += 1
        self.leases[delivery.lease] = None
        if key[1] is not None:
            self.most_of_a_key = max(self.most_of_a_key, self.under_way[key])
        try:
            return self.held_back(delivery, await self.one_attempt(delivery))
        except asyncio.CancelledError:
            if not delivery.lease.interrupted or not delivery.lease.held or self.dice.random() < 0.3:
                raise
            if self.dice.random() < 0.5 and (task := asyncio.current_task()) is not None:
                task.uncancel()
            return publish(delivery.record, facts=(delivery.record.value,))
        finally:
            self.under_way[key] -= 1
            self.leases.pop(delivery.lease, None)

    def held_back(self, delivery: Delivery, outcome: Outcome) -> Outcome:
        """The outcome, or a hold that it ends in a while: also where its lane is no more."""
        if not isinstance(outcome, Publish) or self.holding.random() >= self.holds:
            return outcome
        wait = self.holding.choice([0.0, 0.01, 0.5, 5.0])
        asyncio.get_running_loop().call_later(wait * self.holding.random(), lambda: delivery.lease.end(outcome))
        return Hold()

    async def one_attempt(self, delivery: Delivery) -> Outcome:
        """Takes its time, tries again, breaks, or makes too much."""
        dice, record = self.dice, delivery.record
        self.begun[record.value] += delivery.attempt == 1
        longest = 0.02 if self.inline else dice.choice([0.02, 0.3, 3.0])
        if dice.random() < 0.8:
            await asyncio.sleep(dice.random() * longest)
        fate = dice.random()
        if fate < 0.1 and delivery.attempt < 4:
            wait = timedelta(seconds=0 if self.inline else dice.choice([0, 0, 1, 4, 7]))
            return RetryAt(LoopClock().now() + wait, FailureKind.TIMEOUT, in_memory=dice.random() < 0.8)
        if fate < 0.13:
            raise ZeroDivisionError
        deeds = (AuditEntry(at=delivery.arrived_at, action="job.succeeded"),) if fate < 0.5 else ()
        told = publish(record, audit=deeds, facts=(record.value,))
        if fate < 0.16:
            return Publish((Outgoing("out", None, b"x" * 5_000),), facts=(record.value,), shrunk=lambda size: told)
        return told

    async def close_slowly(self) -> None:
        """A handler that takes its time to let go, or does not."""
        if self.dice.random() < 0.2:
            await asyncio.sleep(self.dice.choice([0.1, 2, 20]))

    # the world

    def start(self, name: str) -> None:
        self.processes[name] = Process(
            self.log, self.group, self.apps[name], name, window=self.windows[name], drain_s=self.dice.choice([0.5, 20])
        )

    async def produce(self) -> None:
        for number in range(self.count):
            partition = self.dice.randrange(len(self.log.input))
            self.log.append(partition, b"%d" % number, marker=self.dice.random() < 0.3)
            await asyncio.sleep(self.dice.choice([0, 0, 0.01, 0.5]))

    async def rebalance(self) -> None:
        awake = [name for name in self.processes if name not in self.frozen]
        self.plan = defaultdict(list)
        for partition in range(len(self.log.input)):
            self.plan[self.dice.choice(awake)].append(partition)
        await self.group.rebalance(self.plan, self.frozen)

    async def freeze(self) -> None:
        """One is thrown out, and learns of it later: until then it goes on as if nothing were."""
        if len(self.processes) == 2 and not self.frozen:
            self.may_repeat = True
            self.frozen.add(self.dice.choice(NAMES))
            await self.rebalance()
            await asyncio.sleep(self.dice.uniform(0, 12))
            self.frozen.clear()
            await self.rebalance()

    async def kill(self) -> None:
        """And start again: a static member is back without a rebalance."""
        if not self.frozen:
            self.may_repeat = True
            name = self.dice.choice(list(self.processes))
            await self.processes[name].kill()
            await self.back(name)

    async def stop(self) -> None:
        """As `kill`, but asked for."""
        if not self.frozen:
            self.may_repeat = True
            name = self.dice.choice(list(self.processes))
            await asyncio.wait_for(self.processes[name].stop(), 60)
            await self.back(name)

    async def hurry(self) -> None:
        """As `stop`, and a second time: before the end of the drain, or while the lanes close."""
        if not self.frozen:
            self.may_repeat = True
            name = self.dice.choice(list(self.processes))
            process = self.processes[name]
            stopping = asyncio.create_task(process.stop())
            await asyncio.sleep(self.dice.choice([0, 0.01, 0.3, 3]))
            process.engine.hurry()
            await asyncio.wait_for(stopping, 40)
            await self.back(name)

    async def interrupt(self) -> None:
        """Some handlers shall look again, at once."""
        for _ in range(self.dice.randint(1, 5)):
            for lease in list(self.leases):
                if self.dice.random() < 0.5:
                    lease.interrupt()
            await asyncio.sleep(self.dice.uniform(0, 0.5))

    async def back(self, name: str) -> None:
        await asyncio.sleep(self.dice.choice([0, 0.5]))
        self.start(name)
        await asyncio.sleep(0.01)
        async with self.group.steady:
            await self.group.members[name].take(sorted(self.plan.get(name, [])))

    async def outage(self) -> None:
        self.log.down = True
        await asyncio.sleep(self.dice.uniform(0, 15))
        self.log.down = False

    async def story(self) -> None:
        for name in NAMES[: self.dice.randint(1, 2)]:
            self.start(name)
        await asyncio.sleep(0)
        await self.rebalance()
        producing = asyncio.create_task(self.produce())
        for _ in range(self.dice.randint(0, 8)):
            await asyncio.sleep(self.dice.uniform(0, 4))
            await self.dice.choice(
                [self.rebalance, self.freeze, self.kill, self.stop, self.hurry, self.interrupt, self.outage]
            )()
        await producing
        self.log.faults = Faults()
        until = LoopClock().monotonic() + HEALED_WITHIN_S
        while not self.quiet():
            assert LoopClock().monotonic() < until, f"stuck: {[p.engine.describe() for p in self.processes.values()]}"
            await asyncio.sleep(0.2)
        for process in self.processes.values():
            await asyncio.wait_for(process.stop(), 60)
            window = process.engine.window
            assert (window.used, window.used_bytes) == (0, 0)

    def quiet(self) -> bool:
        """Everything that was produced, or came back from where it waited, is committed, and the lanes are idle."""
        runners = [runner for process in self.processes.values() for runner in process.engine.runners.values()]
        behind = any(offset_of(self.log, p) < self.log.end(p) for p in range(len(self.log.input)))
        at_work = any(runner.works or not runner.lane for runner in runners)
        return len(self.log.results) == self.count and not behind and not at_work

    def verdict(self) -> None:
        assert self.log.wrong == []
        once = Counter(b"%d" % number for number in range(self.count))
        assert self.log.results == once
        facts = [fact for record in self.log.written["facts"] for fact in (record.value or b"").split(b",")]
        assert Counter(facts) <= once, "a fact is written with its outcome"
        for key, numbers in self.by_key().items():
            assert numbers == sorted(numbers), f"results of {key} are out of their order"
        for partition, position in self.log.positions.items():
            assert progress.decode(position.offset, position.metadata).custody == "", f"{partition}: no call is out"
        heads: dict[str, tuple[int, str]] = {}
        for record in self.log.written["inference.audit.v1"]:
            batch = AuditBatch.model_validate_json(record.value or b"")
            assert (batch.sequence - 1, batch.previous) == heads.get(batch.lane, (0, GENESIS))
            assert audit.verify(batch)
            heads[batch.lane] = batch.sequence, batch.hash
        if not self.may_repeat and len(self.processes) == 1:
            self.begun.subtract(record.value for record in self.log.written[LATER])
            assert set(self.begun.values()) == {1}, "a rebuild or a rebalance repeats no call"
            assert self.most_of_a_key <= 1
        most = max(app.most_running for app in self.apps.values())
        assert most <= max(self.windows.values()) + 200, "in flight is bounded"

    def by_key(self) -> dict[object, list[int]]:
        """The numbers of the ordered records, as their results were committed, by key."""
        where = {entry.value: entry for entries in self.log.input for entry in entries if entry is not None}
        found: dict[object, list[int]] = defaultdict(list)
        for result in self.log.written["out"]:
            if result.value in where and (key := self.key(where[result.value])) is not None and not self.inline:
                found[key].append(int(result.value or b""))
        return found


@pytest.mark.parametrize("seed", range(SEEDS))
def test_each_record_has_one_committed_result_and_nothing_is_stuck(seed: int):
    schedule = Schedule(seed)
    run(schedule.story())
    schedule.verdict()
