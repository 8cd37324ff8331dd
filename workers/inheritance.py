"""What the processes before have left of a lane: calls that they noted, or that they may have made."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from runtime.intents import Intents, Left
from runtime.ports import LaneId, LogReader, Resumed
from runtime.progress import journals
from workers.recall import guessed, recalled
from workers.turn import Turn


@dataclass(slots=True)
class _Elsewhere:
    """Calls noted in a journal that nobody here can read."""

    custody: str
    end: int
    """Records below it were there when the lane was opened."""
    left: int
    """How many more of them its process may have had in hand, at most."""
    known: bool = False
    """It was one when the lane was opened here before."""
    counted: set[int] = field(default_factory=set)
    """Those that count as called, and whose outcomes are not committed."""


class Inheritance:
    """One process's, of all its lanes. `window` is how many records a process has in hand at most."""

    def __init__(self, intents: Intents, window: int) -> None:
        self._intents = intents
        self._window = window
        self._noted: dict[str, dict[int, list[Left]]] = {}
        self._news: dict[str, set[int]] = {}
        """Records for which another process of this machine has noted a call since the lane was opened here before."""
        self._elsewhere: dict[str, dict[str, _Elsewhere]] = {}

    async def look(self, lane: LaneId, log: LogReader, resumed: Resumed) -> None:
        """A lane is opened: find out what was out. Raises `IntentsUnavailable`.

        Where notes were kept in another journal (another machine, or a file that was damaged), as many records as a
        process may have had in hand count as called once each: for every such journal.
        """
        name, custody = str(lane), resumed.custody
        before = {note.ref for notes in self._noted.get(name, {}).values() for note in notes}
        noted = self._noted[name] = await self._intents.left(name, resumed.offset, resumed.finished, custody)
        self._news[name] = {
            offset for offset, notes in noted.items() if any(not note.mine and note.ref not in before for note in notes)
        }
        last, *_ = named = custody.split("+")
        # Where ours was the last, the lane was opened here before: what is known of the others still holds.
        known = self._elsewhere.pop(name, {}) if last == self._intents.custody else {}
        for one in known.values():
            one.known = True
        elsewhere = {id: known.get(id) for id in named if id not in ("", self._intents.custody)}
        if elsewhere:
            _, end = await log.bounds(lane.topic, lane.partition)
            self._elsewhere[name] = {id: one or _Elsewhere(id, end, self._window) for id, one in elsewhere.items()}
        else:
            self._elsewhere.pop(name, None)

    def take(self, lane: str, turn: Turn) -> bool:
        """Give the turn's progress the calls that it does not know of. Whether the last one was made `alone`, and its
        process died of it."""
        offset, alone = turn.job.record.offset, False
        begun_here = turn.delivery.memo is not None
        left = self._noted.get(lane, {}).get(offset, ())
        if left := [note for note in left if not (note.mine and begun_here)]:
            turn.progress, alone = recalled(turn.progress, turn.job, left)
        for elsewhere in self._elsewhere.get(lane, {}).values():
            if offset >= elsewhere.end or elsewhere.custody in turn.progress.recalled:
                continue
            if elsewhere.left > 0 and offset not in elsewhere.counted:
                elsewhere.left -= 1
                elsewhere.counted.add(offset)
            if offset in elsewhere.counted:
                turn.progress = guessed(
                    turn.progress, turn.job.candidates, elsewhere.custody,
                    most_nanousd=turn.job.assignment.max_cost_nanousd,
                )  # fmt: skip
        return alone

    def may_have_called(self, lane: str, offset: int) -> bool:
        """Whether a process before may have made a call for that record."""
        elsewhere = self._elsewhere.get(lane, {}).values()
        return offset in self._noted.get(lane, {}) or any(offset < one.end and one.left > 0 for one in elsewhere)

    def overtaken(self, lane: str, offset: int) -> bool:
        """Whether another process may have called for that record since the lane was opened here before."""
        elsewhere = self._elsewhere.get(lane, {}).values()
        return offset in self._news.get(lane, ()) or any(not one.known and offset < one.end for one in elsewhere)

    def owed(self, lane: str, base: int) -> str:
        """The journals of calls of records from `base` on that no committed outcome accounts for; empty: none."""
        ours = self._intents.custody if any(at >= base for at in self._noted.get(lane, ())) else ""
        others = [one for one in self._elsewhere.get(lane, {}).values() if base < one.end and (one.left or one.counted)]
        return journals(ours, *(one.custody for one in others))

    def forget(self, lane: str, offsets: Iterable[int]) -> None:
        """These records are done with."""
        done = list(offsets)
        noted = self._noted.get(lane, {})
        for offset in done:
            noted.pop(offset, None)
        for elsewhere in self._elsewhere.get(lane, {}).values():
            elsewhere.counted.difference_update(done)
        self._intents.forget(lane, done)
