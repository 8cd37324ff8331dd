"""The lane engine: poll, admit, settle, commit, for one application on one topic. Holds no rule of its own."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

import structlog

from runtime.admit import Window, most_to_poll
from runtime.cadence import Cadence
from runtime.outcome import Abandoned, Application, Done, LaneHandler, Outcome, RetryAt
from runtime.ports import Clock, Delivery, LaneId, Lease, LogReader, Record
from runtime.runner import LaneRunner, Member, OpenTransaction
from runtime.settle import settled, wait_before
from runtime.work import Work

log = structlog.get_logger("novix.engine")

POLL_MS = 200
FULL_WAIT_S = 30.0
"""How long a full process goes without polling: far below the poll interval after which Kafka's client leaves the group."""
REVOKE_WAIT_S = 5.0
"""For calls in flight when their partition is taken away; what is not done by then is parked."""
PARKED_S = 60.0
"""How long a parked call may wait for its partition to come back."""


class Membership(Member, Protocol):
    """A group membership with a beginning and an end."""

    async def start(
        self, assigned: Callable[[list[int]], Awaitable[None]], revoked: Callable[[list[int]], Awaitable[None]]
    ) -> None: ...
    async def stop(self) -> None: ...


class Engine:
    """Runs an `Application` with one lane per assigned partition until it is told to stop.

    `run` returns when everything settled is committed and every lane is closed; it raises for faults that no lane can
    mend (no access, a bug), after which the process should end and be started again.
    """

    def __init__(
        self, app: Application, member: Membership, open_transaction: OpenTransaction, reader: LogReader, clock: Clock,
        *, window: int, drain: timedelta, cadence: Cadence,
    ) -> None:  # fmt: skip
        self._app = app
        self._member = member
        self._open_transaction = open_transaction
        self._reader = reader
        self._clock = clock
        self._cadence = cadence
        self._drain = drain
        self.window = Window(window)
        self.runners: dict[int, LaneRunner] = {}
        self.draining = False
        self.started = asyncio.Event()
        """Set once the group has assigned partitions for the first time."""
        self._parked: dict[int, dict[int, Work]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._lanes: dict[int, asyncio.Task[None]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then drain."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await self._member.start(self._assigned, self._revoked)
            polling = tasks.create_task(self._poll_for_ever())
            await stop.wait()
            await self._drain_all()
            polling.cancel()
            await self._close_lanes(list(self.runners))
            for works in [*self._parked.values()]:
                for work in [*works.values()]:
                    work.cancel()
        await self._member.stop()

    # poll and admit

    async def _poll_for_ever(self) -> None:
        while True:
            unadopted = sum(1 for runner in self.runners.values() for work in runner.works.values() if not work.adopted)
            if not self.window.free and not unadopted and not await self.window.room(FULL_WAIT_S):
                await self._show_life()
                continue
            records = await self._member.poll(POLL_MS, max(1, most_to_poll(self.window.free, unadopted)))
            epochs = {partition: runner.lane for partition, runner in self.runners.items()}
            for record in records:
                await self._admit(record, epochs.get(record.partition))

    async def _show_life(self) -> None:
        """A client that does not ask for records for long is thrown out: ask with every partition paused."""
        for partition in self._member.held():
            self._member.pause(partition)
        await self._member.poll(0, 1)
        for partition, runner in self.runners.items():
            if runner.lane is not None and not runner.lane.paused:
                self._member.resume(partition)

    async def _admit(self, record: Record, lane: object) -> None:
        """Begin work on a record, unless it is finished, known, or of a lane that was rebuilt since it was read."""
        runner = self.runners.get(record.partition)
        if runner is None or runner.lane is None or runner.lane is not lane:
            return
        if not runner.lane.tracker.admit(record.offset):
            return
        known = runner.works.get(record.offset)
        if known is not None:
            known.adopted = True
            runner.settled(known)
            return
        if self.draining:
            return  # stays open and uncommitted: its next owner does it
        lease = Lease()
        work = Work(record, Delivery(record, self._clock.now(), lease=lease), lease)
        runner.works[record.offset] = work
        work.counted = True
        self.window.take(work.size_bytes)
        if self._app.inline:
            await self._work(runner, runner.lane.handler, work)
        elif self._tasks is not None:
            work.task = self._tasks.create_task(self._work(runner, runner.lane.handler, work))
        if runner.lane is not None and runner.lane.full and not runner.lane.paused:
            runner.lane.paused = True
            self._member.pause(record.partition)

    # work and settle

    async def _work(self, runner: LaneRunner, handler: LaneHandler, work: Work) -> None:
        try:
            work.done = await self._until_done(handler, work)
        except (Abandoned, asyncio.CancelledError):
            self._abandon(work)
            return
        self._free(work)
        owner = self.runners.get(work.record.partition, runner)
        owner.settled(work)

    async def _until_done(self, handler: LaneHandler, work: Work) -> Done:
        while True:
            outcome: Outcome | Exception
            try:
                outcome = await handler.handle(work.delivery)
            except Abandoned:
                raise
            except Exception as error:
                log.error("handler failed", error=type(error).__name__, offset=work.offset)
                outcome = error
            decided = settled(handler, work.delivery, outcome)
            if not isinstance(decided, RetryAt):
                return decided
            if self.draining:
                raise Abandoned
            work.lease.waiting = True
            await self._clock.sleep(wait_before(decided, self._clock.now()).total_seconds())
            work.lease.waiting = False
            work.delivery = replace(work.delivery, attempt=work.delivery.attempt + 1, memo=decided.memo)

    def _abandon(self, work: Work) -> None:
        """Leave the record to its next owner. If that is this process itself, it is read again by a rebuild or restart."""
        for works in (self._parked.get(work.record.partition), self._works_of(work.record.partition)):
            if works is not None and works.get(work.offset) is work:
                del works[work.offset]
        self._free(work)

    def _free(self, work: Work) -> None:
        if work.counted:
            work.counted = False
            self.window.give(work.size_bytes)

    def _works_of(self, partition: int) -> dict[int, Work] | None:
        runner = self.runners.get(partition)
        return runner.works if runner is not None else None

    # assignment

    async def _assigned(self, partitions: list[int]) -> None:
        for partition in partitions:
            lane_id = LaneId(self._app.group, self._app.topic, partition)
            runner = LaneRunner(
                lane_id, self._app, self._member, self._open_transaction, self._reader, self._clock, self._cadence,
                self._parked.pop(partition, {}), self._free,
            )  # fmt: skip
            self.runners[partition] = runner
            if self._tasks is not None:
                self._lanes[partition] = self._tasks.create_task(runner.run())
        self.started.set()

    async def _revoked(self, partitions: list[int]) -> None:
        held = [partition for partition in partitions if partition in self.runners]
        for partition in held:
            self._member.pause(partition)
        if not self.draining:
            works = [work for partition in held for work in self.runners[partition].works.values()]
            running = [work.task for work in works if work.task is not None and not work.lease.waiting]
            if running:
                await asyncio.wait(running, timeout=REVOKE_WAIT_S)
        await self._close_lanes(held)

    async def _close_lanes(self, partitions: list[int]) -> None:
        """Commit what is settled, let the lanes go, park what still runs."""
        for partition in partitions:
            self.runners[partition].close()
        lanes = [self._lanes.pop(partition) for partition in partitions if partition in self._lanes]
        if lanes:
            await asyncio.wait(lanes)
        for partition in partitions:
            self._park(partition, self.runners.pop(partition).works)
            log.info("lane.closed", partition=partition, topic=self._app.topic)

    def _park(self, partition: int, works: dict[int, Work]) -> None:
        for work in works.values():
            work.lease.held = False
        if works and self._tasks is not None:
            self._parked[partition] = works
            self._tasks.create_task(self._expire(partition, works))

    async def _expire(self, partition: int, works: dict[int, Work]) -> None:
        for _ in range(int(PARKED_S * 10)):
            await self._clock.sleep(0.1)
            if self._parked.get(partition) is not works or self.draining:
                break
        if self._parked.get(partition) is works:
            del self._parked[partition]
            for work in works.values():
                work.cancel()
                self._free(work)

    # drain

    async def _drain_all(self) -> None:
        """Stop admitting; let calls in flight end and be committed; leave the rest to the next owner."""
        self.draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._drain.total_seconds()):
                while works := [work for runner in self.runners.values() for work in runner.works.values()]:
                    for work in works:
                        if work.lease.waiting:
                            work.cancel()
                    await asyncio.sleep(0.02)

    def describe(self) -> dict[str, object]:
        """State for /healthz."""
        return {
            "group": self._app.group,
            "topic": self._app.topic,
            "draining": self.draining,
            "window": {"size": self.window.size, "used": self.window.used},
            "lanes": [runner.describe() for _, runner in sorted(self.runners.items())],
        }

    @property
    def healthy(self) -> bool:
        """No lane has stopped, and the group has assigned something (maybe nothing) at least once."""
        return self.started.is_set() and not any(runner.stopped for runner in self.runners.values())
