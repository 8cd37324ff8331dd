"""How much may be read now: the window of a process over all its lanes."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass


class Window:
    """Counts admitted records, and their bytes, until they are settled: it bounds what a process works on at once."""

    def __init__(self, size: int, size_bytes: int = 67_108_864) -> None:
        self.size = size
        self.size_bytes = size_bytes
        self.used = 0
        self.used_bytes = 0
        self.on_hold = 0
        """Records that take no place and are not settled: their bytes alone count."""
        self._room = asyncio.Event()
        self._room.set()

    @property
    def free(self) -> int:
        """How many more records may be admitted; 0 when the window is full or over-full."""
        return max(0, self.size - self.used) if self.used_bytes < self.size_bytes else 0

    def take(self, record_bytes: int) -> None:
        """One more record is admitted."""
        self.used += 1
        self.used_bytes += record_bytes
        if not self.free:
            self._room.clear()

    def hold(self) -> None:
        """One of the admitted records is held for later: its place is free, its bytes are not."""
        self.used -= 1
        self.on_hold += 1
        if self.free:
            self._room.set()

    def give(self, record_bytes: int, *, held: bool = False) -> None:
        """One record is settled, abandoned or dropped."""
        if held:
            self.on_hold -= 1
        else:
            self.used -= 1
        self.used_bytes -= record_bytes
        if self.free:
            self._room.set()

    def look(self) -> None:
        """Let who waits for room look about: there may be something that takes none."""
        self._room.set()

    async def room(self, seconds: float) -> bool:
        """Wait until there is room, or a reason to look; False after `seconds`."""
        try:
            await asyncio.wait_for(self._room.wait(), seconds)
        except TimeoutError:
            return False
        if not self.free:
            self._room.clear()
        return True


@dataclass(frozen=True, slots=True)
class Reading:
    """What the next poll asks for."""

    most: int
    """Records at most; 0: do not ask."""
    only: frozenset[int] | None = None
    """Partitions; None: every one that is not paused."""


AGAIN = 100
"""Records of one poll that looks for works to be read again."""


def next_reading(free: int, unadopted: Collection[int], *, draining: bool) -> Reading:
    """What may be read now: new records while there is room, and none in a drain.

    Works that wait to be read again are read however full the window is, for they are what fills it; but then from
    their own partitions alone, so that others do not fill it further.
    """
    if free and not draining:
        return Reading(max(free, AGAIN) if unadopted else free)
    return Reading(AGAIN, frozenset(unadopted)) if unadopted else Reading(0)
