"""Records that must keep their place among those with the same key: who may begin, who waits, who is next."""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class Backlog:
    """What all lanes of a process together may keep waiting behind a key, in records and in bytes."""

    most: int
    most_bytes: int
    waiting: int = 0
    waiting_bytes: int = 0

    @property
    def full(self) -> bool:
        """Lanes in which something waits shall not read on."""
        return self.waiting >= self.most or self.waiting_bytes >= self.most_bytes


@dataclass(slots=True)
class _Queue(Generic[Item]):
    under_way: int
    """Offset of the record that is worked on, rests or is tried again."""
    behind: deque[tuple[int, Item, int]] = field(default_factory=deque)


class Queues(Generic[Item]):
    """The keys of one open lane that have a record under way, and what waits behind each.

    Of each key exactly one record is under way, that with the lowest offset of those that have not ended; the others
    wait behind it in the order of their offsets. A key of which nothing has not ended is forgotten. What waits counts
    in the `backlog`, which several lanes share. Records must enter in the order of their offsets. No clock, no I/O, one
    owner: the lane.
    """

    def __init__(self, backlog: Backlog) -> None:
        self.waiting = 0
        self._backlog = backlog
        self._queues: dict[Hashable, _Queue[Item]] = {}

    def enter(self, key: Hashable, offset: int, item: Item, size_bytes: int) -> bool:
        """A record was read. True: begin it, it is under way; False: it waits, and `leave` will give it back.

        Raises ValueError for an offset that is not above those of its key.
        """
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = _Queue(offset)
            return True
        last = queue.behind[-1][0] if queue.behind else queue.under_way
        if offset <= last:
            raise ValueError(f"offset {offset} came after {last} of the same key")
        queue.behind.append((offset, item, size_bytes))
        self._count(1, size_bytes)
        return False

    def resume(self, key: Hashable, offset: int) -> None:
        """A record that was begun before this lane was opened goes on: it is under way."""
        self._queues.setdefault(key, _Queue(offset))

    def leave(self, key: Hashable, offset: int) -> Item | None:
        """The record that was under way has its outcome. Returns the next of its key, which is under way from now on.

        Does nothing for a record that is not under way.
        """
        queue = self._queues.get(key)
        if queue is None or queue.under_way != offset:
            return None
        if not queue.behind:
            del self._queues[key]
            return None
        queue.under_way, item, size_bytes = queue.behind.popleft()
        self._count(-1, -size_bytes)
        return item

    def clear(self) -> None:
        """The lane ends: nothing waits any more."""
        for queue in self._queues.values():
            for _, _, size_bytes in queue.behind:
                self._count(-1, -size_bytes)
        self._queues.clear()

    @property
    def full(self) -> bool:
        """The lane shall not read on: it has a part in a full backlog. What it has under way may end that, so the lane
        never waits for another."""
        return self.waiting > 0 and self._backlog.full

    def _count(self, records: int, size_bytes: int) -> None:
        self.waiting += records
        self._backlog.waiting += records
        self._backlog.waiting_bytes += size_bytes
