"""The index follows from the entries alone, survives what happens to its files, and forgets what is gone."""

import random
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hub_entries import Told, entry, filled, generated, names, offer

from hub.discovery.known import Unknown
from hub.index import file
from hub.index.file import NAME, VECTORS, Damaged, NoIndex
from hub.index.store import Index
from schemas.discovery import Criteria


def found(index: Index, text: str = "", **criteria: object) -> list[str]:
    return names(index.search(Criteria.model_validate({"text": text, **criteria}), known=Unknown()))


def test_the_same_entries_in_any_order_with_updates_and_deletions_on_the_way_give_the_same_state(tmp_path):
    """Two histories that end alike: one straight, one shuffled, with older versions and with others that went again."""
    entries = generated(600)
    straight = filled(tmp_path / "a", entries)
    other = Index(tmp_path / "b")
    dice = random.Random(5)
    older = [
        one.model_copy(update={"downloads": 7, "tags": ("old",), "served": ()}) for one in dice.sample(entries, 200)
    ]
    passing = [
        one.model_copy(update={"id": f"gone/{one.id[:40].replace('/', '-')}"}) for one in dice.sample(entries, 150)
    ]
    other.apply((one.key, one) for one in [*older, *passing])
    other.apply((one.key, None) for one in passing)
    shuffled = dice.sample(entries, len(entries))
    for start in range(0, len(shuffled), 37):
        other.apply((one.key, one) for one in shuffled[start : start + 37])

    assert other.counts() == straight.counts()
    assert other.state_hash() == straight.state_hash()
    for criteria in ({"text": "bert"}, {}, {"order": "downloads", "limit": 100}, {"text": "sentiment german"}):
        assert found(other, **criteria) == found(straight, **criteria)


def test_the_state_is_the_same_after_the_files_were_closed_and_opened(tmp_path):
    """What is in memory is what is on the disk."""
    index = filled(tmp_path, generated(300))
    index.apply([], position={0: 17, 3: 5}, notes={"as_of": "2026-11-20T12:00:00+00:00"})
    before, hits = index.state_hash(), found(index, "roberta")
    index.close()

    again = Index(tmp_path)

    assert (again.state_hash(), found(again, "roberta")) == (before, hits)
    assert (again.position(), again.note("as_of")) == ({0: 17, 3: 5}, "2026-11-20T12:00:00+00:00")


@pytest.mark.parametrize("field", ["downloads", "tags", "served", "description", "languages"])
def test_a_state_of_other_entries_is_another_one(tmp_path, field):
    """One field of one of them is enough."""
    entries = generated(50)
    changed = {"downloads": 12_345, "tags": ("another",), "served": (offer("another"),), "description": "another",
               "languages": ("sw",)}[field]  # fmt: skip
    other = [entries[0].model_copy(update={field: changed}), *entries[1:]]

    assert filled(tmp_path / "a", entries).state_hash() != filled(tmp_path / "b", other).state_hash()


@pytest.mark.parametrize(
    "damage",
    [
        "INSERT INTO fts (rowid, name) VALUES (99, 'bert')",
        "UPDATE entry SET digest = zeroblob(16) WHERE row = 2",
        "UPDATE word SET text = 'other' WHERE text = 'transformers'",
    ],
)
def test_the_state_tells_when_a_table_says_something_else(tmp_path, damage):
    """It is taken from what is stored, not from what was once given."""
    index = filled(tmp_path, generated(20))
    before = index.state_hash()

    index._connection.execute(damage)

    assert index.state_hash() != before


def test_the_state_tells_when_numbers_or_vectors_are_others(tmp_path):
    """Columns and the embeddings' file count too."""
    index = filled(tmp_path, generated(20))
    before = index.state_hash()
    index.columns["likes"][3] += 1
    changed = index.state_hash()
    index.columns["likes"][3] -= 1
    index.vectors.put([4], index.vectors.read(np.array([5])))

    assert before not in (changed, index.state_hash())


