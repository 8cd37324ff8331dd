"""I6, the other way round: what an installation still holds when nothing is left to be done, and what it leaves behind.

A place in a window that is never given back shows nowhere else until there is none left. Pure, but for the files.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Held = Mapping[str, int]


def held(state: Mapping[str, Any]) -> dict[str, Held]:
    """What the engines of one process hold, by their topic; those that hold nothing are left out.

    `state` is what the process says on /healthz: the state of one engine, or of several by their names.
    """
    found: dict[str, Held] = {}
    for engine in [state, *(part for part in state.values() if isinstance(part, dict))]:
        if "window" in engine:
            window, behind = engine["window"], engine["behind_their_key"]
            holds = {name: window[name] for name in ("used", "on_hold", "bytes")}
            holds |= {f"{name} behind their key": behind[name] for name in ("records", "bytes")}
            if any(holds.values()):
                found[engine["topic"]] = {name: number for name, number in holds.items() if number}
    return found


def notes_left(folder: Path) -> Iterator[str]:
    """Notes of calls that nobody has forgotten although every record is committed, by file."""
    for file in sorted(folder.rglob("*.sqlite")):
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if {"journal", "calls"} <= tables:
                rows = db.execute("SELECT lane, offset, attempt FROM calls ORDER BY seq").fetchall()
                if rows:
                    yield f"I5: {len(rows)} notes of calls are left although all is committed: {rows[:3]}"
