"""Notes of calls in a file that processes share: what survives them, and what happens to a file that is no good."""

import asyncio
import contextlib
import json
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import poisoned
import pytest

from runtime import intents_file
from runtime.intents import IntentFile, IntentsUnavailable, NoIntents

ROOT = Path(__file__).parents[2]
LANE = "novix-worker-text.inference.text.v1.2"
NOTE_AND_DIE = """
import asyncio, os, sys
from pathlib import Path
from runtime.intents import IntentFile

async def main():
    intents = await IntentFile(Path(sys.argv[1])).__aenter__()
    await asyncio.gather(*(intents.begin(sys.argv[2], offset, 1, f"note {offset}") for offset in range(5, 25)))
    intents.end(sys.argv[2], 6, 1, "failed")
    await intents.flush()
    os._exit(137)

asyncio.run(main())
"""
FILL = """
import asyncio, resource, signal, sys
from pathlib import Path
from runtime.intents import IntentFile, IntentsUnavailable

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async with IntentFile(Path(sys.argv[1])) as intents:
        whole = intents.custody
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, resource.RLIM_INFINITY))
        refused = 0
        for offset in range(40):
            try:
                await intents.begin("lane", offset, 1, "x" * 4_000)
            except IntentsUnavailable:
                refused += 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await intents.begin("lane", 100, 1, "there is room again")
        assert intents.custody == whole, "a full file is not a damaged one"
        assert intents.describe()["trouble"] is None
        print(refused)

asyncio.run(main())
"""


def run(code: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Python in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'support'}"},
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "intents" / "lane.sqlite"


@pytest.fixture
async def intents(path: Path) -> AsyncIterator[IntentFile]:
    async with IntentFile(path) as one:
        yield one


