"""What a lane learns from transactions that failed: how much to try at once, and which outcome cannot be written."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from runtime.commit import SHARED_LIMIT_BYTES, own_records
from runtime.lane import shrink
from runtime.outcome import Done, GiveUp
from runtime.ports import LaneId, Record, RecordTooLarge
from runtime.progress import HORIZON, MetadataTooLarge
from schemas.failure import FailureKind

OURS = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
"""What an outcome raises that cannot be encoded. A broker in trouble raises none of them."""
PATIENCE = 3
"""Transactions of one outcome alone that must fail by `OURS` before it is given up."""
LEAST_SHARED_BYTES = 16_384
LEAST_HORIZON = 64


class Blame:
    """One lane's memory of failures, kept over its rebuilds. No clock, no I/O.

    After a failure half as much is tried, down to one outcome; after a success twice as much again. So a transaction
    that is too much for a slow broker becomes one that is not, and an outcome that no transaction can hold is found.
    """

    def __init__(self, most: int) -> None:
        self.crowd = most
        """Settled records of one transaction."""
        self.shared_limit = SHARED_LIMIT_BYTES
        """Bytes at which shared records are split."""
        self.horizon = HORIZON
        """Offsets above the committed one up to which a record may be called finished."""
        self._most = most
        self._refused: dict[int, list[int]] = defaultdict(list)
        self._alone: Counter[int] = Counter()
        self._error = ""

    def failed(self, offsets: Sequence[int], error: Exception, owner: int | None) -> None:
        """The transaction of `offsets` failed; `owner` is whose record was refused for its size, if one was."""
        if isinstance(error, MetadataTooLarge):
            self.horizon = max(LEAST_HORIZON, self.horizon // 2)
            return
        if isinstance(error, RecordTooLarge):
            if owner is not None:
                self._refused[owner].append(error.size_bytes)  # its outcome is another next time
                return
            self.shared_limit = max(LEAST_SHARED_BYTES, self.shared_limit // 2)
        if len(offsets) == 1 and (isinstance(error, OURS) or self._unsplittable(error)):
            self._alone[offsets[0]] += 1
            self._error = type(error).__name__
        if offsets:
            self.crowd = max(1, min(self.crowd, len(offsets)) // 2)

    def committed(self, offsets: Sequence[int]) -> int:
        """The transaction of `offsets` succeeded. Returns how many the next may hold."""
        for offset in offsets:
            self._refused.pop(offset, None)
            self._alone.pop(offset, None)
        self.crowd = min(self._most, self.crowd * 2)
        return self.crowd

    def refused(self, offset: int) -> list[int]:
        """Sizes, in bytes, that the broker refused of the record's outcomes, one after the other."""
        return self._refused.get(offset, [])

    def as_taken(self, lane: LaneId, record: Record, done: Done) -> Done:
        """The record's outcome in the form that the broker takes."""
        for size in self.refused(record.offset):
            if any(len(own.value or b"") >= size for own in own_records(lane, record, done)):
                done = shrink(done, size)  # else it was handled anew and has become another
        return self.instead(record.offset) or done

    def instead(self, offset: int) -> GiveUp | None:
        """The outcome of a record whose own cannot be written."""
        if self._alone.get(offset, 0) < PATIENCE:
            return None
        return GiveUp(FailureKind.INTERNAL, f"its outcome could not be written: {self._error}", error_type=self._error)

    def _unsplittable(self, error: Exception) -> bool:
        return isinstance(error, RecordTooLarge) and self.shared_limit == LEAST_SHARED_BYTES
