"""A page of a list out of its bytes: whole where it is clean JSON, else row by row, so that one row that cannot be read
costs itself and not the thousand beside it. Pure.

What a parser refuses as a whole and a stranger may still write: NaN, half of a surrogate pair, bytes that are no UTF-8,
a row nested without end, a page with more objects than one message may have, an answer that breaks off.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from schemas import codec

MOST_MARKS = 4_000_000
"""Texts and brackets of a page that are looked at one by one: some seconds."""
_MARK = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
"""A text, or a bracket outside of texts. A text that is not closed goes to the end: tried anew from each of its quotes
it would take the square of its length."""


@dataclass
class Page:
    """The rows of one answer."""

    rows: list[Any]
    refused: Counter[str] = field(default_factory=Counter)
    """Rows that are not even JSON, by reason: `no_json`, `too_deep`, `not_an_object`."""
    whole: bool = True
    """False: it breaks off, so there were more."""


def page_of(body: bytes) -> Page | None:
    """The rows of a JSON list; None: it is no list."""
    try:
        value = codec.decode(body)
    except codec.Undecodable:
        return _row_by_row(body.decode(errors="replace").lstrip("\ufeff"))
    return Page(value) if isinstance(value, list) else None


def page_under(name: str, body: bytes) -> Page | None:
    """The rows of the list that a JSON object has under a name (`{"object": "list", "data": [...]}`); None: it has
    none."""
    try:
        value = codec.decode(body)
    except codec.Undecodable:
        text = body.decode(errors="replace")
        begins = re.search(rf'"{re.escape(name)}"\s*:\s*(?=\[)', text)
        return None if begins is None else _row_by_row(text[begins.end() :], within=True)
    rows = value.get(name) if isinstance(value, dict) else None
    return Page(rows) if isinstance(rows, list) else None


def _row_by_row(text: str, *, within: bool = False) -> Page | None:
    if not text.lstrip().startswith("["):
        return None
    page = Page([], whole=False)
    depth = deepest = begins = ends = 0
    for number, mark in enumerate(_MARK.finditer(text)):
        if number == MOST_MARKS:
            return page
        sign = mark[0][0]
        if sign in "[{":
            depth += 1
            deepest = max(deepest, depth)
            if depth == 1:
                ends = mark.end()
            elif depth == 2:
                _between(text[ends : mark.start()], page)
                begins, deepest = mark.start(), 2
        elif sign in "]}":
            depth -= 1
            if depth == 1:
                ends = mark.end()
                _row(text[begins:ends], deepest - 1, page)
            elif depth == 0:
                _between(text[ends : mark.start()], page)
                page.whole = sign == "]" and (within or not text[mark.end() :].strip())
                return page
    return page


def _row(text: str, depth: int, page: Page) -> None:
    if depth > codec.MAX_DEPTH:
        page.refused["too_deep"] += 1
        return
    try:
        try:
            page.rows.append(codec.decode(text.encode()))
        except codec.Undecodable:
            # Python's own reader takes NaN and halves of surrogate pairs: fields with them are left out later.
            page.rows.append(json.loads(text))
    except ValueError:
        page.refused["no_json"] += 1


def _between(text: str, page: Page) -> None:
    """What stands between two rows should be a comma; values that are no objects are refused like other rows."""
    strange = sum(1 for one in text.split(",") if one.strip())
    if strange:
        page.refused["not_an_object"] += strange
