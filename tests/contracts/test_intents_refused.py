"""Notes of calls whose write fails: what becomes of them, and of those that came meanwhile."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime import intents_file
from runtime.intents import IntentFile, IntentsUnavailable

LANE = "novix-worker-text.inference.text.v1.2"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "intents" / "lane.sqlite"


def refusing(*_: object) -> None:
    raise sqlite3.OperationalError("no room")


@pytest.fixture
async def intents(path: Path) -> AsyncIterator[IntentFile]:
    async with IntentFile(path) as one:
        yield one


async def test_what_a_failed_write_held_takes_nothing_back_that_was_noted_since(
    intents: IntentFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call ends, or was not made, and is noted; while that write fails the same place of the journal says newer
    things: the call ends otherwise, or is made after all."""
    for offset in (7, 8):
        await intents.begin(LANE, offset, 1, "note")
    write, began, go_on = intents._file.write, asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def refused(*_: object) -> None:
        loop.call_soon_threadsafe(began.set)
        assert go_on.wait(20)
        monkeypatch.setattr(intents._file, "write", write)
        refusing()

    monkeypatch.setattr(intents._file, "write", refused)
    intents.end(LANE, 7, 1, "cut short")
    intents.withdraw(LANE, 8, 1)
    failing = asyncio.create_task(intents.flush())
    await began.wait()
    intents.end(LANE, 7, 1, "answered")
    made = asyncio.create_task(intents.begin(LANE, 8, 1, "made"))
    await asyncio.sleep(0)
    go_on.set()
    await failing
    await made
    await intents.flush()

    async with IntentFile(path) as other:
        left = await other.left(LANE, 0, (), other.custody)
    assert [(note.offset, note.begun, note.ended) for notes in left.values() for note in notes] == [
        (7, "note", "answered"), (8, "made", None),
    ]  # fmt: skip


async def test_what_may_be_forgotten_is_forgotten_although_the_first_write_of_it_fails(
    intents: IntentFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody says so again: the record is committed, and its note would stay for as long as its lane is open."""
    await intents.begin(LANE, 7, 1, "note")
    with monkeypatch.context() as broken:
        broken.setattr(intents._file, "write", refusing)
        intents.forget(LANE, [7])
        await intents.flush()
    await intents.begin(LANE, 8, 1, "note")

    async with IntentFile(path) as other:
        assert sorted(await other.left(LANE, 0, (), other.custody)) == [8]


async def test_a_write_that_breaks_in_its_middle_holds_the_file_from_nobody(intents: IntentFile, path: Path) -> None:
    """The second of two statements cannot be made: what the first has written is taken back, and the lock let go."""
    intents.end(LANE, 7, 1, "over")
    with pytest.raises(IntentsUnavailable):
        await intents.begin(LANE, 7, 1, "no text: \ud800")
    async with IntentFile(path) as other:
        await other.begin(LANE, 8, 1, "theirs")
    await intents.begin(LANE, 9, 1, "mine")
    async with IntentFile(path) as last:
        assert sorted(await last.left(LANE, 0, (), last.custody)) == [8, 9]


async def test_two_short_locks_hours_apart_are_no_long_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=lambda: clock.at, sleep=time.sleep, at=1_000.0)
    monkeypatch.setattr(intents_file, "BUSY_S", 0.05)
    async with IntentFile(path) as intents:
        custody = intents.custody
        monkeypatch.setattr(intents_file, "time", clock)
        for _ in range(2):
            clock.at += 3_600
            with sqlite3.connect(path, isolation_level=None) as holder:
                holder.execute("BEGIN IMMEDIATE")
                with pytest.raises(IntentsUnavailable, match="SQLITE_BUSY"):
                    await intents.begin(LANE, 7, 1, "note")
                holder.execute("ROLLBACK")
            holder.close()
            await intents.begin(LANE, 7, 1, "note")
        assert intents.custody == custody, "another file would be one whose notes nobody can read"
