"""The full-text table's answers: which rows match, and BM25 of those that are worth weighing."""

import sqlite3
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hub.index.file import MAX_ROWS, ROW_BITS
from hub.index.store import Index

WEIGHTS = (8.0, 3.0, 4.0, 2.0, 1.0)
"""BM25's of name, author, task, tags and description."""
WEIGHED = 5_000
"""Rows whose BM25 is asked for: 0.7 us each. With more matches, the most downloaded of them: a word that so many have
tells little of which is meant. At least the topmost tier is weighed, however many it has."""

Rows = NDArray[np.int64]
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Matches:
    """What matches an expression."""

    rows: Rows
    weighed: Rows
    scores: Scores
    """BM25 of `weighed`: greater is better (SQLite's own is negative)."""

    @property
    def all_weighed(self) -> bool:
        """None was left out."""
        return len(self.weighed) == len(self.rows)


NOTHING = Matches(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def matches(index: Index, expression: str, *, weigh: bool = True) -> Matches:
    """The rows that match, and BM25 of the most used of them. An expression of `hub.index.words.Asked`, no other."""
    if not expression:
        return NOTHING
    numbers = np.sort(_numbers(index.reader, expression))
    rows = numbers & (MAX_ROWS - 1)
    if not weigh or not len(numbers):
        return Matches(rows, rows[:0], np.zeros(0))
    least = int(numbers[0])
    if len(numbers) > WEIGHED:
        tier = int(numbers[-WEIGHED]) >> ROW_BITS
        whole = np.searchsorted(numbers, tier << ROW_BITS)
        # The tier that does not fit is left out, unless it is the topmost.
        least = tier << ROW_BITS if len(numbers) - whole <= 1.5 * WEIGHED else (tier + 1) << ROW_BITS
        least = min(least, int(numbers[-1]) >> ROW_BITS << ROW_BITS)
    asked = f"SELECT rowid, bm25(fts, {', '.join(map(str, WEIGHTS))}) FROM fts WHERE fts MATCH ? AND rowid >= ?"  # noqa: S608
    found = index.reader.execute(asked, (expression, least)).fetchall()
    table = np.array(found, dtype=np.float64).reshape(len(found), 2)
    return Matches(rows, table[:, 0].astype(np.int64) & (MAX_ROWS - 1), -table[:, 1])


def _numbers(reader: sqlite3.Connection, expression: str) -> Rows:
    # One text of all numbers: half a million rows of one number each take ten times as long to hand over.
    asked = "SELECT group_concat(rowid) FROM fts WHERE fts MATCH ?"
    told: Any = reader.execute(asked, (expression,)).fetchone()[0]
    if told is None:
        return np.zeros(0, np.int64)
    return np.array(np.fromstring(str(told), dtype=np.int64, sep=","))
