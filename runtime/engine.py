"""The lane engine: poll, admit, settle, commit, for one application on one topic. Holds no rule of its own."""

import asyncio
import contextlib
import math
from datetime import timedelta

import structlog

from runtime import failpoints
from runtime.admit import Window, next_reading
from runtime.attempts import is_cancelled, until_done
from runtime.cadence import Cadence
from runtime.ending import end
from runtime.membership import InstanceTaken, LeftBehind, Membership, PositionLost
from runtime.metrics.lanes import LaneMeter
from runtime.ordering import Backlog
from runtime.outcome import Abandoned, Application, Done, Hold, LaneHandler
from runtime.parking import Parking
from runtime.ports import Clock, Delivery, LaneId, Lease, LogReader, Record
from runtime.presence import Presence
from runtime.runner import LaneRunner, OpenTransaction
from runtime.saying import Saying
from runtime.settle import faulted
from runtime.showing import shown
from runtime.telemetry import is_off
from runtime.telemetry_tail import Tail
from runtime.watch import Watch
from runtime.work import Arrival, Work, key_of

log = structlog.get_logger("novix.engine")

POLL_MS = 200
FULL_WAIT_S = 30.0
"""How long a full process goes without polling: far below the interval after which Kafka's client leaves the group."""
REVOKE_WAIT_S = 5.0
"""For calls in flight when their partition is taken away; what is not done by then is parked."""
REVOKE_LOOK_S = 0.1
"""Between two looks whether any of them is left."""
LEAVE_S = 10.0
"""For the group's clients to disconnect, when all is done."""
INLINE_AT_ONCE = 25
"""Records that an inline application handles before others have their turn: some 5 ms of a router."""
BACKLOG_WINDOWS = 10
"""Windows of records that may wait behind another of their key."""


