"""CSV that spreadsheets show and do not compute. Pure."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from console.pages.render import visible

LONGEST_CELL = 32_000
"""Characters; a spreadsheet's cell has room for 32,767."""
FLUSH_CHARS = 65_536
_FORMULA = re.compile(r"^(?:[\t\r\n]|[\s\"]*[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""Some drop spaces and quotation marks before it, and compute the full-width forms of `=`, `+`, `-` and `@` as well."""


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """RFC 4180: a header, CRLF, quotation marks where they are needed. No cell is a formula to a spreadsheet."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell(row.get(name)) for name in columns])
        if buffer.tell() > FLUSH_CHARS:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def cell(value: object) -> str:
    """A value as text that a spreadsheet shows and does not compute (OWASP, "CSV Injection"): what begins as a formula
    does gets an apostrophe. Numbers of ours stay numbers."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    shown = visible(value, LONGEST_CELL)
    return f"'{shown}" if _FORMULA.match(value) or _FORMULA.match(shown) else shown
