"""A lane's producer: what becomes of one that never came to be, and which partition it writes a record to."""

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from runtime import transaction
from runtime.partitions import partition_of
from runtime.ports import LaneId, Outgoing
from runtime.settings import resolve
from runtime.transaction import LaneTransaction


@pytest.mark.parametrize(("named", "written"), [(0, 0), (2, 2), (3, None), (4_000, None)])
def test_a_partition_that_the_topic_does_not_have_gives_way_to_the_key(named: int, written: int | None):
    """A forged record may name any: a transaction that holds it would never be committed."""
    nobody: Any = None
    found = LaneTransaction(nobody, nobody)._partition("results", Outgoing("results", b"acme", b"", partition=named), 3)

    assert found == (partition_of(b"acme", 3) if written is None else written)


class Connecting:
    """A producer that never gets an answer."""

    _sender = _txn_manager = None

    def __init__(self, **_: object) -> None:
        self.client = SimpleNamespace(send=None, close=self._close)
        self.left_open = True
        self.stopped = False

    async def start(self) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self.stopped = True

    async def _close(self) -> None:
        self.left_open = False


async def test_a_producer_whose_lane_is_closed_while_it_connects_is_let_go(monkeypatch: pytest.MonkeyPatch):
    made: list[Connecting] = []

    def producer(**options: object) -> Connecting:
        made.append(Connecting(**options))
        return made[-1]

    monkeypatch.setattr(transaction, "AIOKafkaProducer", producer)
    opening = asyncio.create_task(LaneTransaction.open(resolve({}, {}, {}).settings, LaneId("group", "topic", 0)))
    while not made:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    opening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await opening

    (one,) = made
    assert (opening.cancelled(), one.stopped, one.left_open) == (True, True, False)
