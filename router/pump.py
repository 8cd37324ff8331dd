"""Brings those who wait back to their lane: when a job ends, money moves, a rule changes, or their time has come."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from router.admission import Admission
from router.lane import RouterLane
from router.money.books import Books
from router.state import State
from router.tail import Following, Hearing, Tail
from runtime.cancels import Cancels
from runtime.ports import Clock, Record

AT_ONCE = 25
"""Jobs that are decided before others in the process have their turn: some 5 ms, and every lane has its own."""
LONGEST_SLEEP = timedelta(seconds=0.25)
"""Rules, accounts and cancellations are looked at as often while somebody waits."""

log = structlog.get_logger("novix.router")


class Pump:
    """One lane's. It runs from `start` until `stop`."""

    def __init__(
        self, lane: RouterLane, books: Books, admission: Admission, state: State, clock: Clock, cancels: Cancels,
        tail: Tail, *, excess_bytes: Callable[[], int] = lambda: 0,
    ) -> None:  # fmt: skip
        """`excess_bytes`: of all jobs that wait in the process, what is too much."""
        self._lane = lane
        self._books = books
        self._admission = admission
        self._state = state
        self._clock = clock
        self._cancels = cancels
        self._tail = tail
        self._excess_bytes = excess_bytes
        self._news = asyncio.Event()
        self._versions = dict(state.versions)
        self._wishes = cancels.wishes
        self._task: asyncio.Task[None] | None = None
        self._hearing: Hearing | None = None

    def start(self, following: Following) -> None:
        """Hear of ended jobs from the ledger, and look after those who wait."""
        self._lane.on_news = self._news.set
        self._hearing = self._tail.hear(following, self._lane.partition, self._books.ledger_next, self.hear)
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Nobody is brought back any more."""
        if self._task is not None:
            self._task.cancel()
        if self._hearing is not None:
            self._tail.leave(self._hearing)

    def hear(self, record: Record) -> None:
        """A record of the ledger: the money of the jobs that ended is free again."""
        if self._lane.closed:
            return
        try:
            ended = self._books.fold_ledger(record)
            now = self._clock.now()
            for entry in ended:
                started = self._admission.ended(entry, now)
                self._state.learn(entry, started.expected if started is not None else {})
        except Exception as error:  # what it would free stays reserved: less is spent, never more
            log.error("ledger.unreadable", partition=record.partition, offset=record.offset, error=type(error).__name__)
        if len(self._admission):
            self._news.set()

    def look(self) -> int:
        """Decide those whose turn it is now, at most `AT_ONCE`. How many were looked at."""
        admission, state, looked = self._admission, self._state, 0
        if self._versions != state.versions:
            self._versions = dict(state.versions)
            admission.stir_all()
        if self._wishes != self._cancels.wishes:
            self._wishes = self._cancels.wishes
            admission.interrupted()
        for waiter, may_wait in admission.due(self._clock.now(), self._lane.reached, self._excess_bytes()):
            self._lane.again(waiter, wait=may_wait)
            looked += 1
            if looked >= AT_ONCE:
                break
        return looked

    async def _run(self) -> None:
        while not self._lane.closed:
            if not len(self._admission):
                await self._news.wait()
            self._news.clear()
            sleep_s = LONGEST_SLEEP.total_seconds()
            try:
                if self.look() >= AT_ONCE:
                    await asyncio.sleep(0)
                    continue
                sleep_s = self._sleep_s()
            except Exception as error:  # who waits is looked at again, or at the latest when the lane is opened anew
                log.error("router.pump", partition=self._lane.partition, error=type(error).__name__)
            try:
                async with asyncio.timeout(sleep_s):
                    await self._news.wait()
            except TimeoutError:
                pass

    def _sleep_s(self) -> float:
        now, longest = self._clock.now(), LONGEST_SLEEP.total_seconds()
        wakes = self._admission.wakes_at(now)
        return longest if wakes is None else min(longest, max(0.001, (wakes - now).total_seconds()))
