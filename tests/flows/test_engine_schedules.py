"""The lane engine under random schedules: kills, freezes, rebalances and a broker that fails, from one seed each.

A seed that fails is the whole reproduction: `pytest "tests/flows/test_engine_schedules.py::...[217]"`.
"""

import asyncio
import random
from collections import Counter, defaultdict

import pytest
import structlog
from sim_log import Faults, SimGroup, SimLog
from sim_world import Process, SimApp, SimHandler, offset_of, publish
from virtual_time import LoopClock, run

from runtime import audit
from runtime.outcome import Outcome, Publish, RetryAt
from runtime.ports import Delivery, Outgoing
from runtime.progress import GENESIS
from schemas.audit import AuditBatch, AuditEntry
from schemas.failure import FailureKind

SEEDS = 300
NAMES = ("a", "b")
HEALED_WITHIN_S = 400


@pytest.fixture(autouse=True)
def quiet():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


class Schedule:
    """What happens, by one seed."""

    def __init__(self, seed: int) -> None:
        self.dice = dice = random.Random(seed)
        rate = dice.choice([0.0, 0.05, 0.3])
        faults = Faults(*(rate * dice.random() for _ in range(4)), slow=rate)
        self.log = SimLog(dice, dice.randint(1, 4), faults)
        self.group = SimGroup(self.log)
        self.inline = dice.random() < 0.35
        self.apps = {name: SimApp(self.work, inline=self.inline) for name in NAMES}
        self.processes: dict[str, Process] = {}
        self.plan: dict[str, list[int]] = {}
        self.frozen: set[str] = set()
        self.window = dice.choice([1, 4, 16, 64])
        self.count = dice.randint(20, 120)
        self.begun: Counter[bytes | None] = Counter()
        self.may_repeat = self.inline

    async def work(self, handler: SimHandler, delivery: Delivery) -> Outcome:
        """Takes its time, tries again, breaks, or makes too much."""
        dice, record = self.dice, delivery.record
        self.begun[record.value] += delivery.attempt == 1
        longest = 0.02 if self.inline else dice.choice([0.02, 0.3, 3.0])
        if dice.random() < 0.8:
            await asyncio.sleep(dice.random() * longest)
        fate = dice.random()
        if fate < 0.1 and delivery.attempt < 4:
            return RetryAt(delivery.arrived_at, FailureKind.TIMEOUT)
        if fate < 0.13:
            raise ZeroDivisionError
        deeds = (AuditEntry(at=delivery.arrived_at, action="job.succeeded"),) if fate < 0.5 else ()
        told = publish(record, audit=deeds, facts=(record.value,))
        if fate < 0.16:
            return Publish((Outgoing("out", None, b"x" * 5_000),), facts=(record.value,), shrunk=lambda size: told)
        return told

    # the world

    def start(self, name: str) -> None:
        self.processes[name] = Process(
            self.log, self.group, self.apps[name], name, window=self.window, drain_s=self.dice.choice([0.5, 20])
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
            await self.dice.choice([self.rebalance, self.freeze, self.kill, self.stop, self.outage])()
        await producing
        self.log.faults = Faults()
        until = LoopClock().monotonic() + HEALED_WITHIN_S
        ends = {partition: self.log.end(partition) for partition in range(len(self.log.input))}
        runners = [runner for process in self.processes.values() for runner in process.engine.runners.values()]
        while any(offset_of(self.log, p) < end for p, end in ends.items()) or any(one.works for one in runners):
            assert LoopClock().monotonic() < until, f"stuck: {[p.engine.describe() for p in self.processes.values()]}"
            await asyncio.sleep(0.2)
        for process in self.processes.values():
            await asyncio.wait_for(process.stop(), 60)
            window = process.engine.window
            assert (window.used, window.used_bytes) == (0, 0)

    def verdict(self) -> None:
        assert self.log.wrong == []
        once = Counter(b"%d" % number for number in range(self.count))
        assert self.log.results == once
        facts = [fact for record in self.log.written["facts"] for fact in (record.value or b"").split(b",")]
        assert Counter(facts) <= once, "a fact is written with its outcome"
        heads: dict[str, tuple[int, str]] = {}
        for record in self.log.written["inference.audit.v1"]:
            batch = AuditBatch.model_validate_json(record.value or b"")
            assert (batch.sequence - 1, batch.previous) == heads.get(batch.lane, (0, GENESIS))
            assert audit.verify(batch)
            heads[batch.lane] = batch.sequence, batch.hash
        if not self.may_repeat and len(self.processes) == 1:
            assert set(self.begun.values()) == {1}, "a rebuild or a rebalance repeats no call"
        most = max(app.most_running for app in self.apps.values())
        assert most <= self.window + 200, "in flight is bounded"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_each_record_has_one_committed_result_and_nothing_is_stuck(seed: int):
    schedule = Schedule(seed)
    run(schedule.story())
    schedule.verdict()
