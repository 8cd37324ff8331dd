"""The open records of one partition."""

from collections import deque
from collections.abc import Iterable

from runtime.progress import WINDOW


class Tracker:
    """Which records of one partition are open, and up to where the group may commit.

    Records finish in any order; the committed offset is the lowest open one, and what is finished above it is
    remembered one by one. Counts by the offsets that were received, never by arithmetic: transaction markers and
    compaction leave gaps. No clock, no I/O, one owner: the lane.
    """

    def __init__(self, base: int, finished: Iterable[int] = ()) -> None:
        """Start where a group committed: everything below `base` and in `finished` is done."""
        self._base = base
        self._received = base
        self._finished = {offset for offset in finished if offset >= base}
        self._recovered = deque(sorted(self._finished))
        self._open: set[int] = set()
        self._order: deque[int] = deque()

    @property
    def received(self) -> int:
        """The next offset that was not yet received."""
        return self._received

    @property
    def open(self) -> int:
        """How many records are open."""
        return len(self._open)

    @property
    def finished(self) -> frozenset[int]:
        """Finished offsets at or above `committable()`."""
        return frozenset(self._finished)

    @property
    def ahead(self) -> int:
        """How far the received records reach above the lowest open one."""
        return self._received - self.committable()

    @property
    def full(self) -> bool:
        """The window is used up: nothing more may be received until the lowest open record is done."""
        return self.ahead >= WINDOW

    def admit(self, offset: int) -> bool:
        """Take note of a received record. False: it is done or open already and must not be worked on again."""
        if offset < self._base or offset in self._finished or offset in self._open:
            self._received = max(self._received, offset + 1)
            self._advance()
            return False
        if offset < self._received:
            raise ValueError(f"offset {offset} came after {self._received - 1}")
        self._received = offset + 1
        self._open.add(offset)
        self._order.append(offset)
        self._advance()
        return True

    def reach(self, offset: int) -> None:
        """Everything below `offset` was handed out: what is neither open nor finished there holds no record."""
        self._received = max(self._received, offset)
        self._advance()

    def finish(self, offset: int) -> None:
        """The record's outcome is part of a transaction. Raises KeyError for a record that is not open."""
        self._open.remove(offset)
        self._finished.add(offset)
        self._advance()

    def _advance(self) -> None:
        """Forget what lies below the lowest open record: each offset once, however many are remembered."""
        while self._order and self._order[0] not in self._open:
            self._finished.discard(self._order.popleft())
        self._base = self.committable()
        while self._recovered and self._recovered[0] < self._base:
            self._finished.discard(self._recovered.popleft())

    def committable(self) -> int:
        """The offset to commit: the lowest open record, else the one after the last received."""
        return self._order[0] if self._order else max(self._base, self._received)

    def is_open(self, offset: int) -> bool:
        """Whether the record is being worked on."""
        return offset in self._open
