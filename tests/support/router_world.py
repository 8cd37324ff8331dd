"""A router lane without a broker: an in-memory log, a hand-turned clock, and the engine's part played by hand."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from router.ahead import Ahead
from router.application import RouterApplication
from router.catalogue import Catalogue, load
from router.lane import RouterLane
from runtime.cancels import Cancels
from runtime.commit import SHARED_LIMIT_BYTES, own_records
from runtime.deadletter import dead_letter
from runtime.outcome import Done, Hold, RetryAt
from runtime.partitions import home_partition, partition_of
from runtime.ports import Delivery, LaneId, Outgoing, Record, Resumed
from runtime.settings import Settings
from schemas import headers as names
from schemas.control import ControlEvent
from schemas.failure import FailureKind
from schemas.headers import Headers
from schemas.topics import CONTROL, DECISIONS, DLQ, JOBS, LEDGER, ROUTER_GROUP, SNAPSHOTS, worker_group

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SANDBOX = "http://127.0.0.1:9"


def sandbox_settings(home: Path, **more: Any) -> Settings:
    """The settings of a world whose Hugging Face is the sandbox."""
    return Settings(home=home, hf_router_url=SANDBOX, sandbox_url=SANDBOX, **more)


class HandClock:
    """Time that moves when a test says so."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - START).total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.turn(seconds)

    def turn(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class MemoryLog:
    """A log with transactions' gaps: each `commit` leaves a marker's offset behind. Implements `LogReader`."""

    def __init__(self, **partitions: int) -> None:
        self.counts = {JOBS.name: 3, DECISIONS.name: 3, LEDGER.name: 3, SNAPSHOTS.name: 3, DLQ.name: 2}
        self.counts |= {name.replace("_", "."): count for name, count in partitions.items()}
        self.records: dict[tuple[str, int], list[Record]] = {}
        self.ends: dict[tuple[str, int], int] = {}
        self.reads = 0
        """Records that were read through `read`, by the fold of identities and by that of money."""

    def append(self, out: Outgoing, timestamp_ms: int = 0) -> Record:
        """Write one record without a transaction."""
        count = self.counts.get(out.topic, 1)
        partition = out.partition if out.partition is not None else partition_of(out.key or b"", count)
        place = (out.topic, partition)
        offset = self.ends.get(place, 0)
        self.ends[place] = offset + 1
        stamp = out.timestamp_ms if out.timestamp_ms is not None else timestamp_ms
        record = Record(out.topic, partition, offset, out.key, out.value, out.headers, stamp)
        self.records.setdefault(place, []).append(record)
        return record

    def commit(self, outs: list[Outgoing], timestamp_ms: int = 0) -> list[Record]:
        """Write a transaction."""
        written = [self.append(out, timestamp_ms) for out in outs]
        for place in {(record.topic, record.partition) for record in written}:
            self.ends[place] += 1
        return written

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        records = self.records.get((topic, partition), [])
        end = self.ends.get((topic, partition), 0)
        return (records[0].offset if records else end), end

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Record]:
        for record in list(self.records.get((topic, partition), [])):
            if start <= record.offset < end:
                self.reads += 1
                yield record

    async def partitions(self, topic: str) -> int:
        return self.counts.get(topic, 0)


