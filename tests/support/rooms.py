"""A waiting room, and who waits in it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from router.room import Waiter, WaitingRoom
from runtime.ports import Delivery, Record
from runtime.waiting import Priority

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
S = timedelta(seconds=1)
RECORD = Record("inference.jobs.v1", 0, 0, None, None, (), 0)


def job(identity: str, tenant: str = "acme", priority: Priority = "normal", **more: Any) -> Waiter:
    more = {"deadline": NOON + 600 * S, "cost_nanousd": 100_000, **more}
    return Waiter(
        delivery=Delivery(RECORD, NOON), tenant=tenant, priority=priority, identity=identity, digest="", **more
    )


def room_of(*waiters: Waiter) -> WaitingRoom:
    room = WaitingRoom()
    for waiter in waiters:
        room.enter(waiter)
    return room


def served(room: WaitingRoom, now: datetime = NOON, may: Any = lambda waiter: True) -> list[str]:
    """All that may begin, in their turn."""
    return [waiter.identity for waiter in turns(room, now, may)]


def turns(room: WaitingRoom, now: datetime, may: Any) -> Iterator[Waiter]:
    while (waiter := room.next(now, may)) is not None:
        yield waiter
