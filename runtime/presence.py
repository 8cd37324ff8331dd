"""Whether this process has been there all the time, for its group too: one that was frozen, or that the coordinator did
not hear for a session, may have been put out meanwhile.

A process that thaws, or whose network is back, finds everything as it was: its partitions seem to be its own, until a
heartbeat is answered. Who is about to pay for something looks here first.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from runtime.ports import Clock

LOOKS = 4
"""Looks at the clock within the pause that counts as an absence."""
ASK_AGAIN_S = 0.5


class Presence:
    """Looks at the clock again and again. `sure` is False from the end of a pause that was longer than `longest` until
    the group's coordinator has confirmed the membership, or has assigned anew (`assigned`); and while it is `silent`,
    for as long as it gives nothing away unheard."""

    def __init__(
        self, clock: Clock, confirmed: Callable[[], Awaitable[bool]], silent: Callable[[], bool], longest: timedelta
    ) -> None:
        self._clock = clock
        self._confirmed = confirmed
        self._silent = silent
        self._longest_s = longest.total_seconds()
        self._looked = clock.monotonic()
        self._doubts = 0
        """How many absences are not yet cleared up; an assignment clears up all that came before it."""

    def sure(self) -> bool:
        """Whether the process has not been away, and was heard, as far as it can tell at this moment."""
        return not self._doubts and self._within(self._looked) and not self._silent()

    def assigned(self) -> None:
        """The coordinator has said what is ours. An answer that lay there through a pause tells nothing new."""
        if self._within(self._looked):
            self._doubts = 0

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self._clock.sleep(ASK_AGAIN_S if self._doubts else self._longest_s / LOOKS)
            now = self._clock.monotonic()
            self._doubts += now - self._looked > self._longest_s
            self._looked = now
            if doubts := self._doubts:
                known = await self._confirmed()
                if known and self._doubts == doubts and self._within(now):
                    self._doubts = 0

    def _within(self, since: float) -> bool:
        return self._clock.monotonic() - since <= self._longest_s
