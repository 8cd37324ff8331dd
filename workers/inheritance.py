"""What the processes before have left of a lane: calls that they noted, or that they may have made."""

from collections.abc import Iterable
from dataclasses import dataclass

from runtime.intents import Intents, Left
from runtime.ports import LaneId, LogReader, Resumed
from workers.recall import guessed, recalled
from workers.turn import Turn


@dataclass(slots=True)
class _Elsewhere:
    """Calls noted in a journal that nobody here can read."""

    custody: str
    end: int
    """Records below it were there when the lane was opened."""
    left: int
    """How many of them its process may have had in hand, at most."""


class Inheritance:
    """One process's, of all its lanes. `window` is how many records a process has in hand at most."""

    def __init__(self, intents: Intents, window: int) -> None:
        self._intents = intents
        self._window = window
        self._noted: dict[str, dict[int, list[Left]]] = {}
        self._elsewhere: dict[str, _Elsewhere] = {}

    async def look(self, lane: LaneId, log: LogReader, resumed: Resumed) -> None:
        """A lane is opened: find out what was out. Raises `IntentsUnavailable`.

        Where the notes were kept in another journal (another machine, or a file that was damaged), as many records as
        a process may have had in hand count as called once each.
        """
        name, custody = str(lane), resumed.custody
        self._noted[name] = await self._intents.left(name, resumed.offset, resumed.finished, custody)
        self._elsewhere.pop(name, None)
        if custody and custody != self._intents.custody:
            _, end = await log.bounds(lane.topic, lane.partition)
            self._elsewhere[name] = _Elsewhere(custody, end, self._window)

    def take(self, lane: str, turn: Turn) -> bool:
        """Give the turn's progress the calls that it does not know of. Whether the last one was made `alone`, and its
        process died of it."""
        offset, alone = turn.job.record.offset, False
        if left := self._noted.get(lane, {}).get(offset):
            turn.progress, alone = recalled(turn.progress, turn.job, left)
        elsewhere = self._elsewhere.get(lane)
        if elsewhere is None or offset >= elsewhere.end or elsewhere.custody in turn.progress.recalled:
            return alone
        if elsewhere.left > 0:
            elsewhere.left -= 1
            turn.progress = guessed(turn.progress, turn.job.candidates[0], elsewhere.custody)
        return alone

    def forget(self, lane: str, offsets: Iterable[int]) -> None:
        """These records are done with."""
        done = list(offsets)
        noted = self._noted.get(lane)
        if noted:
            for offset in done:
                noted.pop(offset, None)
        self._intents.forget(lane, done)
