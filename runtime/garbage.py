"""Kafka clients that were thrown away: cycles of some two hundred objects each, and whatever they refer to.

Python would look for them after `shell.GARBAGE_AFTER` allocations, which a quiet process reaches in hours: until then a
router of twelve lanes grew by three megabytes whenever these were opened again.
"""

import gc

MANY = 50
"""A collection looks at everything that lives: some milliseconds, 0.1 s where tens of thousands of jobs wait."""


class Discarded:
    """How many there are since the garbage was last collected. One for the process, as its collector is."""

    def __init__(self, many: int = MANY) -> None:
        self._many = many
        self._left = 0

    def client(self) -> None:
        """One more. Where nobody collects garbage at all (the simulation), it stays."""
        self._left += 1
        if self._left >= self._many and gc.isenabled():
            self._left = 0
            gc.collect()


discarded = Discarded()