class Engine:
    """Runs an `Application` with one lane per assigned partition until it is told to stop.

    `run` returns when everything settled is committed and every lane is closed; for faults that no lane can mend (no
    access, a bug) it does the same and then raises, after which the process should end and be started again.
    """

    def __init__(
        self, app: Application, member: Membership, open_transaction: OpenTransaction, reader: LogReader, clock: Clock,
        *, window: int, drain: timedelta, cadence: Cadence, window_bytes: int = 67_108_864,
        longest_rest: timedelta = timedelta(seconds=5), stuck_after: timedelta = timedelta(seconds=120),
        longest_absence: timedelta = timedelta(seconds=15), meter: LaneMeter | None = None,
    ) -> None:  # fmt: skip
        """`window` and `window_bytes` bound the records that are worked on at once, over all lanes; `drain` how long
        calls in flight are waited for at the end; `longest_rest` which waits pass in memory; `stuck_after` how long a
        lane with work to do may bring nothing about; `longest_absence` how long the process may be frozen before its
        leases are in doubt (`Presence`)."""
        self._app = app
        self._member = member
        self._open_transaction = open_transaction
        self._reader = reader
        self._clock = clock
        self._cadence = cadence
        self._drain = drain
        self._longest_rest = longest_rest
        self._stuck_after = stuck_after
        self._watch = Watch(reader, clock, stuck_after)
        self._presence = Presence(clock, member.heartbeat, member.silent, longest_absence)
        self.window = Window(window, window_bytes)
        self.backlog = Backlog(BACKLOG_WINDOWS * window, window_bytes)
        self.tail = Tail(off=is_off())
        self._meter = meter or LaneMeter()
        self._saying = Saying()
        self.runners: dict[int, LaneRunner] = {}
        self.draining = False
        self.started = asyncio.Event()
        """Set once the group has assigned partitions for the first time."""
        self._hurried = False
        self._over = False
        """The drain is done: no lane opens any more."""
        self._rounds = 0
        self._bereft_at: float | None = None
        """Since when partitions have been taken away and the next assignment is not known."""
        self._parking = Parking(clock, self._free)
        self._tasks: asyncio.TaskGroup | None = None
        self._lanes: dict[int, asyncio.Task[None]] = {}
        self._closing = asyncio.Lock()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, or until no record can be had any more; then drain. To be called once."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                await self._member.start(self._assigned, self._revoked)
                polling = asyncio.create_task(self._poll_for_ever())
                watching = asyncio.create_task(self._watch.run(self.runners, self.window, lambda: self._rounds))
                present = asyncio.create_task(self._presence.run())
                try:
                    await asyncio.wait({stopping, polling, watching, present}, return_when=asyncio.FIRST_COMPLETED)
                    watching.cancel()
                    put_out = polling.done() and isinstance(polling.exception(), InstanceTaken | LeftBehind)
                    # While another has the partitions every lane is lost as soon as it opens: little can be committed.
                    await self._drain_all(min(self._drain.total_seconds(), REVOKE_WAIT_S if put_out else math.inf))
                finally:
                    self._over = True
                    polling.cancel()
                    watching.cancel()
                    present.cancel()
                await self._close_lanes(list(self.runners))
                await self._parking.end()
        finally:
            stopping.cancel()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._member.stop(), LEAVE_S)
        for ended in (polling, watching, present):
            await end(ended)
            with contextlib.suppress(asyncio.CancelledError):
                ended.result()

    # poll and admit

    async def _poll_for_ever(self) -> None:
        while not self._over:  # a cancellation may be lost in `wait_for` (CPython 3.11)
            self._rounds += 1
            unadopted = [at for at, runner in self.runners.items() if runner.unadopted and not runner.stopped]
            reading = next_reading(self.window.free, unadopted, draining=self.draining)
            try:
                if reading.most:
                    began = self._clock.monotonic()
                    records = await self._member.poll(POLL_MS, reading.most, reading.only)
                    if records:
                        self._meter.polled(len(records), self._clock.monotonic() - began)
                    await self._take_in(records)
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
        for number, record in enumerate(records, 1):
            await self._admit(record, lanes.get(record.partition))
            if self._app.inline and number % INLINE_AT_ONCE == 0:
                await asyncio.sleep(0)  # transactions and heartbeats have their turn
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
        if self.draining or runner.leaving:
            return  # stays open and uncommitted: its next owner does it
        arrival = Arrival(record, self._clock.now(), key_of(self._app, record))
        if runner.lane.enter(arrival):
            work = self._begin(runner, runner.lane.handler, arrival)
            if self._app.inline:
                await self._work(runner, runner.lane.handler, work)
        if runner.lane is not None and runner.lane.full and not runner.lane.paused:
            runner.lane.paused = True
            self._member.pause(record.partition)

    def _begin(self, runner: LaneRunner, handler: LaneHandler, arrival: Arrival) -> Work:
        """The record takes its place in the window; unless it is handled inline, somebody is at it from now on."""
        lease = Lease(sure=runner.sure)
        work = Work(arrival.record, Delivery(arrival.record, arrival.at, lease=lease), lease, arrival.key, counted=True)
        runner.works[work.offset] = work
        self.window.take(work.size_bytes)
        if not self._app.inline and self._tasks is not None:
            work.task = self._tasks.create_task(self._work(runner, handler, work))
        if self._app.inline:
            lease.end = lambda outcome: self._end(runner, handler, work, outcome)
        return work

    # work and settle

    async def _work(self, runner: LaneRunner, handler: LaneHandler, work: Work) -> None:
        try:
            answer = await until_done(handler, work, self._clock, self._longest_rest)
        except Abandoned:
            self._abandon(work)
            return
        except asyncio.CancelledError:
            self._abandon(work)
            if is_cancelled():
                raise
            return
        if not isinstance(answer, Hold):
            self._settle(runner, work, answer)
        elif work.done is not None:  # it was ended before its handler had answered
            self._settle(runner, work, work.done)
        elif self.draining or runner.leaving:
            runner.drop(work)
        elif work.counted:
            work.on_hold = True
            self.window.hold()

    def _end(self, runner: LaneRunner, handler: LaneHandler, work: Work, outcome: Done | Exception) -> None:
        """`Lease.end`: what a held record came to, told by the handler of the lane that it was read for."""
        if runner.works.get(work.offset) is not work or work.done is not None:
            return  # dropped with its lane, or ended already
        done = faulted(handler, work.delivery, outcome) if isinstance(outcome, Exception) else outcome
        if not isinstance(done, Done):
            raise TypeError(f"a held record ends with Publish or GiveUp, not with {type(done).__name__}")
        if work.on_hold:
            self._settle(runner, work, done)
        else:
            work.done = done

    def _settle(self, runner: LaneRunner, work: Work, done: Done) -> None:
        """The outcome is known: the place in the window is free, and the lane has something for a transaction."""
        work.done = done
        failpoints.hit("after_settle")
        self._free(work)
        owner = self.runners.get(work.record.partition, runner)
        owner.settled(work)
        owner.finished += 1
        self._meter.settled((self._clock.now() - work.delivery.arrived_at).total_seconds())
        following = None if self.draining or owner.leaving else owner.next_of(work)
        if following is not None and owner.lane is not None:
            self._begin(owner, owner.lane.handler, following)

    def _abandon(self, work: Work) -> None:
        """Leave the record to its next owner; if that is a lane of this process, it is told."""
        self._parking.forget(work)
        runner = self.runners.get(work.record.partition)
        if runner is not None:
            runner.forget(work, again=not self.draining)
        self._free(work)

    def _free(self, work: Work) -> None:
        if work.counted:
            work.counted = False
            work.lease.end = _ended
            self.window.give(work.size_bytes, held=work.on_hold)

    # assignment

    async def _assigned(self, partitions: list[int]) -> None:
        self._bereft_at = None
        self._presence.assigned()
        await self._close_lanes(partitions)  # there are none, unless letting go of them failed
        if self._over or self._tasks is None:
            return
        if self.draining:
            self._parking.give_up([partition for partition in self._parking.partitions if partition not in partitions])
        for partition in partitions:
            lane_id = LaneId(self._app.group, self._app.topic, partition)
            runner = LaneRunner(
                lane_id, self._app, self._member, self._open_transaction, self._reader, self._clock, self._cadence,
                self.backlog, self._parking.take(partition), self._free, self.window.look, self.tail,
                self._meter, self._saying, self._presence.sure,
            )  # fmt: skip
            self.runners[partition] = runner
            self._lanes[partition] = self._tasks.create_task(runner.run())
        self.started.set()

    async def _revoked(self, partitions: list[int]) -> None:
        self._bereft_at = self._clock.monotonic()
        held = [partition for partition in partitions if partition in self.runners]
        runners = [self.runners[partition] for partition in held]
        for runner in runners:
            runner.leave()
            for work in runner.works.values():
                if work.resting:
                    work.nudge()  # what was tried goes to wait elsewhere, if it can
        await asyncio.sleep(0)
        until = self._clock.monotonic() + REVOKE_WAIT_S
        while self._clock.monotonic() < until:
            # Who is at work may come to wait; who waits begins nothing any more.
            running = [task for runner in runners for work in runner.works.values() if (task := work.busy)]
            if not running:
                break
            await asyncio.wait(running, timeout=REVOKE_LOOK_S)
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
                works = self.runners.pop(partition).works
                if self._tasks is not None:
                    self._parking.park(partition, works, self._tasks)
                log.info("lane.closed", partition=partition, topic=self._app.topic)

    # drain

    def hurry(self) -> None:
        """End the drain now, or as soon as it begins: what still runs is cancelled, what is settled is committed."""
        self._hurried = True

    async def _drain_all(self, within_s: float) -> None:
        """Stop admitting; let calls in flight end and be committed; have what was tried go to wait elsewhere; leave the
        rest to the next owner."""
        self.draining = True
        for work in self._everything():
            work.lease.draining = True
        for runner in self.runners.values():
            runner.drop_held()
        self.window.look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while (works := self._unfinished()) and not self._hurried:
                    for work in works:
                        if work.resting:
                            work.nudge()
                    await asyncio.sleep(0.02)

    def _everything(self) -> list[Work]:
        return [*self._parking.works(), *(work for runner in self.runners.values() for work in runner.works.values())]

    def _unfinished(self) -> list[Work]:
        """What may still be committed. A lane that has stopped commits nothing, or only what it knows."""
        works = [work for runner in self.runners.values() for work in runner.works.values() if runner.may_commit(work)]
        return works + self._parking.works() if self._bereft_at is not None else works

    # how it is

    def describe(self) -> dict[str, object]:
        """State for /healthz."""
        now = self._clock.now()
        return {
            "group": self._app.group,
            "topic": self._app.topic,
            "assigned": self.started.is_set(),
            "draining": self.draining,
            "unassigned_s": round(self._bereft_s, 3),
            "window": {
                "size": self.window.size,
                "used": self.window.used,
                "on_hold": self.window.on_hold,
                "bytes": self.window.used_bytes,
            },
            "behind_their_key": {"records": self.backlog.waiting, "bytes": self.backlog.waiting_bytes},
            "spans": self.tail.describe(),
            "lanes": [shown(runner, now) for _, runner in sorted(self.runners.items())],
        }

    @property
    def healthy(self) -> bool:
        """No lane has stopped or is stuck, and the group has assigned something (maybe nothing) or will soon."""
        stuck = any(runner.stopped or runner.pulse.stuck for runner in self.runners.values())
        return self.started.is_set() and not stuck and self._bereft_s < self._stuck_after.total_seconds()

    @property
    def ready(self) -> bool:
        """The group has assigned something (maybe nothing), every lane is open, and nothing drains."""
        opened = all(runner.lane is not None for runner in self.runners.values())
        return self.started.is_set() and self._bereft_at is None and opened and not self.draining

    @property
    def _bereft_s(self) -> float:
        """For how long the group has been dividing its work; 0 if it is not."""
        return 0.0 if self._bereft_at is None else self._clock.monotonic() - self._bereft_at


def _ended(_: object) -> None:
    """`Lease.end` of a record that is settled or not this lane's any more."""
