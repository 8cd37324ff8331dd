"""How much may be read now: the window of a process over all its lanes."""

import asyncio


class Window:
    """Counts admitted records, and their bytes, until they are settled: it bounds what a process works on at once."""

    def __init__(self, size: int, size_bytes: int = 67_108_864) -> None:
        self.size = size
        self.size_bytes = size_bytes
        self.used = 0
        self.used_bytes = 0
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

    def give(self, record_bytes: int) -> None:
        """One record is settled, abandoned or dropped."""
        self.used -= 1
        self.used_bytes -= record_bytes
        if self.free:
            self._room.set()

    async def room(self, seconds: float) -> bool:
        """Wait until there is room; False after `seconds`."""
        try:
            await asyncio.wait_for(self._room.wait(), seconds)
        except TimeoutError:
            return False
        return True


def most_to_poll(free: int, unadopted: int) -> int:
    """How many records to ask for.

    Works that wait to be read again must be read however full the window is: they are what fills it.
    """
    return max(free, 100) if unadopted else free
