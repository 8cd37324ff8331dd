"""The audit as it stands in Kafka."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from console.audit.batches import Place
from console.audit.problems import Problem
from console.exits import CommandError
from runtime.ports import LogReader
from schemas.topics import AUDIT, CHECKPOINTS

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.settings import Settings


class Live:
    """Both topics from their beginning up to where they ended when `open` looked. A `Source`."""

    topic = AUDIT.name

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.audit_bounds: dict[int, tuple[int, int]] = {}
        self._checkpoints = (0, 0)

    async def open(self) -> None:
        """Look how far everything goes, the checkpoints first: so no checkpoint covers more than is read. Raises
        `CommandError` without the topics."""
        for topic in (CHECKPOINTS.name, AUDIT.name):
            if not await self._reader.partitions(topic):
                raise CommandError(f"the topic {topic} does not exist; create the topics with: novix topics create")
        self._checkpoints = await self._reader.bounds(CHECKPOINTS.name, 0)
        count = await self._reader.partitions(AUDIT.name)
        self.audit_bounds = {one: await self._reader.bounds(AUDIT.name, one) for one in range(count)}

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
