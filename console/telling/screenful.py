"""A story on one screen: labelled rows, wrapped and cut. Pure.

Whatever a row says, what comes out has no control character, no line that is wider than the screen, and no more lines
than it may have; long lists and long words are cut and say so.
"""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from console.words import shown

WIDTH = 100
MOST_LINES = 40
LABEL = 11
"""Columns of the label, a space included."""
LONGEST_ROW = 600
"""Characters of a row; a name of a stranger's may have a million."""
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled statement; without a label it goes on from the row before."""

    label: str
    text: str


def named(told: object, most: int = LONGEST_NAME) -> str:
    """A stranger's word as it stands in a sentence: one line, nothing that moves a cursor, about `most` characters."""
    text = str(told)
    if len(text) > most:
        text = f"{text[:most]}... ({len(text):,} characters)"
    return shown(" ".join(text.split()))


def listed(
    label: str, items: Sequence[str], command: str, *, first: int, last: int = 0, everything: bool = False
) -> list[Row]:
    """Rows of a list: its first and last ones, between them how many more there are and the command that tells all."""
    more = len(items) - first - last
    if everything or more <= 0:
        return [Row(label, item) for item in items]
    cut = Row("", f"and {more:,} more: {command} --all")
    return [
        *(Row(label, item) for item in items[:first]),
        cut,
        *(Row(label, item) for item in items[len(items) - last :]),
    ]


def screenful(body: Iterable[Row], after: Iterable[Row], command: str, *, everything: bool = False) -> list[str]:
    """The rows as lines. Of a body that is too long its end is left out, never `after`."""
    head = [line for row in body for line in _lines(row)]
    tail = [line for row in after for line in _lines(row)]
    room = MOST_LINES - len(tail)
    if not everything and len(head) > room:
        hidden = len(head) - room + 1
        head = [*head[: room - 1], " " * LABEL + f"and {hidden} more lines: {command} --all"[: WIDTH - LABEL]]
    return [*head, *tail]


def _lines(row: Row) -> list[str]:
    text = row.text if len(row.text) <= LONGEST_ROW else f"{row.text[:LONGEST_ROW]} ..."
    text = " ".join(shown(text).split())
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{row.label:<{LABEL}}",
        subsequent_indent=" " * LABEL,
        break_on_hyphens=False,
    ) or [row.label]
