"""Router lanes with money on the simulated log: kills, rebalances, rebuilds and a broker that fails, by one seed each.

What is held against every schedule: each job is decided once, what the log itself says was spent and set aside is at
no moment more than the budget, and nobody waits for ever. Failing seeds reproduce: `pytest "...[17]"`.
"""

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest
from router_world import chat, sandbox_settings
from sim_log import Faults, SimError, SimGroup, SimLog
from sim_world import Process, offset_of
from virtual_time import NOON, LoopClock, run

from router.ahead import Ahead
from router.application import RouterApplication
from router.catalogue import load
from router.state import State
from runtime.cancels import Cancels
from runtime.partitions import home_partition
from runtime.ports import LaneId, Outgoing, Position, Record
from runtime.waiting import PRIORITIES
from schemas.accounts import AccountRecord, Budget, Tenant
from schemas.control import ControlEvent
from schemas.ledger import LedgerBatch, LedgerEntry
from schemas.policies import PolicyRecord, Tier
from schemas.topics import BUDGETS, CONTROL, DECISIONS, JOBS, LEDGER, POLICIES, RESULTS, TEXT

SEEDS = 24
NAMES = ("one", "two")
HEALED_WITHIN_S = 300
LANES = 2
TENANTS = tuple(next(name for name in map(str, range(99)) if home_partition(name, LANES) == lane) for lane in (0, 0, 1))
PATIENT_S = 50_000.0
"""Of every job: who is forgotten is not saved by its deadline."""


class MoneyLog(SimLog):
    """The simulated log with every topic by partition, in the order in which everything became visible."""

    def __init__(self, dice: random.Random, faults: Faults) -> None:
        super().__init__(dice, LANES, faults)
        self.topics: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self.all: list[Record] = []

    def put(self, out: Outgoing) -> Record:
        """Becomes visible."""
        place = (out.topic, out.partition or 0)
        record = Record(*place, len(self.topics[place]), out.key, out.value, out.headers, self.now_ms())
        self.topics[place].append(record)
        self.all.append(record)
        return record

    def now_ms(self) -> int:
        return int(LoopClock().now().timestamp() * 1_000)

    def publish(self, lane: int, job: dict[str, object]) -> None:
        entries = self.input[lane]
        key, value = str(job["tenant"]).encode(), json.dumps(job).encode()
        entries.append(Record(JOBS.name, lane, len(entries), key, value, (), self.now_ms()))
        self.tell()

    def apply(self, records: list[Outgoing], lane: LaneId, position: Position) -> None:
        super().apply([], lane, position)
        for record in records:
            self.put(record)

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        await self.wait()
        count = self.end(partition) if topic == JOBS.name else len(self.topics[topic, partition])
        return 0, count

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Record]:
        await self.wait()
        for record in self.topics[topic, partition][start:end]:
            yield record

    async def partitions(self, topic: str) -> int:
        await self.wait()
        return LANES

    async def follow(self, topic: str, starts: dict[int, int]) -> AsyncGenerator[Record, None]:
        places = dict(starts)
        while True:
            await self.wait()
            if self.dice.random() < self.faults.refused:
                raise SimError("disconnected")
            for partition in places:
                for record in self.topics[topic, partition][places[partition] :]:
                    places[partition] = record.offset + 1
                    yield record


