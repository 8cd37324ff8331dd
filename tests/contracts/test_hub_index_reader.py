"""The catalogue's topic becomes the index, whatever stands in its records; nothing that is gone stays."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from console_world import MemoryLog, MemoryReader
from hub_entries import NOW, entry, generated

from console.hub import reader as reading
from console.hub.port import NotThere
from console.hub.reader import CatalogReader, Intake, change_of, folder_of, opened, the_only_writer
from hub.discovery.known import Unknown
from hub.index.file import NAME, Damaged
from hub.index.store import Index
from runtime.ports import Outgoing, Record
from runtime.settings import Settings
from schemas.catalog import CatalogEntry
from schemas.discovery import Criteria
from schemas.topics import CATALOG


def put(log: MemoryLog, *entries: CatalogEntry, gone: tuple[str, ...] = ()) -> None:
    for one in entries:
        log.append(Outgoing(CATALOG.name, one.key.encode(), one.model_dump_json().encode()))
    for key in gone:
        log.append(Outgoing(CATALOG.name, key.encode(), None))


async def caught_up(index: Index, log: MemoryLog, later: timedelta = timedelta()) -> Intake:
    intake = Intake(index, now=lambda: NOW + later)
    await intake.catch_up(MemoryReader(log))
    return intake


async def test_a_topic_read_in_two_pieces_gives_the_index_that_one_piece_gives(tmp_path):
    """The position goes on where it was, and updates and deletions count."""
    log, first = MemoryLog(), Index(tmp_path / "a")
    entries = generated(120)
    put(log, *entries[:80])
    await caught_up(first, log)
    changed = [one.model_copy(update={"likes": 77}) for one in entries[:20]]
    put(log, *entries[80:], *changed, gone=tuple(one.key for one in entries[20:30]))
    await caught_up(first, log)
    whole = Index(tmp_path / "b")
    intake = await caught_up(whole, log)

    assert first.counts()["model"] == 110
    assert first.state_hash() == whole.state_hash()
    assert first.position() == whole.position() == {n: len(log.records.get((CATALOG.name, n), ())) for n in range(6)}
    assert intake.records == 150
    assert intake.not_read == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"model/a/b", b"not json"), (b"model/a/b", b"{}"), (b"model/a/b", b'{"id":"c/d"}'), (b"", b'{"id":"a/b"}'),
        (None, None), (b"\xff\xfe", None), (b"model/a/b", b'{"id":"a/b","downloads":-1}'),
    ],
)  # fmt: skip
def test_a_record_that_is_no_entry_under_its_own_key_changes_nothing(key, value):
    """Bytes of strangers."""
    assert change_of(Record(CATALOG.name, 0, 0, key, value, (), 0)) is None


async def test_what_cannot_be_read_is_counted_and_passed_over(tmp_path):
    """The records behind it are read."""
    log, index = MemoryLog(partitions=1), Index(tmp_path)
    put(log, entry("a/one"))
    log.append(Outgoing(CATALOG.name, b"model/a/bad", b"\x00\x01"))
    put(log, entry("a/two"))

    intake = await caught_up(index, log)

    assert (intake.not_read, index.counts()["model"], index.position()) == (1, 2, {0: 3})


async def test_whoever_was_away_longer_than_deletions_are_kept_reads_all_again_and_drops_what_is_not_there(
    tmp_path, monkeypatch
):
    """Kafka has forgotten the tombstone of `a/two`; nothing in the new records says that it is gone."""
    monkeypatch.setattr(reading, "READ_ANEW", 0)
    log, index = MemoryLog(partitions=1), Index(tmp_path)
    put(log, entry("a/one"), entry("a/two"), entry("a/three"))
    await caught_up(index, log)
    rows = log.records[CATALOG.name, 0]
    del rows[1]  # compacted away, tombstone and all
    rows[:] = [
        Record(one.topic, 0, at, one.key, one.value, one.headers, one.timestamp_ms) for at, one in enumerate(rows)
    ]
    put(log, entry("a/four"))

    await caught_up(index, log, timedelta(hours=1))
    assert "model/a/two" in index.every_key()
    await caught_up(index, log, timedelta(hours=14))

    assert index.every_key() == ["model/a/one", "model/a/three", "model/a/four"]


async def test_a_topic_that_is_shorter_than_what_was_read_is_another_one(tmp_path, monkeypatch):
    """A world that was made anew under the same address."""
    monkeypatch.setattr(reading, "READ_ANEW", 0)
    log, index = MemoryLog(partitions=1), Index(tmp_path)
    put(log, entry("a/one"), entry("a/two"))
    await caught_up(index, log)

    other = MemoryLog(partitions=1)
    put(other, entry("b/new"))
    await caught_up(index, other)

    assert index.every_key() == ["model/b/new"]


async def test_a_small_topic_is_read_anew_at_every_opening(tmp_path):
    """So that another world's topic of the same length is noticed too."""
    log, other, index = MemoryLog(partitions=1), MemoryLog(partitions=1), Index(tmp_path)
    put(log, entry("a/one"))
    put(other, entry("b/one"))
    await caught_up(index, log)

    await caught_up(index, other)

    assert index.every_key() == ["model/b/one"]