def test_what_is_gone_is_found_by_nothing_and_its_place_is_taken(tmp_path):
    """Words, tags, meaning, id: none leads to it; the next entry has its row."""
    index = filled(tmp_path, [entry("a/zephyr-beta", tags=["rare-tag"], languages=["sw"]), entry("a/other")])
    row = index.rows(["model/a/zephyr-beta"])["model/a/zephyr-beta"]

    assert index.apply([("model/a/zephyr-beta", None)]) == 1

    assert index.get("model/a/zephyr-beta") is None
    assert found(index, "zephyr") == found(index, tags=["rare-tag"]) == found(index, languages=["sw"]) == []
    assert found(index) == ["a/other"]
    index.apply([("model/a/third", entry("a/third", tags=["fresh"]))])
    assert index.rows(["model/a/third"]) == {"model/a/third": row}
    assert found(index, tags=["rare-tag"]) == []
    assert found(index, "third", tags=["fresh"]) == ["a/third"]


def test_an_entry_that_says_the_same_again_is_not_written(tmp_path):
    """A record may arrive twice."""
    entries = generated(30)
    index = filled(tmp_path, entries)

    assert index.apply((one.key, one) for one in entries) == 0
    assert index.apply([("model/never/there", None)]) == 0


def test_the_newest_of_a_key_in_one_batch_counts(tmp_path):
    """Also when it is a deletion, or comes after one."""
    index = Index(tmp_path)
    first, second = entry("a/b", downloads=1), entry("a/b", downloads=2)

    index.apply([("model/a/b", first), ("model/a/b", second)])
    assert index.get("model/a/b") == second
    index.apply([("model/a/b", first), ("model/a/b", None)])
    assert index.get("model/a/b") is None
    index.apply([("model/a/b", None), ("model/a/b", first)])
    assert index.get("model/a/b") == first


def test_words_that_an_update_took_away_find_it_no_more_though_its_use_grew(tmp_path):
    """More downloads move it in the full-text table; what it was found by before is taken out there too."""
    index = filled(tmp_path, [entry("a/bert", tags=["zebra"], downloads=1)])

    index.apply([("model/a/bert", entry("a/bert", tags=["giraffe"], downloads=10**7))])

    assert found(index, "zebra", limit=1) == []
    assert found(index, "giraffe") == ["a/bert"]
    assert len(index.reader.execute("SELECT rowid FROM fts WHERE fts MATCH 'bert'").fetchall()) == 1


def test_a_key_that_is_another_entrys_is_refused(tmp_path):
    """Nothing of the batch is written."""
    index = Index(tmp_path)

    with pytest.raises(ValueError, match=r"model/a/b.*model/c/d"):
        index.apply([("model/c/d", entry("a/b"))])

    assert index.counts()["model"] == 0


def test_a_batch_that_cannot_be_written_changes_nothing_and_the_next_can(tmp_path):
    """The disk is full in the middle of it: memory goes back to what the file has."""
    index = filled(tmp_path, generated(100))
    before = index.state_hash()
    pages = index._connection.execute("PRAGMA page_count").fetchone()[0]
    index._connection.execute(f"PRAGMA max_page_count = {pages}")
    more = [one for one in generated(400, seed=2) if one.key not in {old.key for old in generated(100)}]

    with pytest.raises(sqlite3.OperationalError, match="full"):
        index.apply((one.key, one) for one in more)

    assert index.state_hash() == before
    assert index.counts()["model"] == 100
    index._connection.execute("PRAGMA max_page_count = 1000000")
    assert index.apply((one.key, one) for one in more) == len(more)
    assert index.state_hash() == filled(tmp_path / "b", [*generated(100), *more]).state_hash()


@pytest.mark.parametrize("name", [NAME, VECTORS])
def test_an_index_that_is_damaged_is_thrown_away_and_begins_empty(tmp_path, name):
    """At no position: it is read from the topic again."""
    index = filled(tmp_path, generated(300))
    index.apply([], position={0: 300})
    index.close()
    file = tmp_path / name
    file.write_bytes(b"not what was written" if name == NAME else file.read_bytes()[:300])
    if name == NAME:
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"{NAME}{suffix}").unlink(missing_ok=True)

    with pytest.raises(NoIndex, match="cannot be read"):
        Index(tmp_path, writes=False)
    again = Index(tmp_path)

    assert (again.counts()["model"], again.position()) == (0, {})
    again.apply((one.key, one) for one in generated(300))
    assert again.state_hash() == filled(tmp_path / "b", generated(300)).state_hash()


