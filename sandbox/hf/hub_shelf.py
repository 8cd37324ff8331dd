"""All repositories of one kind: generated ones, that exist only as numbers, and others, that are kept as rows."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.hf import hub_words as words
from sandbox.hf.hub_columns import Columns, columns
from sandbox.hf.hub_query import Query, fits
from sandbox.hf.hub_rows import repository, row, stamp

Row = dict[str, Any]
AT_A_TIME = 4_096
"""Of the rows that are looked through for a page."""


class Shelf:
    """Rows by number: the first `count` are generated, the kept ones follow. What is changed is kept beside."""

    def __init__(self, seed: int, count: int, kept: Iterable[Row] = ()) -> None:
        self._seed = seed
        self._count = count
        self._kept = list(kept)
        self._changed: dict[int, Row] = {}
        self._gone: set[int] = set()
        self._named = {one["id"]: count + place for place, one in enumerate(self._kept)}
        self._columns: Columns | None = None
        self._by: dict[str, NDArray[np.int64]] = {}
        self._orders: dict[str, NDArray[np.int64]] = {}
        self._ids: list[str] | None = None

    def __len__(self) -> int:
        return self._count + len(self._kept) - len(self._gone)

    @property
    def generated(self) -> int:
        """How many of its rows are generated."""
        return self._count

    def row(self, number: int) -> Row | None:
        """One row as it is now; None: it is gone."""
        if number in self._gone:
            return None
        changed = self._changed.get(number)
        if changed is not None:
            return changed
        return row(self._seed, number) if number < self._count else self._kept[number - self._count]

    def find(self, name: str) -> int | None:
        """The number of a repository by its id."""
        number = self._named.get(name)
        if number is None:
            number = self._generated(name)
        return None if number is None or self.row(number) is None or self._id(number) != name else number

    def _generated(self, name: str) -> int | None:
        """Its number is the last part of its name."""
        try:
            number = int(name.rpartition("-")[2], 16)
        except ValueError:
            return None
        return number if 0 <= number < self._count else None

    def _id(self, number: int) -> str:
        found = self.row(number) if number in self._changed or number >= self._count else None
        return str(found["id"]) if found is not None else repository(self._seed, number)

    def page(self, query: Query) -> tuple[list[Row], tuple[int, int] | None]:
        """The rows of one page, and behind which value and number the next begins; None: there is none."""
        order, values = self._order(query.sort), self._by[query.sort]
        start = 0 if query.after is None else _behind(order, values, query.after)
        mask = self._maybe(query)
        found: list[Row] = []
        last = 0
        for begin in range(start, len(order), AT_A_TIME):
            block = order[begin : begin + AT_A_TIME]
            for number in block[mask[block]].tolist():
                if len(found) == query.limit:
                    return found, (int(values[last]), last)
                told = self.row(number)
                if told is not None and fits(told, query):
                    found.append(told)
                    last = number
        return found, None

    def _maybe(self, query: Query) -> NDArray[np.bool_]:
        """Which rows may fit, as far as the columns tell: those that were changed or kept always may."""
        table = self._table()
        mask = np.ones(self._count + len(self._kept), bool)
        part = mask[: self._count]
        if query.pipeline_tag is not None or any(one in _TAGS for one in query.filters):
            wanted = [query.pipeline_tag] if query.pipeline_tag else [one for one in query.filters if one in _TAGS]
            for tag in wanted:
                part &= table.task == _TAGS.get(tag or "", 255)
        for one in query.filters:
            if one.startswith("license:"):
                part &= table.license == _LICENSES.get(one[8:], 255)
        if query.gated is not None:
            part &= (table.gated > 0) == query.gated
        if query.providers or query.warm:
            part &= table.served
        if query.search or query.author:
            part &= self._said(query)
        mask[list(self._changed)] = True
        mask[list(self._gone)] = False
        return mask

    def _said(self, query: Query) -> NDArray[np.bool_]:
        """Which generated ids have the words. The ids are made at the first search, and kept."""
        if self._ids is None:
            self._ids = [repository(self._seed, number) for number in range(self._count)]
        who = None if query.author is None else query.author + "/"
        return np.array(
            [
                (who is None or name.startswith(who)) and all(word in name for word in query.search)
                for name in self._ids
            ],
            bool,
        )

    def _table(self) -> Columns:
        if self._columns is None:
            self._columns = columns(self._seed, self._count)
            for name, values in self._columns.by.items():
                kept = np.array([sort_value(one, name) for one in self._kept], np.int64)
                self._by[name] = np.concatenate([values, kept])
        return self._columns

    def _order(self, sort: str) -> NDArray[np.int64]:
        self._table()
        if sort not in self._orders:
            # Stable: of equal values the smaller number comes first.
            self._orders[sort] = np.argsort(-self._by[sort], kind="stable").astype(np.int64)
        return self._orders[sort]

    # Changes, for tests and for whoever wants to see the catalogue follow

    def touch(self, numbers: Iterable[int], now: datetime) -> list[str]:
        """These repositories got a commit and some downloads just now; their ids."""
        names = []
        for number in numbers:
            told = self.row(number)
            if told is None:
                continue
            fresh = {
                **told, "lastModified": stamp(int(now.timestamp())), "downloads": int(told.get("downloads") or 0) + 7,
                "sha": f"{int(now.timestamp()):010x}{number:030x}",
            }  # fmt: skip
            self.put(number, fresh)
            names.append(str(fresh["id"]))
        return names

    def put(self, number: int, told: Row) -> None:
        """Replace a row; what it was is forgotten."""
        self._table()
        self._changed[number] = told
        if isinstance(told.get("id"), str):
            self._named[told["id"]] = number
        for name, values in self._by.items():
            values[number] = sort_value(told, name)
        self._orders.clear()

    def add(self, told: Row) -> int:
        """A new repository; its number."""
        self._table()
        self._kept.append(told)
        number = self._count + len(self._kept) - 1
        if isinstance(told.get("id"), str):
            self._named[told["id"]] = number
        for name, values in self._by.items():
            self._by[name] = np.append(values, sort_value(told, name))
        self._orders.clear()
        return number

    def remove(self, number: int) -> None:
        """It is deleted."""
        self._gone.add(number)


_TAGS = {task.tag: place for place, task in enumerate(words.TASKS) if task.tag is not None}
_LICENSES = {name: place for place, (name, _) in enumerate(words.LICENSES) if name is not None}


def sort_value(told: Row, name: str) -> int:
    """What a row is sorted by; 0 where it does not say, or says nonsense."""
    value = told.get(name)
    if name in ("createdAt", "lastModified"):
        try:
            return int(datetime.fromisoformat(str(value)).astimezone(UTC).timestamp())
        except (ValueError, OverflowError):
            return 0
    return int(value) if isinstance(value, int | float) and abs(value) < 2**62 else 0


def _behind(order: NDArray[np.int64], values: NDArray[np.int64], after: tuple[int, int]) -> int:
    """The place in `order` of the first row behind a value and number, whether or not that row still is there."""
    value, number = after
    ranked = -values[order]
    first = int(np.searchsorted(ranked, -value, side="left"))
    last = int(np.searchsorted(ranked, -value, side="right"))
    return first + int(np.searchsorted(order[first:last], number, side="right"))