class Schedule:
    """What happens, by one seed."""

    def __init__(self, seed: int, home: Path) -> None:
        self.dice = dice = random.Random(seed)
        rate = dice.choice([0.0, 0.05, 0.2])
        self.log = MoneyLog(dice, Faults(*(rate * dice.random() for _ in range(4)), slow=rate))
        self.group = SimGroup(self.log)
        self.home = home
        self.catalogue = load(sandbox_settings(home))
        self.limit = dice.choice([150_000, 1_000_000, 30_000_000])
        self.ahead = dice.choice([8, 64, 1_000])
        self.jobs = [(dice.choice(TENANTS), f"j{number}") for number in range(dice.randint(20, 80))]
        self.cancelled = {job for job in self.jobs if dice.random() < 0.1}
        self.budgets = [
            Budget(at=NOON, id="b", tenant=tenant, window="total", limit_nanousd=self.limit)
            for tenant in dict.fromkeys(TENANTS)
        ]
        self.rate = dice.choice([None, None, 600])
        self.refuses = {tenant for tenant in TENANTS if dice.random() < 0.2}
        self.processes: dict[str, Process] = {}
        self.cancels: dict[str, Cancels] = {}
        self.plan: dict[str, list[int]] = {}
        self.apps: list[RouterApplication] = []

    def start(self, name: str) -> None:
        """A process with an empty memory, and whatever its predecessor left on the disk."""
        settings = sandbox_settings(self.home / name, snapshot_every=100)
        state = State(settings, self.catalogue)
        events = [*self.budgets, *(Tenant(at=NOON, tenant=tenant, over_limit="refuse") for tenant in self.refuses)]
        for offset, event in enumerate(events):
            state.accounts.fold(Record(BUDGETS.name, 0, offset, None, AccountRecord(event=event).encode(), (), 0))
        if self.rate is not None:
            tier = PolicyRecord(event=Tier(at=NOON, tier="default", requests_per_minute=self.rate))
            state.rules.fold(Record(POLICIES.name, 0, 0, None, tier.encode(), (), 0))
        cancels = self.cancels[name] = Cancels()
        app = RouterApplication(
            settings, self.catalogue, LoopClock(), cancels, state=state, following=self.log,
            ahead=lambda: Ahead(start=self.ahead),
        )  # fmt: skip
        self.apps.append(app)
        self.processes[name] = Process(self.log, self.group, app, name, window=self.dice.choice([4, 64]))  # type: ignore[arg-type]

    async def produce(self) -> None:
        """Every job, some of them twice; some are cancelled in a while."""
        for tenant, id in self.jobs:
            job = chat(id, tenant=tenant, timeout_s=PATIENT_S, text="x" * self.dice.choice([4, 4_000]))
            job["priority"] = self.dice.choice(PRIORITIES)
            if int(id[1:]) % 3 == 0:
                job["ordering_key"] = "k"
            for _ in range(1 if "ordering_key" in job else self.dice.choice([1, 1, 1, 2])):
                self.log.publish(home_partition(tenant, LANES), job)
                await asyncio.sleep(self.dice.choice([0, 0, 0.01, 0.3]))
            if (tenant, id) in self.cancelled:
                event = ControlEvent(
                    action="cancel", tenant=tenant, job_id=id, submission=1, at=LoopClock().now(), by="ops"
                )
                for cancels in self.cancels.values():
                    cancels.fold(Record(CONTROL.name, 0, 0, None, event.encode(), (), 0))

    async def work(self) -> None:
        """The workers of all jobs: each is done once, costs no more than was set aside for it, and its end is told."""
        done = 0
        while True:
            await asyncio.sleep(0.05)
            assigned = [record for record in self.log.all if record.topic == TEXT.name]
            for record in assigned[done:]:
                asyncio.get_running_loop().call_later(self.dice.uniform(0.01, 4), self.end, record)
            done = len(assigned)

    def end(self, record: Record) -> None:
        told = json.loads(record.value or b"")
        assignment, job = told["assignment"], told["job"]
        reserved = assignment["reserved"]["nanousd"]
        cost = self.dice.choice([0, reserved // 7, reserved])
        charge = {"model": "m", "provider": "p", "nanousd": cost, "source": "computed", "attempt": 1}
        entry = LedgerEntry(
            kind="settle" if cost else "release", tenant=job["tenant"], job_id=job["id"], submission=told["submission"],
            decision_id=assignment["decision_id"], reserved_nanousd=reserved, cost_nanousd=cost,
            cost_source="computed", charges=[charge] if cost else [], status="succeeded", at=LoopClock().now(),
            called_ms=5, waited_ms=self.dice.choice([1, 3_000]),
        )  # fmt: skip
        batch = LedgerBatch(lane="w", entries=[entry])
        self.log.put(Outgoing(LEDGER.name, b"", batch.encode(), (), assignment["reserved"]["home"]))

    # faults

    async def rebalance(self) -> None:
        self.plan = defaultdict(list)
        for lane in range(LANES):
            self.plan[self.dice.choice(list(self.processes))].append(lane)
        await self.group.rebalance(self.plan)

    async def kill(self) -> None:
        name = self.dice.choice(list(self.processes))
        await self.processes[name].kill()
        await self.back(name)

    async def stop(self) -> None:
        name = self.dice.choice(list(self.processes))
        await asyncio.wait_for(self.processes[name].stop(), 60)
        await self.back(name)

    async def outage(self) -> None:
        self.log.down = True
        await asyncio.sleep(self.dice.uniform(0, 10))
        self.log.down = False

    async def back(self, name: str) -> None:
        self.start(name)
        await asyncio.sleep(0.01)
        async with self.group.steady:
            await self.group.members[name].take(sorted(self.plan.get(name, [])))

    async def story(self) -> None:
        for name in NAMES[: self.dice.randint(1, 2)]:
            self.start(name)
        await asyncio.sleep(0)
        await self.rebalance()
        working = asyncio.create_task(self.work())
        producing = asyncio.create_task(self.produce())
        for _ in range(self.dice.randint(0, 8)):
            await asyncio.sleep(self.dice.uniform(0, 4))
            await self.dice.choice([self.rebalance, self.kill, self.stop, self.outage])()
        await producing
        self.log.faults = Faults()
        until = LoopClock().monotonic() + HEALED_WITHIN_S
        while any(offset_of(self.log, lane) < self.log.end(lane) for lane in range(LANES)):
            assert LoopClock().monotonic() < until, f"stuck: {[app.describe() for app in self.apps[-2:]]}"
            await asyncio.sleep(0.2)
        for process in self.processes.values():
            await asyncio.wait_for(process.stop(), 60)
            assert (process.engine.window.used, process.engine.window.used_bytes) == (0, 0)
        await asyncio.sleep(10)
        working.cancel()
        await asyncio.wait([working])
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, "no pump and no tail outlives its lanes"
        assert not any(app.pumps for app in self.apps)

    def verdict(self) -> None:
        assert self.log.wrong == []
        decided: Counter[tuple[str, str, int]] = Counter()
        sent: Counter[tuple[str, str]] = Counter()
        verdicts: Counter[str] = Counter()
        reserved: dict[str, tuple[str, int]] = {}
        taken: Counter[str] = Counter()
        for record in self.log.all:
            told = json.loads(record.value or b"null") if record.topic in (DECISIONS.name, LEDGER.name) else {}
            for one in told.get("decisions", ()):
                decided[one["tenant"], one["job_id"], one["submission"]] += 1
                verdicts[one["verdict"]] += 1
                if one["verdict"] == "assigned":
                    reserved[one["decision_id"]] = one["tenant"], one["reserve"]["nanousd"]
                    taken[one["tenant"]] += one["reserve"]["nanousd"]
                    sent[one["tenant"], one["job_id"]] += 1
            for one in told.get("entries", ()):
                tenant, most = reserved.pop(one["decision_id"])
                taken[tenant] += one["cost_nanousd"] - most
            assert all(sum_ <= self.limit for sum_ in taken.values()), "spent and set aside at any moment"
        assert set(decided.values()) == {1}
        assert {job[:2] for job in decided} == set(self.jobs)
        assert max(sent.values(), default=1) == 1, "only one that was rejected may come again"
        assert not reserved
        ordered: dict[str, list[int]] = defaultdict(list)
        for record in self.log.all:
            job = json.loads(record.value or b"")["job"] if record.topic == TEXT.name else {}
            if "ordering_key" in job:
                ordered[job["tenant"]].append(int(job["id"][1:]))
        assert all(numbers == sorted(numbers) for numbers in ordered.values()), "jobs of a key go in their order"
        written = Counter(record.topic for record in self.log.all)
        assert written[TEXT.name] == verdicts["assigned"]
        assert written[RESULTS.name] == len(decided) - verdicts["assigned"]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_each_job_is_decided_once_within_its_budget_and_nobody_waits_for_ever(seed: int, tmp_path: Path) -> None:
    schedule = Schedule(seed, tmp_path)
    run(schedule.story())
    schedule.verdict()
