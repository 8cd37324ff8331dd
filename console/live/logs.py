"""Log lines of the processes, the newest first: files that `novix up` writes, and those of a folder that is named.

Reading is bounded: of each file the last `MOST_BYTES`, of the lines that fit as many as are wanted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from console.world import read_world
from runtime.credentials import redact
from runtime.settings import Settings
from schemas import codec

MOST_BYTES = 8_388_608
"""Of one file, from its end."""
MOST_FILES = 64
BLOCK_BYTES = 65_536
MOST_LINES = 1_000
LINE_SHOWN_BYTES = 8_192
"""Of one line; what is longer is cut before it is looked at."""
LEVELS = ("debug", "info", "warning", "error", "critical")
SUFFIXES = (".log", ".json", ".jsonl", ".ndjson")
TEXT = "text"
"""The level of a line that is no JSON: a traceback, or another program's."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of one file."""

    at_ms: int | None
    """None: it says no time, and no line after it does."""
    process: str
    """The file's name without its suffix."""
    level: str
    event: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines. Empty: all."""

    trace: str = ""
    """In any field."""
    job: str = ""
    """An id, in any field."""
    level: str = ""
    """This one and graver ones."""
    event: str = ""
    """What the event's name begins with."""
    process: str = ""

    def takes(self, line: Line) -> bool:
        """Whether a line is one of them. A line without a time of its own or a level is text, and fits no filter."""
        if (self.event or self.level or self.trace or self.job) and line.level == TEXT:
            return False
        if self.event and not line.event.startswith(self.event):
            return False
        if self.level in LEVELS and (line.level not in LEVELS or LEVELS.index(line.level) < LEVELS.index(self.level)):
            return False
        return all(_names(line, text) for text in (self.trace, self.job) if text)


@dataclass(frozen=True, slots=True)
class Found:
    """The lines, and how far back was looked."""

    lines: list[Line]
    files: list[str]
    """Names of those that were read."""
    is_cut: bool
    """More lines fit, or a file is longer than is read of it."""


def files(settings: Settings) -> dict[str, Path]:
    """The log files by process: those that the state file of `novix up` tells of, then those in `NOVIX_LOG_DIR`."""
    found: dict[str, Path] = {}
    world = read_world(settings.home)
    if world is not None:
        found = {process.name: Path(process.log) for process in world.processes if process.log}
        found["supervisor"] = settings.home / "logs" / "supervisor.log"
    if settings.log_dir:
        try:
            named = sorted(path for path in Path(settings.log_dir).expanduser().iterdir() if path.suffix in SUFFIXES)
        except OSError:
            named = []
        for path in named:
            found.setdefault(path.stem, path)
    return {name: path for name, path in list(found.items())[:MOST_FILES] if path.is_file()}


def read(known: Mapping[str, Path], wanted: Wanted, limit: int) -> Found:
    """The newest `limit` lines that fit, over all files by their time. Blocks; a file that cannot be read is passed
    over."""
    limit = min(limit, MOST_LINES)
    names = [name for name in known if wanted.process in ("", name)]
    lines: list[Line] = []
    is_cut = False
    for name in names:
        try:
            taken, more = _of_file(name, known[name], wanted, limit)
        except OSError:
            continue
        lines += taken
        is_cut = is_cut or more
    lines.sort(key=lambda line: -1 if line.at_ms is None else line.at_ms, reverse=True)
    return Found(lines[:limit], names, is_cut or len(lines) > limit)


def _of_file(name: str, path: Path, wanted: Wanted, limit: int) -> tuple[list[Line], bool]:
    taken: list[Line] = []
    newest: int | None = int(path.stat().st_mtime * 1_000)  # a traceback at the end says no time
    needles = [text.encode() for text in (wanted.trace,) if text]
    for raw, is_last in _backwards(path):
        if is_last is None:
            return taken, True
        if any(needle not in raw for needle in needles):
            continue
        line = _line(name, raw, newest)
        newest = line.at_ms
        if wanted.takes(line):
            if len(taken) == limit:
                return taken, True
            taken.append(line)
    return taken, False


def _backwards(path: Path) -> Iterator[tuple[bytes, bool | None]]:
    """The lines from the last to the first; at the bound one that says None."""
    with path.open("rb") as source:
        end = source.seek(0, 2)
        stop, rest = max(0, end - MOST_BYTES), b""
        while end > stop:
            start = max(stop, end - BLOCK_BYTES)
            source.seek(start)
            block = source.read(end - start) + rest
            rest, *whole = block.split(b"\n")
            for line in reversed(whole):
                if line.strip():
                    yield line[:LINE_SHOWN_BYTES], False
            # Of a line that goes on and on its beginning counts: what stands behind is let go.
            rest, end = rest[:LINE_SHOWN_BYTES], start
        if stop:
            yield b"", None
        elif rest.strip():
            yield rest[:LINE_SHOWN_BYTES], True


def _line(name: str, raw: bytes, newer: int | None) -> Line:
    try:
        told = codec.decode(raw)
    except codec.Undecodable:
        told = None
    if not isinstance(told, dict):
        return Line(newer, name, TEXT, redact(raw.decode("utf-8", "replace")), {})
    fields = {str(key): redact(value) if isinstance(value, str) else value for key, value in told.items()}
    level, event = str(fields.pop("level", "info")), str(fields.pop("event", ""))
    at = _instant(fields.pop("timestamp", None))
    return Line(newer if at is None else at, name, level, event, fields)


def _instant(text: Any) -> int | None:
    if not isinstance(text, str):
        return None
    try:
        told = datetime.fromisoformat(text)
        return int((told if told.tzinfo is not None else told.replace(tzinfo=UTC)).timestamp() * 1_000)
    except (ValueError, OverflowError):
        return None


def _names(line: Line, text: str) -> bool:
    """Whether a field is that text, or a path with it: an id stands in `tenant/id` and in `tenant/id/1`."""
    told = [value for value in line.fields.values() if isinstance(value, str)]
    return any(value == text or text in value.split("/") or value.startswith(f"{text}/") for value in told)