class Live(MemoryReader):
    """A reader that follows too, as `KafkaReader` does."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__(log)

    def follow(self, topic: str, starts: dict[int, int]) -> AsyncIterator[Record]:
        return self.log.follow(topic, starts)

    async def __aenter__(self) -> "Live":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


@contextlib.asynccontextmanager
async def running(log: MemoryLog, folder: Path, monkeypatch) -> AsyncIterator[CatalogReader]:
    monkeypatch.setattr(reading, "KafkaReader", lambda settings: Live(log))
    monkeypatch.setattr(reading, "AGAIN_S", 0.02)
    async with CatalogReader(Settings(), folder) as reader:
        yield reader


async def until(condition, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_change_is_found_a_moment_after_it_was_written(tmp_path, monkeypatch):
    """While the process runs; a search is answered from what is there."""
    log = MemoryLog(partitions=2)
    put(log, entry("a/bert"))
    async with running(log, tmp_path, monkeypatch) as reader:
        with pytest.raises(NotThere, match="being opened"):
            reader.index()
        await until(lambda: reader.caught_up)
        assert reader.index().get("model/a/bert") == entry("a/bert")
        one = entry("b/zephyr", downloads=4)
        await log.publish([Outgoing(CATALOG.name, one.key.encode(), one.model_dump_json().encode())])
        await until(lambda: reader.index().get(one.key) == one)
        found = reader.index().search(Criteria(text="zephyr"), known=Unknown())
        assert [hit.entry.id for hit in found.models] == ["b/zephyr"]
        assert reader.state() == {"records": 2, "not_read": 0, "caught_up": True, "fault": None}


async def test_an_index_that_is_damaged_while_it_is_used_is_made_anew(tmp_path, monkeypatch):
    """Its tables are gone: the topic fills it again, and the process goes on."""
    log = MemoryLog(partitions=1)
    put(log, *generated(30))
    async with running(log, tmp_path, monkeypatch) as reader:
        await until(lambda: reader.caught_up)
        connection = reader.index()._connection
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM block")
        connection.execute("UPDATE entry SET body = zeroblob(10), words = zeroblob(1)")
        changed = [one.model_copy(update={"tags": ("changed",), "downloads": 10**7}) for one in generated(30)]
        await log.publish([Outgoing(CATALOG.name, one.key.encode(), one.model_dump_json().encode()) for one in changed])

        def is_there() -> bool:
            with contextlib.suppress(Damaged):
                return reader.fault is None and reader.index().get(changed[4].key) == changed[4]
            return False

        await until(is_there)
        assert reader.index().counts()["model"] == 30


async def test_damage_that_a_search_finds_makes_the_index_anew(tmp_path, monkeypatch):
    """Nothing need be written for it to be noticed."""
    monkeypatch.setattr(reading, "GROWTH_S", 0.1)
    log = MemoryLog(partitions=1)
    put(log, *generated(30))
    async with running(log, tmp_path, monkeypatch) as reader:
        await until(lambda: reader.caught_up)
        reader.index()._connection.execute("UPDATE entry SET body = zeroblob(10)")
        with pytest.raises(Damaged):
            reader.index().search(Criteria(), known=Unknown())

        await until(lambda: reader.fault is None and not reader.index().damaged)
        assert reader.index().search(Criteria(), known=Unknown()).models


async def test_one_process_fills_an_index_and_others_read_it(tmp_path):
    """A command beside the console sees what the console has; without one it reads the topic itself."""
    log = MemoryLog(partitions=1)
    put(log, entry("a/one"))
    settings = Settings(home=tmp_path)

    async with opened(settings, MemoryReader(log)) as index:
        assert (index.writes, index.every_key()) == (True, ["model/a/one"])
        put(log, entry("a/two"))
        async with opened(settings, MemoryReader(log)) as other:
            assert (other.writes, other.every_key()) == (False, ["model/a/one"])
    with the_only_writer(folder_of(settings)) as mine:
        assert mine
    assert (folder_of(settings) / NAME).exists()
    async with opened(settings, MemoryReader(log)) as index:
        assert index.every_key() == ["model/a/one", "model/a/two"]


async def test_damage_that_only_the_preparation_meets_does_not_keep_the_index_from_being_made_anew(tmp_path):
    """The file opens, its entries cannot be read: the intake begins again with an empty one, under the same lock."""
    log, first = MemoryLog(partitions=1), Index(tmp_path / "index")
    put(log, *generated(30))
    await caught_up(first, log)
    before = first.state_hash()
    first._connection.execute("UPDATE entry SET body = zeroblob(9)")
    first.close()
    reader = CatalogReader(Settings(home=tmp_path), tmp_path / "index")

    index = reader._opened()

    assert index.damaged
    with pytest.raises(Damaged):
        await caught_up(index, log)
    reader._index = index
    await reader._damaged(Damaged())
    await caught_up(index, log)
    assert index.state_hash() == before
    await reader.__aexit__(None, None, None)
