"""One record that a process is working on."""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime

import structlog

from runtime.outcome import Application, Done
from runtime.ports import Delivery, Lease, Record
from schemas.values import frozen

log = structlog.get_logger("novix.engine")


def key_of(app: Application, record: Record) -> Hashable | None:
    """What the record must keep its place among; None: nothing. An inline application's records keep theirs anyway."""
    if app.inline:
        return None
    try:
        return app.order_of(record)
    except Exception as error:  # the handler will say what is wrong with such a record
        log.error("order unknown", error=type(error).__name__, offset=record.offset)
        return None


@frozen
class Arrival:
    """A record that was read and not begun yet."""

    record: Record
    at: datetime
    key: Hashable | None = None
    """What it must keep its place among; None: nothing."""

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, roughly."""
        return len(self.record.value or b"")


@dataclass(slots=True, eq=False)
class Work:
    """A record from its admission until its outcome is committed.

    Outlives its lane: after a rebuild, or when a revoked partition comes back, the same work is adopted by the new
    lane, and what was paid for is not paid for again.
    """

    record: Record
    delivery: Delivery
    lease: Lease
    key: Hashable | None = None
    """What it must keep its place among; None: nothing."""
    task: "asyncio.Task[None] | None" = None
    done: Done | None = None
    """The outcome, once it is known; it waits for its transaction."""
    adopted: bool = True
    """Known to the present lane's tracker. False: it waits for its record to be read again."""
    counted: bool = False
    """It takes a place in the process's window."""
    rest: "asyncio.Future[None] | None" = None
    """Its wait for the next attempt."""
    on_hold: bool = False
    """Its handler keeps it and has not ended it yet: it gave its place in the window back, its bytes still count."""
    nudged: bool = False
    """Its task was cancelled, for the handler to look up: once for each time that the handler is called."""

    @property
    def offset(self) -> int:
        """Its record's offset."""
        return self.record.offset

    @property
    def size_bytes(self) -> int:
        """What its record takes in memory, roughly."""
        return len(self.record.value or b"")

    @property
    def resting(self) -> bool:
        """It waits for its time, a slot, a breaker or its turn: nothing is at work, and nothing is wrong with that."""
        return self.done is None and (self.lease.waiting or self.on_hold)

    @property
    def busy(self) -> "asyncio.Task[None] | None":
        """The task that is at it; None: it is over, or waits."""
        return None if self.task is None or self.task.done() or self.lease.waiting else self.task

    def nudge(self) -> None:
        """Have the handler look at its lease now: a rest ends, a handler that is at it is cancelled and may catch that.

        What an inline application is at cannot be cancelled: it runs in the poll loop's own task.
        """
        if self.rest is not None:
            if not self.rest.done():
                self.rest.set_result(None)
        elif not self.nudged and self.task is not None and not self.task.done():
            self.nudged = True
            self.task.cancel()

    def cancel(self) -> None:
        """Stop working on it; a call in flight is aborted."""
        self.lease.held = False
        if self.rest is not None and not self.rest.done():
            self.rest.cancel()
        elif self.task is not None and not self.task.done():
            self.task.cancel()
