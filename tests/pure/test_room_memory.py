"""What the waiting room keeps: nothing of who has left, and no more than there is room for."""

from dataclasses import replace
from typing import Any

import pytest
from rooms import NOON, RECORD, S, job, room_of, served

from router.room import Waiter, WaitingRoom
from runtime.ports import Delivery


def test_the_room_does_not_remember_who_has_left():
    room = WaitingRoom()
    for number in range(20_000):
        room.enter(job(str(number), ordering_key=str(number % 3), not_before=NOON, tenant=str(number % 50)))
        assert room.next(NOON) is not None

    assert max(len(one._heap) for one in (room._deadlines, room._sleepers, room._offsets)) < 2_000
    assert room.next(NOON) is None
    assert not any(room._shares)
    assert not room._keys
    assert not room._by_number
    assert not room._of_tenant
    assert not room._unsettled
    assert not room._answered


@pytest.mark.parametrize("key", [None, "k"])
def test_who_is_asked_again_and_again_takes_no_more_memory_each_time(key: str | None):
    """A job without money is asked at every end of a job of its tenant: thousands of times before its deadline."""
    room = room_of(job("a", ordering_key=key), job("b", ordering_key=key))
    for _ in range(3_000):
        waiter = room.next(NOON)
        assert waiter is not None
        room.put_back(replace(waiter, needs_settle=True, not_before=NOON + S))
        room.settled("acme")

    assert max(len(one._heap) for one in (room._deadlines, room._sleepers, room._offsets)) < 10
    assert max(map(len, room._keys.values()), default=0) <= 2
    assert served(room) == ["a", "b"]


def test_those_that_hold_too_many_bytes_are_taken_out_the_lowest_first_and_no_more_of_them():
    def heavy(number: int, **more: Any) -> Waiter:
        record = replace(RECORD, offset=number, value=b"x" * 100)
        return replace(job(str(number), str(number % 2), **more), delivery=Delivery(record, NOON))

    waiters = [heavy(number, needs_settle=True) for number in range(10)]
    room = room_of(*waiters, heavy(10))
    assert room.bytes == 1_100

    assert room.overtaken(-1, 250) == waiters[:3]
    assert room.overtaken(-1, -5) == []
    assert room.bytes == 800
