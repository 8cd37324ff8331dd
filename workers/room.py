"""How many bytes of unread answers one process may hold: all its calls together, whatever each of them may have."""

import asyncio
from types import TracebackType

FREE_BYTES = 65_536
"""Of each answer, not counted: nearly every answer ends within it and never asks."""


class AnswerRoom:
    """The bytes of answers that are in memory, beyond the first `FREE_BYTES` of each. One event loop owns it.

    `largest` answers of `max_in_flight` calls would be gigabytes; together they have `size`. Who finds no room waits,
    and its server with it, for nobody reads its connection meanwhile. The oldest of those that hold room always gets
    more, up to `largest`: so some answer can always be read to its end, and no two wait for one another.

    Invariant: what is held, and what the oldest may still take up to `largest`, is never more than `size`.
    """

    def __init__(self, size: int, largest: int) -> None:
        self.size = max(size, largest)
        self._largest = largest
        self._shares: dict[Share, None] = {}  # oldest first
        self._held = 0
        self._given_back = asyncio.Event()

    @property
    def held(self) -> int:
        """Bytes that are counted now."""
        return self._held

    def share(self) -> "Share":
        """`with room.share() as share:` gives back at its end what one answer took."""
        return Share(self)

    def fits(self, share: "Share", more: int) -> bool:
        """Whether `share` may take `more` bytes now."""
        oldest = next(iter(self._shares), share)
        if oldest is share:
            return True
        return self._held + more + max(0, self._largest - oldest.held) <= self.size

    async def _take(self, share: "Share", more: int) -> None:
        while not self.fits(share, more):
            self._given_back.clear()
            await self._given_back.wait()
        self._shares.setdefault(share)
        share.held += more
        self._held += more

    def _give_back(self, share: "Share") -> None:
        if share in self._shares:
            del self._shares[share]
            self._held -= share.held
            share.held = 0
            self._given_back.set()


class Share:
    """What one answer holds."""

    __slots__ = ("_room", "held")

    def __init__(self, room: AnswerRoom) -> None:
        self._room = room
        self.held = 0
        """Bytes that are counted."""

    def fits(self, size: int) -> bool:
        """Whether `grow(size)` would return without waiting."""
        return size <= FREE_BYTES or self._room.fits(self, size - self.held)

    async def grow(self, size: int) -> None:
        """The answer holds `size` bytes by now, if that is more than before; wait until there is room for them."""
        if size > max(FREE_BYTES, self.held):
            await self._room._take(self, size - self.held)

    def __enter__(self) -> "Share":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room._give_back(self)
