"""The lane engine: poll, admit, settle, commit, for one application on one topic. Holds no rule of its own."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

import structlog

from runtime.admit import Window, next_reading
from runtime.cadence import Cadence
from runtime.outcome import Abandoned, Application, Done, LaneHandler, Outcome, RetryAt
from runtime.ports import Clock, Delivery, LaneId, Lease, LogReader, Record
from runtime.runner import LaneRunner, Member, OpenTransaction, PositionLost
from runtime.settle import settled, wait_before
from runtime.work import Work

log = structlog.get_logger("novix.engine")

POLL_MS = 200
FULL_WAIT_S = 30.0
"""How long a full process goes without polling: far below the interval after which Kafka's client leaves the group."""
REVOKE_WAIT_S = 5.0
"""For calls in flight when their partition is taken away; what is not done by then is parked."""
PARKED_S = 60.0
"""How long a parked call may wait for its partition to come back."""
LEAVE_S = 10.0
"""For the group's clients to disconnect, when all is done."""


class Membership(Member, Protocol):
    """A group membership with a beginning and an end."""

    async def start(
        self, assigned: Callable[[list[int]], Awaitable[None]], revoked: Callable[[list[int]], Awaitable[None]]
    ) -> None: ...
    async def stop(self) -> None: ...


class Engine:
    """Runs an `Application` with one lane per assigned partition until it is told to stop.

    `run` returns when everything settled is committed and every lane is closed; for faults that no lane can mend (no
    access, a bug) it does the same and then raises, after which the process should end and be started again.
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
        self._over = False
        """The drain is done: no lane opens any more."""
        self._between = False
        """Partitions were taken away, and the next assignment is not known yet."""
        self._parked: dict[int, dict[int, Work]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._lanes: dict[int, asyncio.Task[None]] = {}
        self._closing = asyncio.Lock()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, or until no record can be had any more; then drain."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                await self._member.start(self._assigned, self._revoked)
                polling = asyncio.ensure_future(self._poll_for_ever())
                try:
                    await asyncio.wait({stopping, polling}, return_when=asyncio.FIRST_COMPLETED)
                    await self._drain_all()
                finally:
                    self._over = True
                    polling.cancel()
                await self._close_lanes(list(self.runners))
                self._give_up(list(self._parked))
        finally:
            stopping.cancel()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._member.stop(), LEAVE_S)
        with contextlib.suppress(asyncio.CancelledError):
            await polling

    # poll and admit

    async def _poll_for_ever(self) -> None:
        while True:
            unadopted = [partition for partition, runner in self.runners.items() if runner.unadopted]
            reading = next_reading(self.window.free, unadopted, draining=self.draining)
            try:
                if reading.most:
                    await self._take_in(await self._member.poll(POLL_MS, reading.most, reading.only))
                elif self.draining:
                    await self._show_life(POLL_MS)
                elif not await self.window.room(FULL_WAIT_S):
                    await self._show_life(0)
            except PositionLost as lost:
                if lost.partition in self.runners:
                    self.runners[lost.partition].lose(lost)

    async def _show_life(self, wait_ms: int) -> None:
        """A client that does not ask for records for long is thrown out: ask with every partition paused."""
        for partition in self._member.held():
            self._member.pause(partition)
        try:
            await self._take_in(await self._member.poll(wait_ms, 1))  # one may have been resumed meanwhile
        finally:
            for partition, runner in self.runners.items():
                if runner.lane is not None and not runner.lane.paused and not runner.stopped:
                    self._member.resume(partition)

    async def _take_in(self, records: list[Record]) -> None:
        """Admit what a poll brought. Nothing waits between the poll and here: the lanes of now are the records' own."""
        lanes = {partition: runner.lane for partition, runner in self.runners.items()}
        for record in records:
            await self._admit(record, lanes.get(record.partition))
        for partition, lane in lanes.items():
            runner = self.runners.get(partition)
            if lane is not None and runner is not None and runner.lane is lane:
                reached = self._member.position(partition)
                if reached is not None:
                    lane.reach(reached)

    async def _admit(self, record: Record, lane: object) -> None:
        """Begin work on a record, unless it is finished, known, or of a lane that was rebuilt since it was read."""
        runner = self.runners.get(record.partition)
        if runner is None or runner.lane is None or runner.lane is not lane:
            return
        if not runner.lane.tracker.admit(record.offset):
            return
        known = runner.works.get(record.offset)
        if known is not None and known.record == record:
            runner.adopt(known)
            return
        if known is not None:  # the log was cut and written anew
            runner.drop(known)
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
        except Abandoned:
            self._abandon(work)
            return
        except asyncio.CancelledError:
            self._abandon(work)
            if _is_cancelled():
                raise
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
            except asyncio.CancelledError:
                if not work.lease.held or _is_cancelled():
                    raise
                outcome = RuntimeError("the handler was cancelled from inside")
            except Exception as error:
                log.error("handler failed", error=type(error).__name__, offset=work.offset)
                outcome = error
            decided = settled(handler, work.delivery, outcome)
            if not isinstance(decided, RetryAt):
                return decided
            if self.draining:
                raise Abandoned
            await self._rest(work, decided)
            work.delivery = replace(work.delivery, attempt=work.delivery.attempt + 1, memo=decided.memo)

    async def _rest(self, work: Work, until: RetryAt) -> None:
        """Wait for the next attempt. Raises CancelledError if the work is cancelled."""
        work.rest = asyncio.ensure_future(self._clock.sleep(wait_before(until, self._clock.now()).total_seconds()))
        work.lease.waiting = True
        try:
            await work.rest
        finally:
            work.rest.cancel()
            work.rest = None
            work.lease.waiting = False

    def _abandon(self, work: Work) -> None:
        """Leave the record to its next owner; if that is a lane of this process, it is told."""
        parked = self._parked.get(work.record.partition)
        if parked is not None and parked.get(work.offset) is work:
            del parked[work.offset]
        runner = self.runners.get(work.record.partition)
        if runner is not None:
            runner.forget(work, again=not self.draining)
        self._free(work)

    def _free(self, work: Work) -> None:
        if work.counted:
            work.counted = False
            self.window.give(work.size_bytes)

    # assignment

    async def _assigned(self, partitions: list[int]) -> None:
        self._between = False
        await self._close_lanes(partitions)  # there are none, unless letting go of them failed
        if self._over or self._tasks is None:
            return
        if self.draining:
            self._give_up([partition for partition in self._parked if partition not in partitions])
        for partition in partitions:
            lane_id = LaneId(self._app.group, self._app.topic, partition)
            runner = LaneRunner(
                lane_id, self._app, self._member, self._open_transaction, self._reader, self._clock, self._cadence,
                self._parked.pop(partition, {}), self._free, self.window.look,
            )  # fmt: skip
            self.runners[partition] = runner
            self._lanes[partition] = self._tasks.create_task(runner.run())
        self.started.set()

    async def _revoked(self, partitions: list[int]) -> None:
        self._between = True
        held = [partition for partition in partitions if partition in self.runners]
        for partition in held:
            self._member.pause(partition)
        works = [work for partition in held for work in self.runners[partition].works.values()]
        running = [work.task for work in works if work.task is not None and not work.lease.waiting]
        if running:
            await asyncio.wait(running, timeout=REVOKE_WAIT_S)
        await self._close_lanes(held)

    async def _close_lanes(self, partitions: list[int]) -> None:
        """Commit what is settled, let the lanes go, park what still runs. A drain and a rebalance may both want it."""
        async with self._closing:
            mine = [partition for partition in partitions if partition in self.runners]
            for partition in mine:
                self.runners[partition].close()
            lanes = [self._lanes.pop(partition) for partition in mine if partition in self._lanes]
            if lanes:
                await asyncio.wait(lanes)
            for partition in mine:
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
            if self._parked.get(partition) is not works:
                return
        self._give_up([partition])

    def _give_up(self, partitions: Iterable[int]) -> None:
        """Cancel what is parked: its partition does not come back."""
        for partition in list(partitions):
            for work in list(self._parked.pop(partition, {}).values()):
                work.cancel()
                self._free(work)

    # drain

    async def _drain_all(self) -> None:
        """Stop admitting; let calls in flight end and be committed; leave the rest to the next owner."""
        self.draining = True
        self.window.look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._drain.total_seconds()):
                while works := self._unfinished():
                    for work in works:
                        if work.lease.waiting:
                            work.cancel()
                    await asyncio.sleep(0.02)

    def _unfinished(self) -> list[Work]:
        """What may still be committed. A lane that has stopped commits nothing, or only what it knows."""
        works = [work for runner in self.runners.values() for work in runner.works.values() if runner.may_commit(work)]
        if self._between:
            works += [work for parked in self._parked.values() for work in parked.values()]
        return works

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


def _is_cancelled() -> bool:
    """Whether the running task itself is being cancelled, and not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
