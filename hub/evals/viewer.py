"""Pages of the Hub's dataset viewer (`GET /rows?dataset&config&split&offset&length`) as rows, labels in words. Pure.

A page has `features` (the columns' types) and `rows`, each `{"row_idx", "row", "truncated_cells"}`; a class is a number
whose word stands among the feature's `names`. At most 100 rows a page, as the viewer gives.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from hub.evals.labelled import BadSet
from schemas import codec

PAGE_ROWS = 100
PAGE_BYTES = 16_777_216
MOST_PAGES = 100
Get = Callable[[str], Awaitable[bytes]]
"""Fetches an address: its body, at most `PAGE_BYTES`. Raises `BadSet`."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from."""

    base: str
    """The viewer's address, without a trailing slash."""
    dataset: str
    config: str = "default"
    split: str = "test"

    def address(self, offset: int, length: int) -> str:
        """Of a page."""
        asked = {"dataset": self.dataset, "config": self.config, "split": self.split}
        return f"{self.base.rstrip('/')}/rows?{urlencode({**asked, 'offset': offset, 'length': length})}"


@dataclass(frozen=True, slots=True)
class Page:
    """What one answer holds."""

    rows: list[dict[str, Any]]
    cut: int
    """Rows of which a cell was truncated by the viewer: they are not among `rows`."""
    read: int
    """Rows of the answer, cut ones among them."""
    total: int | None
    """Rows of the split; None: not told."""
    classes: Mapping[str, list[str]] = field(default_factory=dict)
    """Names of the classes, by column."""


def page_of(body: bytes) -> Page:
    """Read one answer. Raises `BadSet` for what is none."""
    try:
        told = codec.parse(body)
    except codec.Undecodable:
        raise BadSet(f"the dataset viewer's answer ({len(body)} bytes) is no JSON") from None
    listed = told.get("rows") if isinstance(told, dict) else None
    if not isinstance(told, dict) or not isinstance(listed, list):
        raise BadSet(f"the dataset viewer's answer ({len(body)} bytes) has no rows")
    types = _types(told.get("features"))
    rows, cut = list[dict[str, Any]](), 0
    for one in listed:
        row = one.get("row") if isinstance(one, dict) else None
        if not isinstance(row, dict):
            raise BadSet("a row of the dataset viewer's answer is no object")
        if one.get("truncated_cells"):
            cut += 1
            continue
        rows.append({name: _in_words(value, types.get(name)) for name, value in row.items()})
    total = told.get("num_rows_total")
    classes = {name: found for name, kind in types.items() if (found := _classes(kind))}
    counted = total if isinstance(total, int) and not isinstance(total, bool) else None
    return Page(rows, cut, len(listed), counted, classes)


async def rows(
    source: Source, get: Get, *, limit: int, classes: dict[str, list[str]] | None = None
) -> AsyncIterator[dict[str, Any]]:
    """Rows from the split's beginning, page by page as long as somebody wants more; at most `MOST_PAGES` pages.

    `classes` is given the names of each column's classes, as the pages tell them.
    """
    offset = 0
    for _ in range(MOST_PAGES):
        length = min(PAGE_ROWS, max(1, limit))
        page = page_of(await get(source.address(offset, length)))
        if classes is not None:
            classes.update(page.classes)
        for row in page.rows:
            yield row
        offset += page.read
        if not page.read or (page.total is not None and offset >= page.total):
            return


def _types(features: Any) -> dict[str, Any]:
    told = features if isinstance(features, list) else []
    return {one["name"]: one.get("type") for one in told if isinstance(one, dict) and isinstance(one.get("name"), str)}


def _classes(kind: Any) -> list[str]:
    names = kind.get("names") if isinstance(kind, Mapping) and kind.get("_type") == "ClassLabel" else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _in_words(value: Any, kind: Any) -> Any:
    """Classes by their names, also within lists; -1 is a row without a label."""
    if isinstance(kind, list):  # an older way to say: a list of these
        kind = {"_type": "List", "feature": kind[0] if kind else None}
    if not isinstance(kind, Mapping):
        return value
    if isinstance(value, list):
        return [_in_words(one, kind.get("feature")) for one in value]
    names = kind.get("names")
    if kind.get("_type") != "ClassLabel" or not isinstance(names, list):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(names[value]) if 0 <= value < len(names) else None
    return value
