"""Brings those who wait back to their lane: when a job ends, money moves, a rule changes, or their time has come."""

import asyncio
from datetime import timedelta

import structlog

from router.admission import Admission
from router.lane import RouterLane
from router.money.books import Books
from router.state import State
from router.tail import Following, Hearing, Tail
from runtime.ports import Clock, Record

AT_ONCE = 100
"""Jobs that are decided before others in the process have their turn."""
LONGEST_SLEEP = timedelta(seconds=0.25)
"""Rules, accounts and cancellations are looked at as often while somebody waits."""

log = structlog.get_logger("novix.router")


class Pump:
    """One lane's. It runs from `start` until the lane closes."""

    def __init__(
        self, lane: RouterLane, books: Books, admission: Admission, state: State, clock: Clock, tail: Tail
    ) -> None:
        self._lane = lane
        self._books = books
        self._admission = admission
        self._state = state
        self._clock = clock
        self._tail = tail
        self._news = asyncio.Event()
        self._accounts = state.accounts.version
        self._task: asyncio.Task[None] | None = None
        self._hearing: Hearing | None = None

    def start(self, following: Following) -> None:
        """Hear of ended jobs from the ledger, and look after those who wait."""
        self._lane.on_hold = self._news.set
        self._lane.on_close = self._stop
        self._hearing = self._tail.hear(following, self._lane.partition, self._books.ledger_next, self.hear)
        self._task = asyncio.create_task(self._run())

    def _stop(self) -> None:
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
        except Exception as error:  # what it would free stays reserved: less is spent, never more
            log.error("ledger.unreadable", partition=record.partition, offset=record.offset, error=type(error).__name__)
            return
        now = self._clock.now()
        for entry in ended:
            started = self._admission.ended(entry, now)
            self._state.learn(entry, started.expected if started is not None else {})
        if ended and len(self._admission):
            self._news.set()

    def look(self) -> int:
        """Decide those whose turn it is now, at most `AT_ONCE`. How many were looked at."""
        admission, now, looked = self._admission, self._clock.now(), 0
        if self._accounts != self._state.accounts.version:
            self._accounts = self._state.accounts.version
            admission.stir_all()
        for waiter in admission.interrupted():
            self._lane.again(waiter)
        for waiter in admission.overtaken(self._lane.reached):
            self._lane.again(waiter, wait=False)
        for waiter in admission.due(now):
            self._lane.again(waiter)
            looked += 1
            if looked >= AT_ONCE:
                break
        return looked

    async def _run(self) -> None:
        while not self._lane.closed:
            if not len(self._admission):
                await self._news.wait()
            self._news.clear()
            try:
                more = self.look() >= AT_ONCE
            except Exception as error:  # who waits is looked at again, or at the latest when the lane is opened anew
                log.error("router.pump", partition=self._lane.partition, error=type(error).__name__)
                more = False
            if more:
                await asyncio.sleep(0)
                continue
            try:
                async with asyncio.timeout(self._sleep_s()):
                    await self._news.wait()
            except TimeoutError:
                pass

    def _sleep_s(self) -> float:
        wakes, now = self._admission.wakes_at(self._clock.now()), self._clock.now()
        longest = LONGEST_SLEEP.total_seconds()
        return longest if wakes is None else min(longest, max(0.001, (wakes - now).total_seconds()))
