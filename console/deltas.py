"""Pieces of answers as they come on `inference.deltas.v1`, for a person who watches. Provisional, as the topic is."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from pydantic import ValidationError

from console.kafka import Log, ends
from console.words import shown
from runtime.ports import Record
from schemas.delta import Delta
from schemas.topics import DELTAS

Identity = tuple[str, str]
MOST_JOBS = 10_000
"""Streams that are remembered at a time; the oldest is forgotten."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What is new of one job's answer."""

    identity: Identity
    text: str
    again: bool
    """The call before was cut short: what was shown of this answer does not count, it begins anew."""
    gap: bool
    """Pieces before this one are missing."""


class Streams:
    """How much of each answer has been shown. Pure; a record that comes twice gives its piece once."""

    def __init__(self) -> None:
        self._seen: dict[Identity, tuple[int, int, int]] = {}

    def take(self, record: Record) -> Piece | None:
        """The piece in `record`; None for one that is old, and for what is no delta."""
        try:
            delta = Delta.model_validate_json(record.value or b"")
        except ValidationError:
            return None
        identity = (delta.tenant, delta.job_id)
        call = (delta.submission, delta.attempt)
        *before, number = self._seen.pop(identity, (*call, -1))
        if tuple(before) > call or (tuple(before) == call and delta.number <= number):
            self._seen[identity] = (before[0], before[1], number)
            return None
        again = tuple(before) != call
        self._seen[identity] = (*call, delta.number)
        if len(self._seen) > MOST_JOBS:
            del self._seen[next(iter(self._seen))]
        expected = 0 if again else number + 1
        return Piece(identity, shown(delta.text), again, gap=delta.number > expected)


async def delta_ends(log: Log) -> dict[int, int]:
    """The present end of each partition of the deltas topic."""
    return await ends(log, DELTAS.name)


async def deltas_after(log: Log, since: dict[int, int]) -> AsyncIterator[Piece]:
    """The pieces from `since` on, as they come, without end."""
    streams = Streams()
    async for record in log.follow(DELTAS.name, since):
        piece = streams.take(record)
        if piece is not None:
            yield piece
