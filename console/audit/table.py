"""The signed heads of every lane, in the order of the checkpoints: what each chain is held against. Pure.

A head takes some hundred bytes, and only where a lane has moved: a month of checkpoints every half minute, of twelve
busy lanes, takes a hundred megabytes; a thousand checkpoints one.
"""

import struct
from collections.abc import Mapping
from typing import NamedTuple

from schemas.audit import Checkpoint, TreeHead

_ROW = struct.Struct(">QQIQQ32sQ32s")


class Head(NamedTuple):
    """A lane at a checkpoint."""

    number: int
    """Of the checkpoint."""
    at_ms: int
    run: int
    first: int
    sequence: int
    hash: bytes
    size: int
    root: bytes

    @property
    def order(self) -> tuple[int, int]:
        """What grows from one to the next."""
        return self.run, self.sequence


class HeadTable:
    """All of them."""

    def __init__(self) -> None:
        self._rows: dict[str, bytearray] = {}

    def note(self, checkpoint: Checkpoint) -> str | None:
        """Take a checkpoint's heads; told is a lane that it takes back, which no honest one does."""
        at_ms, back = round(checkpoint.at.timestamp() * 1_000), None
        for head in checkpoint.heads:
            row = _row(checkpoint.number, at_ms, head)
            rows = self._rows.setdefault(head.lane, bytearray())
            last = Head(*_ROW.unpack_from(rows, len(rows) - _ROW.size)) if rows else None
            if last is not None and row.order == last.order:
                if row[5:] != last[5:]:
                    back = f"checkpoint {checkpoint.number} signs another content of {head.lane!r} than one before it"
                continue
            if last is not None and row.order < last.order:
                back = (
                    f"checkpoint {checkpoint.number} takes {head.lane!r} back from {last.sequence} to {head.sequence}"
                )
                continue
            rows += _ROW.pack(*row)
        return back

    @property
    def lanes(self) -> Mapping[str, object]:
        """Which lanes there are."""
        return self._rows

    def at(self, lane: str, index: int) -> Head | None:
        """A lane's head, counted from 0; None past the last."""
        rows = self._rows.get(lane, b"")
        return Head(*_ROW.unpack_from(rows, index * _ROW.size)) if (index + 1) * _ROW.size <= len(rows) else None

    def last(self, lane: str) -> Head | None:
        """A lane's newest head."""
        return self.at(lane, len(self._rows.get(lane, b"")) // _ROW.size - 1)


def _row(number: int, at_ms: int, head: TreeHead) -> Head:
    return Head(
        number,
        at_ms,
        head.run,
        head.first,
        head.sequence,
        bytes.fromhex(head.hash),
        head.size,
        bytes.fromhex(head.root),
    )
