"""The audit as it stands in Kafka."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from console.audit.batches import Place
from console.audit.ends import Ends
from console.audit.problems import Problem
from console.exits import CommandError
from runtime.clock import SystemClock
from runtime.ports import Clock, LogReader
from runtime.settled import UNSETTLED_S, settled
from schemas.topics import AUDIT, CHECKPOINTS, RESULTS

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.settings import Settings


Heads = Callable[[], Awaitable[Mapping[str, tuple[int, str]]]]
"""Sequence and hash that the lanes have committed beside their offsets."""
MOST_PROBLEMS = 1_000
MILLISECOND = timedelta(milliseconds=1)


class Live:
    """Both topics from their beginning up to where they ended when `open` looked. A `Source`."""

    topic = AUDIT.name

    def __init__(self, reader: LogReader, clock: Clock | None = None) -> None:
        self._reader, self._clock = reader, clock or SystemClock()
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.audit_bounds: dict[int, tuple[int, int]] = {}
        self.committed: Mapping[str, tuple[int, str]] | None = None
        self._due: dict[int, tuple[int, int]] = {}
        self._checkpoints = (0, 0)
        self._hides: set[str] = set()
        """Topics of which something could not be seen: nobody is blamed for it."""

    async def open(self, heads: Heads | None = None) -> None:
        """Look how far everything goes, the checkpoints first: so no checkpoint covers more than is read; before that,
        with `heads`, where the lanes say that they are. Raises `CommandError` without the topics."""
        for topic in (CHECKPOINTS.name, AUDIT.name):
            if not await self._reader.partitions(topic):
                raise CommandError(f"the topic {topic} does not exist; create the topics with: novix topics create")
        self._due = await self._bounds(RESULTS.name)
        if heads is not None:
            self.committed = await heads()
        self._checkpoints = await self._reader.bounds(CHECKPOINTS.name, 0)
        self.audit_bounds = await self._settled(AUDIT.name)
        if AUDIT.name in self._hides:
            self.committed, self._due = None, {}

    async def _bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        return {one: await self._reader.bounds(topic, one) for one in range(await self._reader.partitions(topic))}

    async def _settled(self, topic: str) -> dict[int, tuple[int, int]]:
        """The bounds, when all that was written by now can be read: what one transaction has written to several
        partitions becomes readable at different times, where an older one is still open in some of them."""
        found: dict[int, tuple[int, int]] = {}
        for one in range(await self._reader.partitions(topic)):
            first, end, undecided = await settled(self._reader, topic, one, self._clock)
            found[one] = first, end
            if undecided:
                self._hides.add(topic)
                self.notes.append(
                    f"a transaction that is open for over {UNSETTLED_S:.0f} s hides {undecided:,} offsets of "
                    f"{topic}/{one}; what stands behind it was not looked at"
                )
        return found

    async def fold(self, ends: Ends, since: datetime) -> None:
        """All results. Those that were there before the audit was looked at have an end in it; and every end that was
        there then has its result by now. Where older results are gone, theirs are not missed."""
        oldest = 0
        for partition, (first, end) in (await self._settled(RESULTS.name)).items():
            is_first = first > 0
            async for record in self._reader.read(RESULTS.name, partition, first, end):
                if is_first:
                    oldest, is_first = max(oldest, record.timestamp_ms), False
                place = Place(RESULTS.name, partition, record.offset)
                is_due = record.offset < self._due.get(partition, (0, 0))[1]
                read = record.value is not None and ends.note_result(place, record.value, is_due=is_due)
                if not read and len(self.problems) < MOST_PROBLEMS:
                    self.problems.append(Problem("changed", "it is no result", place=place))
            if is_first or RESULTS.name in self._hides:  # all of its results are gone, or some cannot be seen
                oldest = max(oldest, round(datetime.now(UTC).timestamp() * 1_000))
        around = timedelta(hours=1) if oldest else timedelta()
        begin = since + timedelta(hours=1) if since.timestamp() else since
        ends.results_since(oldest + around // MILLISECOND, round(begin.timestamp() * 1_000))

    async def bounds(self) -> dict[int, int]:
        """Of each partition, its first offset."""
        return {partition: first for partition, (first, _) in self.audit_bounds.items()}

    async def checkpoints(self) -> AsyncIterator[tuple[Place, bytes | None]]:
        """The checkpoints in their order."""
        async for record in self._reader.read(CHECKPOINTS.name, 0, *self._checkpoints):
            yield Place(CHECKPOINTS.name, 0, record.offset), record.value

    async def audit(self, partition: int) -> AsyncIterator[tuple[Place, bytes | None]]:
        """A partition's records in their order."""
        async for record in self._reader.read(AUDIT.name, partition, *self.audit_bounds[partition]):
            yield Place(AUDIT.name, partition, record.offset), record.value


def key_file(settings: "Settings") -> "Path":
    """Where the audit's private key is."""
    from pathlib import Path

    told = settings.audit_key_file
    return Path(told).expanduser() if told else settings.home / "audit" / "key.pem"
