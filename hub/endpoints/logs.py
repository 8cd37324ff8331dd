"""What the logs of an endpoint's containers say in numbers. Pure. The lines may hold content: none of them is kept,
told or logged; who wants to read them asks with `novix endpoints logs`.
"""

import hashlib
import re
from collections.abc import Sequence

from schemas.endpoints import LogCounts

TAIL = 1_000
"""Lines that are pulled at a time; of more within a minute the oldest are not counted."""
MARKED = 3
"""Lines by which the last one that was counted is found again."""
ERROR = re.compile(r"\b(ERROR|CRITICAL|FATAL|Traceback|panicked)\b")
WARNING = re.compile(r"\b(WARN|WARNING)\b")


def counted(known: LogCounts, lines: Sequence[str]) -> LogCounts:
    """`known` with those of `lines`, the oldest first, that are newer than the last one that was counted.

    Where that one is not among them any more, all of them are new.
    """
    begin = next((at + 1 for at in reversed(range(len(lines))) if _mark(lines, at) == known.mark), 0)
    if begin >= len(lines):
        return known
    fresh = lines[begin:]
    errors = sum(1 for line in fresh if ERROR.search(line))
    warnings = sum(1 for line in fresh if WARNING.search(line) and not ERROR.search(line))
    return LogCounts(
        lines=known.lines + len(fresh),
        warnings=known.warnings + warnings,
        errors=known.errors + errors,
        mark=_mark(lines, len(lines) - 1),
    )


def _mark(lines: Sequence[str], at: int) -> str:
    """By which a line is known again: a digest of it and of those before it."""
    text = "\n".join(lines[max(0, at + 1 - MARKED) : at + 1])
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
