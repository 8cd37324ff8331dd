"""The columns of the index: a few numbers of each row, in memory, for filters, facets and orders.

Row numbers are SQLite's; a row that is gone keeps its place with kind 0 until another entry takes it. On disk the same
numbers stand in blocks of `BLOCK` rows, written in the transaction that writes their entries. One owner: the index,
which locks.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hub.catalog.scores import HALF_LIFE_DAYS

BLOCK = 256
"""Rows of one blob: a change rewrites the blocks that it touches."""
MASKS_KEPT = 64
"""Of half a million rows each has 62 KB."""
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Block = tuple[int, bytes, bytes, bytes]
"""Number, records, lists (lengths, then words), offers."""
UNKNOWN = -1
"""In the whole-number columns whose 0 is a value; in the fractional ones it is NaN, in word columns 0."""

RECORD = np.dtype(
    [
        ("kind", "u1"),
        ("tier", "u1"),
        ("gated", "u1"),
        ("flags", "u1"),
        ("task", "u4"),
        ("modality", "u4"),
        ("library", "u4"),
        ("license", "u4"),
        ("author", "u4"),
        ("parameters", "i8"),
        ("size_bytes", "i8"),
        ("downloads", "i8"),
        ("likes", "i8"),
        ("trending", "f4"),
        ("popularity", "f4"),
        ("recency", "f4"),
        ("quality", "f4"),
        ("latency", "f4"),
        ("price", "i8"),
        ("created", "i8"),
        ("modified", "i8"),
        ("tie", "u4"),
    ]
)
"""What each row has. `task` to `author` are words' numbers; instants are seconds since 1970; `latency` (ms) and `price`
(nano-dollars per million tokens) are the best of its live offers; `popularity` and `recency` are
`hub.catalog.scores.lasting`; `quality` is what its card states; `tie` a digest
of the key, which orders what is equal otherwise: row numbers depend on the order of arrival."""
OFFER = np.dtype(
    [("row", "u4"), ("provider", "u4"), ("region", "u4"), ("live", "u1"), ("price", "i8"), ("latency", "f4")]
)
"""One offer in one region; region 0: nobody has said where."""

KINDS = {"model": 1, "dataset": 2, "space": 3}
GATED = {None: 0, "no": 1, "auto": 2, "manual": 3}
PRIVATE, DISABLED, SERVED, CUSTOM_CODE, SCANNED_BAD = 1, 2, 4, 8, 16


@dataclass(frozen=True, slots=True)
class Cells:
    """One row's numbers: the tuple of `RECORD`, the words of its lists, its offers without their row."""

    record: tuple[Any, ...]
    bag: tuple[int, ...]
    offers: tuple[tuple[int, int, int, int, float], ...] = ()


