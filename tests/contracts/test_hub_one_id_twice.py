"""Two repositories of the Hub that claim one `_id`: both stand in catalogue and index, whichever comes first."""

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hub_entries import Told, filled, names
from hub_rounds import FULL, MODELS, World

from hub.sync import sync as syncing
from hub.sync.book import Book
from hub.sync.store import Store
from sandbox.hf.hub_rows import repository, row
from schemas.catalog import CatalogEntry, Kind
from schemas.discovery import Criteria

AT = datetime(2026, 11, 20, tzinfo=UTC)
ONE, ANOTHER = "a" * 24, "b" * 24
FIRST, SECOND, THIRD = "acme/first", "acme/second", "acme/third"


class Reading:
    """A store and its book; what is written is noted, as the sync does."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.book = Book(self.store)
        self.entries: dict[str, CatalogEntry] = {}
        self.walk = 0

    def full(self, *pages: list[dict[str, Any]], kind: Kind = "model") -> int:
        """How many records a full reading of these pages writes."""
        self.walk += 1
        written = sum(self.page(page, kind=kind, walk=self.walk) for page in pages)
        missing = [key for key, _ in self.store.unseen(kind, self.walk)]
        return written + self.write(self.book.gone(missing).news, 0)

    def page(self, rows: list[dict[str, Any]], *, kind: Kind = "model", walk: int = 0) -> int:
        taken = self.book.rows(kind, rows, AT, walk=walk)
        self.write(taken.news, walk)
        self.store.seen(taken.same, walk)
        return len(taken.news)

    def write(self, news: list[tuple[str, CatalogEntry | None]], walk: int) -> int:
        self.store.note(news, walk)
        for key, entry in news:
            if entry is None:
                self.entries.pop(key, None)
            else:
                self.entries[key] = entry
        return len(news)

    def told(self) -> dict[str, tuple[str, ...]]:
        """Id and former ids of all that stands."""
        return {entry.id: entry.formerly for entry in self.entries.values()}


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return Reading(tmp_path / "hub")


def repo(name: str, hub_id: str | None = ONE, **more: Any) -> dict[str, Any]:
    return {"id": name, "_id": hub_id, "likes": 3, **more}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", list(itertools.permutations((FIRST, SECOND, THIRD))))
def test_names_that_one_full_reading_tells_all_stand_and_none_has_anothers_history(reading, order, together):
    """On one page or on three, in any order; the next reading, in any order, writes nothing."""
    pages = [[repo(name) for name in order]] if together else [[repo(name)] for name in order]

    reading.full(*pages)

    assert reading.told() == {FIRST: (), SECOND: (), THIRD: ()}
    assert reading.full(*reversed(pages)) == reading.full([repo(name) for name in order]) == 0


@pytest.mark.parametrize("order", [(FIRST, SECOND), (SECOND, FIRST)])
def test_what_looked_like_a_renaming_is_put_right_by_the_readings_of_everything(reading, order):
    """A look at what changed tells only the new name: nobody can know yet. Both stand after the next full reading;
    after one more no history is left that was another's; then nothing is written."""
    reading.full([repo(FIRST)])
    reading.page([repo(SECOND)])
    assert reading.told() == {SECOND: (FIRST,)}

    pages = [[repo(name)] for name in order]
    reading.full(*pages)
    assert set(reading.told()) == {FIRST, SECOND}
    reading.full(*pages)

    assert reading.told() == {FIRST: (), SECOND: ()}
    assert reading.full(*pages) == 0


def test_a_third_name_of_two_that_stand_takes_the_place_of_neither(reading):
    """Which of them it was before nobody knows."""
    reading.full([repo(FIRST), repo(SECOND)])

    reading.page([repo(THIRD)])

    assert reading.told() == {FIRST: (), SECOND: (), THIRD: ()}


def test_a_renaming_is_still_one_when_the_old_name_is_another_repository_by_now(reading):
    """On the same page, and when the old name comes back to it."""
    reading.full([repo(FIRST)])
    reading.page([repo(FIRST, ANOTHER), repo(SECOND)])
    assert reading.told() == {FIRST: (), SECOND: (FIRST,)}

    reading.full([repo(FIRST, ANOTHER)], [repo(THIRD)])

    assert reading.told() == {FIRST: (), THIRD: (FIRST, SECOND)}
    reading.page([repo(SECOND)])
    assert reading.told() == {FIRST: (), SECOND: (FIRST, THIRD)}


def test_a_data_set_is_never_taken_for_a_model_of_the_same_id(reading):
    """Kinds are read one by one."""
    reading.full([repo(FIRST)])
    reading.full([repo(SECOND)], kind="dataset")

    assert set(reading.entries) == {f"model/{FIRST}", f"dataset/{SECOND}"}
    assert reading.told() == {FIRST: (), SECOND: ()}


def test_a_look_at_one_repository_takes_no_others_place(reading):
    """The Hub's answer for a name says that it is there, and of others nothing."""
    reading.full([repo(FIRST)])
    entry = reading.entries[f"model/{FIRST}"]

    reading.write(reading.book.entry(entry.model_copy(update={"id": SECOND})).news, 0)

    assert reading.told() == {FIRST: (), SECOND: ()}


async def test_the_sync_and_the_index_have_both_and_an_index_made_anew_is_the_same(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Against the sandbox's Hub, on small pages: the topic, its index, and one of the newest records alone."""
    monkeypatch.setattr(syncing.walk.begin, "__kwdefaults__", {"page": 7})
    claimed = row(0, 3)["_id"]
    for number in (40, 90):
        change = {"_id": claimed}
        await world.hub.post("/sandbox/hub/change", params={"id": repository(0, number)}, json=change)
    sync = world.sync()
    await sync.round(MODELS)
    three = {repository(0, number) for number in (3, 40, 90)}

    assert {one.id for one in world.entries.values() if one.hub_id == claimed} == three
    assert not [one.id for one in world.entries.values() if one.formerly]
    assert (await sync.round(FULL)).written == 0
    changes = [
        ((one.key or b"").decode(), None if one.value is None else CatalogEntry.model_validate_json(one.value))
        for one in world.log
        if one.topic == "novix.catalog.v1"
    ]
    index, again = filled(tmp_path / "index", ()), filled(tmp_path / "again", reversed(world.entries.values()))
    index.apply(changes)
    assert index.state_hash() == again.state_hash()
    for name in three:
        found = names(index.search(Criteria(text=name), known=Told()))
        assert found[0] == name
