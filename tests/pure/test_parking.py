"""Works whose partition is away: which of them is forgotten."""

import asyncio

from virtual_time import NOON, LoopClock, run

from runtime.parking import PARKED_S, Parking
from runtime.ports import Delivery, Lease, Record
from runtime.work import Work


def work(offset: int) -> Work:
    record = Record("inference.text.v1", 0, offset, b"acme/a1", b"{}", (), 0)
    lease = Lease()
    return Work(record, Delivery(record, NOON, lease=lease), lease)


def test_a_work_that_was_abandoned_takes_no_other_of_its_record_with_it():
    """Its record was handled anew since, and that work is parked: forgotten, it would be done once more."""

    async def story() -> None:
        dropped: list[Work] = []
        parking = Parking(LoopClock(), dropped.append)
        before, since = work(5), work(5)
        async with asyncio.TaskGroup() as tasks:
            parking.park(0, {5: since}, tasks)
            parking.forget(before)
            assert parking.works() == [since]
            parking.forget(since)
            assert parking.works() == []

    run(story())


def test_each_time_that_a_partition_is_away_its_works_have_a_whole_minute():
    """It was back in between: what is left of the first minute is not the second one's."""

    async def story() -> None:
        dropped: list[Work] = []
        parking = Parking(LoopClock(), dropped.append)
        async with asyncio.TaskGroup() as tasks:
            parking.park(0, {5: work(5)}, tasks)
            await asyncio.sleep(PARKED_S / 2)
            parking.park(0, parking.take(0) | {6: work(6)}, tasks)
            await asyncio.sleep(PARKED_S - 1)
            assert (dropped, len(parking.works())) == ([], 2)
            await asyncio.sleep(2)
            assert (len(dropped), parking.works()) == (2, [])

    run(story())