class Columns:
    """All rows. Word lists (tags, languages, providers ...) stand in one long array that changes append to."""

    def __init__(self) -> None:
        self.size = 1  # SQLite's rows begin with 1
        self._records = {name: np.zeros(1_024, dtype=RECORD[name]) for name in RECORD.names or ()}
        self._start = np.zeros(1_024, dtype=np.int64)
        self._count = np.zeros(1_024, dtype=np.uint16)
        self._words = np.zeros(8_192, dtype=np.uint32)
        self._owners = np.zeros(8_192, dtype=np.uint32)
        self._used = 0
        self._live_words = 0
        self.offers = np.zeros(0, dtype=OFFER)
        self.changes = 0
        """Counts batches: what was computed of the columns holds as long as it stands still."""
        self._masks: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._masks_of = 0

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._records[name][: self.size]

    def popularity(self, rows: Rows, now: datetime) -> NDArray[np.float64]:
        """`hub.catalog.scores.popularity` of rows; where nothing is known NaN."""
        days = np.maximum(now.timestamp() - self._records["modified"][rows], 0) / 86_400
        # A row that has told of no change has no weight for it either.
        fresh = self._records["recency"][rows] * np.exp2(-days / HALF_LIFE_DAYS)
        return np.asarray(self._records["popularity"][rows] + fresh, dtype=np.float64)

    def bag(self, row: int) -> NDArray[np.uint32]:
        """The words of one row's lists."""
        start = self._start[row]
        return self._words[start : start + self._count[row]]

    def put(self, rows: Sequence[int], cells: Sequence[Cells]) -> None:
        """Write rows; what they had is forgotten."""
        if not len(rows):
            return
        self._grow(max(rows) + 1)
        records = np.array([one.record for one in cells], dtype=RECORD)
        where = np.asarray(rows, dtype=np.int64)
        for name, column in self._records.items():
            column[where] = records[name]
        self._append(where, [one.bag for one in cells])
        told = [(row, *offer) for row, one in zip(rows, cells, strict=True) for offer in one.offers]
        kept = self.offers[~np.isin(self.offers["row"], where)] if len(self.offers) else self.offers
        self.offers = np.concatenate([kept, np.array(told, dtype=OFFER)])
        self.changes += 1

    def having(self, word: int) -> Mask:
        """The rows whose lists have a word. The last ones that were asked are kept, as bits, until a row changes."""
        if self._masks_of != self.changes:
            self._masks.clear()
            self._masks_of = self.changes
        if word not in self._masks:
            self._masks[word] = np.packbits(self._having(word))
        self._masks.move_to_end(word)
        while len(self._masks) > MASKS_KEPT:
            self._masks.popitem(last=False)
        return np.unpackbits(self._masks[word], count=self.size).view(np.bool_)

    def _having(self, word: int) -> Mask:
        found = np.flatnonzero(self._words[: self._used] == word)
        owners = self._owners[found]
        start = self._start[owners]
        now = (found >= start) & (found < start + self._count[owners])
        mask = np.zeros(self.size, dtype=np.bool_)
        mask[owners[now]] = True
        return mask

    def words_of(self, rows: Rows) -> NDArray[np.uint32]:
        """The words of many rows' lists, one behind the other."""
        count = self._count[rows].astype(np.int64)
        total = int(count.sum())
        if not total:
            return np.zeros(0, dtype=np.uint32)
        begins = np.repeat(self._start[rows] - np.concatenate([[0], np.cumsum(count)[:-1]]), count)
        return self._words[begins + np.arange(total)]

    def free(self, most: int) -> list[int]:
        """Numbers for new rows: of rows that are gone first, then behind the last."""
        gone = np.flatnonzero(self["kind"][1:] == 0)[:most] + 1
        more = range(self.size, self.size + most - len(gone))
        return [*gone.tolist(), *more]

    def block(self, number: int) -> tuple[bytes, bytes, bytes]:
        """A block as it is stored: records, lists (lengths, then words), offers."""
        rows = np.arange(number * BLOCK, min((number + 1) * BLOCK, self.size), dtype=np.int64)
        records = np.zeros(len(rows), dtype=RECORD)
        for name, column in self._records.items():
            records[name] = column[rows]
        counts = self._count[rows]
        mine = self.offers[(self.offers["row"] // BLOCK) == number] if len(self.offers) else self.offers
        return records.tobytes(), counts.tobytes() + self.words_of(rows).tobytes(), mine.tobytes()

    @classmethod
    def read(cls, blocks: Iterable[Block], sizes: tuple[int, int]) -> "Columns":
        """From the blocks in the order of their numbers, which begin with 0 and leave none out; `sizes` are the bytes
        of all their records and of all their lists. Raises ValueError."""
        self = cls()
        rows, rest = divmod(sizes[0], RECORD.itemsize)
        if rest or sizes[1] < 2 * rows or (sizes[1] and not rows):
            raise ValueError(f"the index's columns have {sizes[0]} bytes of records and {sizes[1]} of lists")
        if not rows:
            return self
        # Filled block by block: half a million rows at once would leave their bytes' room behind in the process.
        self._records = {name: np.zeros(rows, dtype=RECORD[name]) for name in RECORD.names or ()}
        self._count = np.zeros(rows, dtype=np.uint16)
        self._words = np.zeros((sizes[1] - 2 * rows) // 4, dtype=np.uint32)
        offers = [np.zeros(0, dtype=OFFER)]
        self.size = 0
        for expected, (number, record, bag, offer) in enumerate(blocks):
            told, first = np.frombuffer(record, dtype=RECORD), self.size
            self.size = last = first + len(told)
            if number != expected or first != number * BLOCK or last > rows or len(bag) < 2 * len(told):
                raise ValueError(f"block {number} of the index's columns is damaged")
            for name, column in self._records.items():
                column[first:last] = told[name]
            self._count[first:last] = np.frombuffer(bag, dtype=np.uint16, count=len(told))
            words = np.frombuffer(bag, dtype=np.uint32, offset=2 * len(told))
            begins, self._used = self._used, self._used + len(words)
            if self._used > len(self._words):
                raise ValueError(f"block {number} of the index's lists is damaged")
            self._words[begins : self._used] = words
            if offer:
                offers.append(np.frombuffer(offer, dtype=OFFER))
        lengths = self._count.astype(np.int64)
        self._live_words = int(lengths.sum())
        if self.size != rows or self._used != len(self._words) or self._used != self._live_words:
            raise ValueError(f"the index has {self._used} words in its lists and counts {self._live_words}")
        self._start = np.cumsum(lengths) - lengths
        self._owners = np.repeat(np.arange(rows, dtype=np.uint32), lengths)
        self.offers = np.concatenate(offers)
        return self

    def _grow(self, size: int) -> None:
        self.size = max(self.size, size)
        room = len(self._start)
        if size <= room:
            return
        more = max(size, room + room // 4)
        # One after the other: all of them twice at once would be a hundred megabytes.
        for name, column in self._records.items():
            self._records[name] = _longer(column, more)
        self._start = _longer(self._start, more)
        self._count = _longer(self._count, more)

    def _append(self, rows: Rows, bags: Sequence[tuple[int, ...]]) -> None:
        lengths = np.array([len(bag) for bag in bags], dtype=np.int64)
        total = int(lengths.sum())
        self._live_words += total - int(self._count[rows].astype(np.int64).sum())
        need = self._used + total
        if need > len(self._words):
            more = max(need, len(self._words) + len(self._words) // 4)
            self._words = _longer(self._words, more)
            self._owners = _longer(self._owners, more)
        self._words[self._used : need] = np.fromiter((word for bag in bags for word in bag), np.uint32, total)
        self._owners[self._used : need] = np.repeat(rows.astype(np.uint32), lengths)
        self._start[rows] = self._used + np.cumsum(lengths) - lengths
        self._count[rows] = lengths
        self._used = need
        if self._used > 65_536 and self._used > 1.5 * self._live_words:
            self._pack()

    def _pack(self) -> None:
        """Leave out the lists that were replaced."""
        rows = np.arange(self.size, dtype=np.int64)
        lengths = self._count[: self.size].astype(np.int64)
        self._words = self.words_of(rows)
        self._owners = np.repeat(rows.astype(np.uint32), lengths)
        self._start[: self.size] = np.cumsum(lengths) - lengths
        self._used = self._live_words = len(self._words)


def _longer(column: NDArray[Any], length: int) -> NDArray[Any]:
    longer = np.zeros(length, dtype=column.dtype)
    longer[: len(column)] = column
    return longer