def damage(path: Path) -> None:
    """As a disk or a stray program does it, under a process that has the file open."""
    for end in ("-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    path.write_bytes(b"this is no database" * 1_000)


async def test_what_a_process_noted_before_it_was_killed_is_there_for_the_next(path: Path) -> None:
    died = run(NOTE_AND_DIE, path, LANE)
    assert died.returncode == 137, died.stderr
    async with IntentFile(path) as next_one:
        left = await next_one.left(LANE, 5, (), next_one.custody)

    assert sorted(left) == list(range(5, 25))
    assert (left[5][0].begun, left[5][0].ended) == ("note 5", None)
    assert (left[6][0].begun, left[6][0].ended) == ("note 6", "failed")
    assert {note.owner for notes in left.values() for note in notes} == {left[5][0].owner}


async def test_two_processes_at_once_share_one_file_and_lose_nothing(path: Path) -> None:
    both = await asyncio.gather(*(asyncio.to_thread(run, NOTE_AND_DIE, path, f"{LANE}{at}") for at in range(2)))
    assert [died.returncode for died in both] == [137, 137], [died.stderr for died in both]
    async with IntentFile(path) as one, IntentFile(path) as other:
        assert one.custody == other.custody
        assert len(one.custody) == 12
        int(one.custody, 16)
        lanes = [await one.left(f"{LANE}{at}", 0, (), one.custody) for at in range(2)]

    assert [len(lane) for lane in lanes] == [20, 20]


async def test_whether_the_owner_of_a_note_lives_is_told(path: Path) -> None:
    assert run(NOTE_AND_DIE, path, LANE).returncode == 137
    async with IntentFile(path) as living, IntentFile(path) as next_one:
        await living.begin(LANE, 5, 2, "note")
        left = await next_one.left(LANE, 5, (), next_one.custody)
    assert [note.alive for note in left[5]] == [False, True]
    async with IntentFile(path) as last:
        left = await last.left(LANE, 5, (), last.custody)
    assert [note.alive for note in left[5]] == [False, False]
    assert not list(path.parent.glob("*.alive"))


async def test_a_journal_keeps_its_id_for_as_long_as_its_file_lives(path: Path) -> None:
    async with IntentFile(path) as first:
        custody, owner = first.custody, first.owner
    async with IntentFile(path) as second:
        assert second.custody == custody
        assert second.owner != owner


async def test_what_is_below_the_base_or_finished_or_of_a_clean_owner_is_removed(
    intents: IntentFile, path: Path
) -> None:
    for offset in (3, 7, 8, 9):
        await intents.begin(LANE, offset, 1, "note")
    async with IntentFile(path) as other:
        assert sorted(await other.left(LANE, 5, {8}, other.custody)) == [7, 9]
        assert sorted(await other.left(LANE, 0, (), other.custody)) == [7, 9]
        assert await other.left(LANE, 0, (), "") == {}
        assert await other.left(LANE, 0, (), other.custody) == {}


async def test_notes_of_ones_own_are_told_as_such_written_or_not(intents: IntentFile) -> None:
    await intents.begin(LANE, 7, 1, "note")
    intents.end(LANE, 7, 1, "over")
    ((note,),) = (await intents.left(LANE, 0, (), intents.custody)).values()
    assert (note.ended, note.mine, note.alive) == ("over", True, True)


async def test_several_owners_notes_of_one_record_are_told_in_their_order(path: Path) -> None:
    for number in range(3):
        async with IntentFile(path) as one:
            await one.begin(LANE, 7, 1, f"note {number}")
    async with IntentFile(path) as last:
        left = await last.left(LANE, 0, (), last.custody)
        assert [note.begun for note in left[7]] == ["note 0", "note 1", "note 2"]
        assert len({note.ref for note in left[7]}) == 3
        last.forget(LANE, [7])
    async with IntentFile(path) as after:
        assert await after.left(LANE, 0, (), after.custody) == {}


async def test_a_call_that_was_not_made_leaves_no_note(intents: IntentFile, path: Path) -> None:
    await intents.begin(LANE, 7, 1, "note")
    intents.withdraw(LANE, 7, 1)
    cut_off = asyncio.create_task(intents.begin(LANE, 8, 1, "note"))
    await asyncio.sleep(0)
    cut_off.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cut_off
    await intents.begin(LANE, 9, 1, "note")
    await intents.flush()
    async with IntentFile(path) as other:
        assert sorted(await other.left(LANE, 0, (), other.custody)) == [9]


async def test_a_call_that_ends_after_its_note_was_forgotten_leaves_no_note(intents: IntentFile, path: Path) -> None:
    """It outlasted its partition, and the next owner has committed the record meanwhile."""
    await intents.begin(LANE, 7, 1, "note")
    async with IntentFile(path) as heir:
        assert sorted(await heir.left(LANE, 0, (), heir.custody)) == [7]
        heir.forget(LANE, [7])
        await heir.flush()
        intents.end(LANE, 7, 1, "over")
        await intents.flush()
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT * FROM calls").fetchall() == []


@pytest.mark.parametrize("was_written", [True, False])
async def test_a_call_that_is_made_after_it_was_not_made_keeps_its_note(
    intents: IntentFile, path: Path, was_written: bool
) -> None:
    """The job comes back before the file has heard that its call was not made: both are one place."""
    first = asyncio.create_task(intents.begin(LANE, 7, 1, "note"))
    await asyncio.sleep(0)
    if was_written:
        await first
        intents.withdraw(LANE, 7, 1)
    else:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    await intents.begin(LANE, 7, 1, "made")
    await intents.flush()
    async with IntentFile(path) as other:
        ((note,),) = (await other.left(LANE, 0, (), other.custody)).values()
        assert note.begun == "made"


async def test_a_call_that_is_made_once_more_is_out_once_more(intents: IntentFile, path: Path) -> None:
    await intents.begin(LANE, 7, 1, "first")
    intents.end(LANE, 7, 1, "over")
    await intents.flush()
    await intents.begin(LANE, 7, 1, "second")
    async with IntentFile(path) as other:
        ((note,),) = (await other.left(LANE, 0, (), other.custody)).values()
    assert (note.begun, note.ended) == ("second", None)


async def test_whatever_keeps_a_note_from_being_written_is_told(intents: IntentFile, path: Path) -> None:
    """Not SQLite's errors alone: the file is damaged, and its folder is gone, so no other can take its place."""
    with sqlite3.connect(path) as vandal:
        vandal.execute("DROP TABLE calls")
    vandal.close()
    shutil.rmtree(path.parent)
    async with asyncio.timeout(20):
        with pytest.raises(IntentsUnavailable, match="FileNotFoundError"):
            await intents.begin(LANE, 7, 1, "note")
    custody = intents.custody
    await intents.begin(LANE, 7, 1, "note")
    assert intents.custody not in ("", custody)


async def test_a_file_that_is_found_damaged_when_it_is_read_is_not_the_one_that_was_trusted(path: Path) -> None:
    async with IntentFile(path) as one, IntentFile(path) as other:
        await one.begin(LANE, 7, 1, "note")
        custody = other.custody
        with sqlite3.connect(path) as vandal:
            vandal.execute("DROP TABLE calls")
        vandal.close()
        assert await other.left(LANE, 0, (), custody) == {}
        assert other.custody not in ("", custody), "else nobody counts what cannot be known"


async def test_many_calls_share_a_write(intents: IntentFile, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = []
    write = intents._file.write
    monkeypatch.setattr(intents._file, "write", lambda *batch: (writes.append(len(batch[0])), write(*batch)))
    await asyncio.gather(*(intents.begin(LANE, offset, 1, "note") for offset in range(500)))
    assert sum(writes) == 500
    assert len(writes) <= 3


async def test_while_the_file_is_locked_no_call_may_be_made_and_afterwards_it_may(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intents_file, "BUSY_S", 0.05)
    async with IntentFile(path) as intents:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(IntentsUnavailable, match="SQLITE_BUSY"):
            await intents.begin(LANE, 7, 1, "note")
        with pytest.raises(IntentsUnavailable, match="SQLITE_BUSY"):
            await intents.left(LANE, 0, (), intents.custody)
        assert intents.describe()["trouble"] == "SQLITE_BUSY"
        holder.execute("ROLLBACK")
        holder.close()
        await intents.begin(LANE, 7, 1, "note")
        assert intents.describe()["trouble"] is None


async def test_a_file_that_a_frozen_process_keeps_locked_is_replaced(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intents_file, "BUSY_S", 0.05)
    monkeypatch.setattr(intents_file, "STUCK_S", 0.0)
    async with IntentFile(path) as intents:
        custody = intents.custody
        frozen = sqlite3.connect(path, isolation_level=None)
        frozen.execute("BEGIN IMMEDIATE")
        await intents.begin(LANE, 7, 1, "note")
        assert intents.custody not in ("", custody)
        async with IntentFile(path) as other:
            assert sorted(await other.left(LANE, 0, (), other.custody)) == [7]
        frozen.close()


async def test_an_end_that_could_not_be_written_is_written_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intents_file, "BUSY_S", 0.05)
    async with IntentFile(path) as intents:
        await intents.begin(LANE, 7, 1, "note")
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        intents.end(LANE, 7, 1, "over")
        with pytest.raises(IntentsUnavailable):
            await intents.begin(LANE, 8, 1, "note")
        holder.execute("ROLLBACK")
        holder.close()
    async with IntentFile(path) as other:
        left = await other.left(LANE, 0, (), other.custody)
    assert [(note.offset, note.ended) for notes in left.values() for note in notes] == [(7, "over")]


def test_on_a_full_disk_no_call_may_be_made_and_with_room_it_may(path: Path) -> None:
    told = run(FILL, path)
    assert told.returncode == 0, told.stderr
    assert 0 < int(told.stdout.split()[-1]) < 40


async def test_a_file_that_is_damaged_before_it_is_opened_is_replaced(path: Path) -> None:
    async with IntentFile(path) as first:
        custody = first.custody
    damage(path)
    async with IntentFile(path) as second:
        assert second.custody not in ("", custody)
        await second.begin(LANE, 7, 1, "note")
    async with IntentFile(path) as third:
        assert third.custody == second.custody


async def test_a_file_that_is_damaged_while_it_is_open_is_replaced_and_its_notes_count_as_lost(path: Path) -> None:
    async with IntentFile(path) as intents:
        custody = intents.custody
        await intents.begin(LANE, 7, 1, "note")
        with sqlite3.connect(path) as vandal:
            vandal.execute("DROP TABLE calls")
        vandal.close()
        await intents.begin(LANE, 8, 1, "note")
        assert intents.custody not in ("", custody)
        async with IntentFile(path) as other:
            assert other.custody == intents.custody
            assert sorted(await other.left(LANE, 0, (), other.custody)) == [8]


async def test_two_processes_that_find_the_same_damage_end_with_one_file(path: Path) -> None:
    async with IntentFile(path) as one, IntentFile(path) as other:
        with sqlite3.connect(path) as vandal:
            vandal.execute("DROP TABLE calls")
        vandal.close()
        await asyncio.gather(one.begin(LANE, 7, 1, "note"), other.begin(LANE, 8, 1, "note"))
        await asyncio.gather(one.begin(LANE, 9, 1, "note"), other.begin(LANE, 10, 1, "note"))
        assert one.custody == other.custody
        assert sorted(one.name for one in path.parent.glob("*.sqlite")) == ["lane.1.sqlite", "lane.sqlite"]


async def test_a_file_that_is_deleted_is_another_one_to_the_next_process(path: Path) -> None:
    async with IntentFile(path) as intents:
        await intents.begin(LANE, 7, 1, "note")
        for one in path.parent.glob(f"{path.name}*"):
            one.unlink()
        async with IntentFile(path) as other:
            assert other.custody != intents.custody


async def test_who_notes_nothing_says_so() -> None:
    none = NoIntents()
    await none.begin(LANE, 7, 1, "note")
    none.end(LANE, 7, 1, "over")
    none.withdraw(LANE, 7, 1)
    none.forget(LANE, [7])
    assert (none.custody, none.describe(), await none.left(LANE, 0, (), "0123456789ab")) == ("", {}, {})


def test_a_job_that_kills_its_process_is_found_without_blame_for_those_beside_it(tmp_path: Path) -> None:
    """Three processes die, the fourth gives the poison up and serves the other two."""
    deaths = [forked(tmp_path, out) for out in (3, 3, 1)]
    assert [died for died, _ in deaths] == [poisoned.EXIT] * 3
    lived, told = forked(tmp_path, 1)
    assert lived == 0

    assert told["poison"] == ["GiveUp", "failed", "crashed", ["interrupted"] * 3]
    for other in ("innocent", "bystander"):
        assert told[other] == ["Publish", "succeeded", None, ["interrupted", "interrupted", None]]


def forked(folder: Path, out: int) -> tuple[int | None, Any]:
    """`poisoned.main` in a process of its own: its exit code, and what it told."""
    child = multiprocessing.get_context("fork").Process(target=poisoned.run, args=(folder, out))
    child.start()
    child.join(60)
    told = folder / "told.json"
    return child.exitcode, json.loads(told.read_text()) if told.exists() else None
