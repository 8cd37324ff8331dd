"""Looking at the dead letters that jobs claim to be: some at once, for they are driven again in their order."""

import asyncio
from collections import OrderedDict

import structlog

from router.arrival import Arrival, Claim
from router.redrive import GONE, Checked, Letter, NotRedriven, Redriven, judge, letter_of
from runtime.ports import Clock, LogReader, NotReadable, Record
from schemas.job import ReadableJob
from schemas.topics import DLQ

READ_S = 10.0
"""For one read; then it is tried again."""
LOOKS = 3
"""At a dead letter that cannot be read: then the claim counts for nothing, and the redrive may be asked for again."""
MOST_AHEAD = 64
"""Dead letters that are read at once. A read takes some 15 ms, of which their number is the least."""
AHEAD_BYTES = 262_144
"""Of one read; once they were more, fewer are read at once."""
MOST_KNOWN = 1_024
FALSE_CLAIMS = 100
"""That are looked at within `FALSE_S` seconds; then none is for that long. A lane has other jobs to decide."""
FALSE_S = 60.0

log = structlog.get_logger("novix.router")


class Letters:
    """One lane's looks at dead letters. One owner: the lane's handler, which has one record at a time."""

    def __init__(self, reader: LogReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._known: OrderedDict[tuple[int, int], Letter] = OrderedDict()
        self._ahead = 1
        self._newest: tuple[Record, Checked] | None = None
        self._false = 0
        self._false_since = float("-inf")

    def found(self, record: Record) -> Checked:
        """What was found of the record's claim; None if `look` was not asked, or of another record since."""
        return self._newest[1] if self._newest is not None and self._newest[0] is record else None

    async def look(self, arrival: Arrival, claim: Claim, attempt: int) -> bool:
        """See whether the claim is true; `found` tells. False: it cannot be seen now, come again.

        At the `LOOKS`th attempt the claim counts for nothing: no lane stands still for it.
        """
        checked: Checked
        try:
            checked = await self._check(arrival, claim)
        except Exception as error:
            name = type(error).__name__
            log.warning("redrive.not_read", dead_letter=claim.place, attempt=attempt, error=name)
            if attempt < LOOKS:
                return False
            checked = NotRedriven(claim, f"the dead letter could not be read: {name}")
        self._newest = arrival.record, checked
        return True

    async def _check(self, arrival: Arrival, claim: Claim) -> Redriven | NotRedriven:
        if not isinstance(arrival.reading, ReadableJob):
            return NotRedriven(claim, "the job is refused as it stands")
        letter = self._known.get((claim.partition, claim.offset))
        if letter is None:
            if self._are_too_many_false():
                return NotRedriven(claim, "too many claims were false in the last minute")
            try:
                async with asyncio.timeout(READ_S):
                    letter = await self._read(claim.partition, claim.offset)
            except NotReadable:
                return NotRedriven(claim, "the router may not read the dead letters")
        checked = judge(letter, arrival, claim)
        if isinstance(checked, NotRedriven):
            self._false += 1
        return checked

    async def _read(self, partition: int, offset: int) -> Letter:
        """What stands at that place, and on the way what stands behind it."""
        if partition >= await self._reader.partitions(DLQ.name):
            return GONE
        first, end = await self._reader.bounds(DLQ.name, partition)
        if not first <= offset < end:
            return GONE
        upto, size = min(offset + self._ahead, end), 0
        found: dict[int, Letter] = dict.fromkeys(range(offset, upto), GONE)
        async for record in self._reader.read(DLQ.name, partition, offset, upto):
            found[record.offset] = letter_of(record)
            size += len(record.value or b"")
        self._ahead = min(2 * self._ahead, MOST_AHEAD) if size < AHEAD_BYTES else max(1, self._ahead // 4)
        for place, letter in found.items():
            self._known[(partition, place)] = letter
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return found[offset]

    def _are_too_many_false(self) -> bool:
        now = self._clock.monotonic()
        if now - self._false_since >= FALSE_S:
            self._false, self._false_since = 0, now
        return self._false >= FALSE_CLAIMS