class World:
    """One partition's lane, its transactions and its crashes."""

    def __init__(
        self, home: Path, *, partition: int | None = None, log: MemoryLog | None = None,
        catalogue: Catalogue | None = None, ahead: int = 1_000_000, **settings: Any,
    ) -> None:  # fmt: skip
        """`ahead`: jobs that may be assigned and not ended, at first; nobody ends them unless `ended` is called."""
        self.settings = sandbox_settings(home, **settings)
        self.clock = HandClock()
        self.log = log or MemoryLog()
        self.partition = home_partition("default", 3) if partition is None else partition
        self.cancels = Cancels()
        self.app = RouterApplication(
            self.settings, catalogue or load(self.settings), self.clock, self.cancels,
            ahead=lambda: Ahead(start=ahead, most=max(ahead, 100_000)),
        )  # fmt: skip
        self.published: list[Record] = []
        """Everything that committed transactions wrote."""
        self.outcomes: list[Done] = []
        """Of every record handled, in order."""
        self._open: list[tuple[Record, Done]] = []
        self._lane: RouterLane | None = None

    async def lane(self) -> RouterLane:
        """The handler, opened when it is not."""
        if self._lane is None:
            self._lane = await self.app.open_lane(LaneId(ROUTER_GROUP, JOBS.name, self.partition), self.log, Resumed(0))
        return self._lane

    def job(self, job: Any, *, tenant: str = "default", partition: int | None = None, headers: Headers = ()) -> Record:
        """Publish a job as a producer would: a dict, or bytes as they are."""
        value = job if isinstance(job, bytes | None) else json.dumps(job).encode()
        where = self.partition if partition is None else partition
        stamp = int(self.clock.now().timestamp() * 1000)
        return self.log.append(Outgoing(JOBS.name, tenant.encode(), value, headers, where), stamp)

    def cancel(self, id: str = "a1", submission: int = 1, by: str = "ops") -> None:
        """Somebody cancels a job of the tenant `default`."""
        event = ControlEvent(
            action="cancel", tenant="default", job_id=id, submission=submission, at=self.clock.now(), by=by
        )
        self.cancels.fold(Record(CONTROL.name, 0, 0, None, event.encode(), (), 0))

    def failed(self, assigned: Record) -> Record:
        """The dead letter of an assigned job that a worker gave up."""
        lane = LaneId(worker_group("text"), assigned.topic, assigned.partition)
        out = dead_letter(assigned, lane, FailureKind.PROVIDER_ERROR, "the provider failed", has_result=True)
        return self.log.append(out, int(self.clock.now().timestamp() * 1000))

    def redrive(self, letter: Record, by: str = "ops", partition: int | None = None) -> Record:
        """Publish the job of a dead letter again, as `novix dlq redrive` does."""
        job: Any = json.loads(letter.value or b"")
        job = job.get("job", job)
        claim = ((names.REDRIVE, f"{letter.partition}/{letter.offset}".encode()), (names.REDRIVEN_BY, by.encode()))
        return self.job(job, tenant=job.get("tenant", "default"), partition=partition, headers=claim)

    async def handle(self, record: Record) -> Done:
        """Hand one record to the lane, as the engine does: retries in place, faults asked for their meaning."""
        lane = await self.lane()
        for attempt in range(1, 6):
            delivery = Delivery(record, self.clock.now(), attempt)
            try:
                outcome = await lane.handle(delivery)
            except Exception as error:
                outcome = lane.fault(delivery, error)
            if isinstance(outcome, Hold):
                raise AssertionError("it waits")
            if not isinstance(outcome, RetryAt):
                break
        else:
            raise AssertionError("it was put off five times")
        self.settle(record, outcome)
        return outcome

    def settle(self, record: Record, done: Done) -> None:
        """The outcome waits for the next commit."""
        self._open.append((record, done))
        self.outcomes.append(done)

    async def commit(self) -> list[Record]:
        """Commit what was handled since the last commit."""
        lane = await self.lane()
        done, self._open = self._open, []
        facts = [fact for _, one in done for fact in one.facts]
        lane_id = LaneId(ROUTER_GROUP, JOBS.name, self.partition)
        outs = [out for record, one in done for out in own_records(lane_id, record, one)]
        outs += lane.seal(facts, SHARED_LIMIT_BYTES)
        written = self.log.commit(outs, int(self.clock.now().timestamp() * 1000))
        lane.committed(facts)
        self.published += written
        return written

    async def run(self, *records: Record) -> list[Record]:
        """Handle and commit."""
        for record in records:
            await self.handle(record)
        return await self.commit()

    async def crash(self, before: Callable[[], None] = lambda: None) -> None:
        """Lose the lane and its open transaction; `before` the next opening something may happen."""
        self._open.clear()
        if self._lane is not None:
            await self._lane.close()
            self._lane = None
        before()

    def on(self, topic: str) -> list[Any]:
        """The JSON of what was committed to a topic."""
        return [json.loads(record.value or b"null") for record in self.published if record.topic == topic]


def chat(id: str = "a1", text: str = "Hi", **more: Any) -> dict[str, Any]:
    """A chat job."""
    task_input = {"messages": [{"role": "user", "content": text}], **more.pop("input", {})}
    return {"id": id, "task": "chat-completion", "input": task_input, **more}
