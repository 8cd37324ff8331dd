"""Calls whose partition was taken away: for a while they wait for it to come back."""

import asyncio
from collections.abc import Callable, Iterable

from runtime.ports import Clock
from runtime.work import Work

PARKED_S = 60.0
"""How long a parked call may wait for its partition to come back."""
ASK_AGAIN_S = 1.0


class Parking:
    """The works of partitions that this process holds no more. Nobody loses what a call that ends here was paid for, if
    the partition is back in time; else they are cancelled. `on_drop` is told of each work that is given up."""

    def __init__(self, clock: Clock, on_drop: Callable[[Work], None]) -> None:
        self._clock = clock
        self._on_drop = on_drop
        self._parked: dict[int, dict[int, Work]] = {}

    @property
    def partitions(self) -> list[int]:
        """Of which something is parked."""
        return list(self._parked)

    def works(self) -> list[Work]:
        """Everything that is parked."""
        return [work for parked in self._parked.values() for work in parked.values()]

    def park(self, partition: int, works: dict[int, Work], tasks: asyncio.TaskGroup) -> None:
        """The partition is gone; who asks for it within a minute has its works back."""
        for work in works.values():
            work.lease.held = False
        if works:
            self._parked[partition] = works
            tasks.create_task(self._expire(partition, works))

    def take(self, partition: int) -> dict[int, Work]:
        """The partition is back."""
        return self._parked.pop(partition, {})

    def forget(self, work: Work) -> None:
        """The work was abandoned."""
        parked = self._parked.get(work.record.partition, {})
        if parked.get(work.offset) is work:
            del parked[work.offset]

    def give_up(self, partitions: Iterable[int]) -> None:
        """These do not come back: cancel what waits for them."""
        for partition in partitions:
            for work in list(self._parked.pop(partition, {}).values()):
                work.cancel()
                self._on_drop(work)

    async def end(self) -> None:
        """Nothing comes back any more: cancel what is parked, and wait for its end. Asked again every second, for
        `wait_for` (CPython 3.11) may lose a cancellation that comes together with what it waits for."""
        works = self.works()
        self.give_up(self.partitions)
        while running := {work.task for work in works if work.task is not None and not work.task.done()}:
            _, deaf = await asyncio.wait(running, timeout=ASK_AGAIN_S)
            for task in deaf:
                task.cancel()

    async def _expire(self, partition: int, works: dict[int, Work]) -> None:
        for _ in range(int(PARKED_S * 10)):
            await self._clock.sleep(0.1)
            if self._parked.get(partition) is not works:
                return
        self.give_up([partition])