def test_an_index_of_an_older_form_is_thrown_away_too(tmp_path):
    """Words or columns of the same entry have become others since."""
    index = filled(tmp_path, generated(5))
    index._connection.execute("PRAGMA user_version = 1")
    index.close()

    with pytest.raises(NoIndex, match="form 1"):
        Index(tmp_path, writes=False)
    assert Index(tmp_path).counts()["model"] == 0


def test_bytes_of_an_entry_that_changed_on_the_disk_are_told_not_shown(tmp_path):
    """Each entry has a digest beside it."""
    index = filled(tmp_path, [entry("a/b", description="right")])
    other = filled(tmp_path / "other", [entry("a/b", description="wrong")])
    body = other.reader.execute("SELECT body FROM entry").fetchone()[0]
    index._connection.execute("UPDATE entry SET body = ?", (body,))

    with pytest.raises(Damaged, match="damaged"):
        index.get("model/a/b")


def test_who_only_reads_needs_an_index_and_writes_nothing(tmp_path):
    """A command beside the console."""
    with pytest.raises(NoIndex, match="no index"):
        Index(tmp_path / "none", writes=False)
    index = filled(tmp_path, generated(40))
    reader = Index(tmp_path, writes=False)

    assert found(reader, "bert") == found(index, "bert")
    with pytest.raises(NoIndex, match="reading only"):
        reader.apply([])


def test_lists_of_many_changes_do_not_grow_without_end(tmp_path):
    """Replaced lists are left out again: ten thousand changes of one entry take no room."""
    index = filled(tmp_path, generated(20))
    tags = tuple(f"tag-{number}" for number in range(250))
    for turn in range(800):
        index.columns.put([3], [_cells(index, 3, turn, len(tags))])

    assert len(index.columns._words) < 400_000
    assert index.columns.bag(3).tolist() == [800 - 1 + number for number in range(250)]


def _cells(index: Index, row: int, turn: int, length: int):
    from hub.index.columns import RECORD, Cells

    record = tuple(index.columns[name][row] for name in RECORD.names)
    return Cells(record, tuple(turn + number for number in range(length)))


def test_the_files_can_be_read_by_their_owner_only(tmp_path: Path):
    """What tenants look for is nobody else's business."""
    folder = tmp_path / "index"
    filled(folder, generated(2))

    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / NAME).stat().st_mode & 0o077 == (folder / VECTORS).stat().st_mode & 0o077 == 0


def test_files_are_read_beforehand_unless_they_are_large(tmp_path, monkeypatch):
    """A file that is told beforehand is in the system's cache; one that is larger than the limit is left alone."""
    index = filled(tmp_path / "index", [entry(f"a/m{number}") for number in range(50)])
    index.close()
    assert file.foretell(tmp_path / "index")
    assert file.foretell(tmp_path / "nowhere"), "nothing to read is no fault"

    monkeypatch.setattr(file, "MOST_FORETOLD", 10_000)
    assert not file.foretell(tmp_path / "index")


def test_preparing_an_index_changes_nothing_and_damage_is_noticed_by_it(tmp_path):
    """An empty one too. What is found damaged there is known before anybody searches."""
    empty = Index(tmp_path / "empty")
    empty.prepare()
    assert empty.counts()["model"] == 0
    index = filled(tmp_path / "index", generated(60))
    before, hits = index.state_hash(), found(index, "bert")
    index.prepare()
    assert (index.state_hash(), found(index, "bert")) == (before, hits)

    index._connection.execute("UPDATE entry SET body = zeroblob(9)")
    with pytest.raises(Damaged):
        index.prepare()

    assert index.damaged


def test_an_index_made_anew_forgets_where_measured_models_stood(tmp_path):
    """Rows are numbered anew, and the count of changes begins anew with them."""
    index = filled(tmp_path / "index", [entry("a/one"), entry("a/two")])
    known = Told(latencies={"a/two": 5.0})
    assert index.measured(known) == {"a/two": 2}
    index.rebuild()
    index.apply([("model/a/two", entry("a/two"))])

    assert index.measured(known) == {"a/two": 1}
    index.apply([("model/a/two", None)])
    assert index.measured(known) == {}
    index.close()
