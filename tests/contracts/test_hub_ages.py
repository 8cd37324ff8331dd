"""The age of each field's source, from `novix.sources.v1` to the model's page and the command line."""

from datetime import timedelta

from console_world import NOON as STORY_NOON
from console_world import ms
from hub_world import BERT, NOON, MemoryHub, words
from live_world import pages

from console.commands.hub_search import _told
from console.hub.desk import Desk
from console.hub.known import MOST_SOURCES, World
from hub.catalog.ages import ages
from router.catalogue import load
from runtime.ports import Record
from runtime.settings import Settings
from schemas.catalog import CatalogEntry, Said, SourceState
from schemas.topics import SOURCES

HOUR = timedelta(hours=1)


def state(**more) -> SourceState:
    return SourceState.model_validate({"source": "hub", "state": "complete", "at": NOON, **more})


def fold(world: World, *values: bytes | None) -> None:
    for offset, value in enumerate(values):
        world.folds[SOURCES](Record(SOURCES.name, 0, offset, b"x", value, (), ms(STORY_NOON)))


def test_the_newest_state_of_each_source_counts_and_what_is_none_is_passed_over():
    world = World(load(Settings()), None)
    fold(
        world,
        state(complete_at=NOON).encode(), state(kind="space", complete_at=NOON).encode(),
        state(complete_at=NOON + HOUR).encode(), b"\xff garbage", None, b'{"source": "martian"}',
    )  # fmt: skip
    entry = CatalogEntry(id="a/b", said=(Said(source="hub", fields=("tags",), since=NOON - HOUR),))
    desk = Desk(lambda: None, lambda: world)  # type: ignore[arg-type, return-value]

    assert [one.as_of for one in desk.ages(entry)] == [NOON + HOUR]
    assert set(world.sources) == {"hub/model", "hub/space"}
    assert len(world.sources) <= MOST_SOURCES


def test_a_models_page_says_as_of_when_each_source_speaks(tmp_path):
    hub = MemoryHub()
    with pages(tmp_path, hub=hub) as world:
        before = words(world.get(f"/hub/model/{BERT}"))
        hub.states = {"hub/model": state(complete_at=NOON + 30 * HOUR, full_at=NOON + 3 * HOUR)}
        after = words(world.get(f"/hub/model/{BERT}"))
        hub.states = {"hub/model": state(complete_at=NOON + 30 * HOUR, state="failed", error="status 502 <b>")}
        failed = words(world.get(f"/hub/model/{BERT}"))

    assert "as of" in before
    assert "2026-11-23 18:00 UTC" not in before
    assert "2026-11-23 18:00 UTC" in after
    assert "downloads, likes, trend: 2026-11-22 15:00 UTC" in after
    assert "As of unknown" in before, "no source has told when it was read"
    assert "As of 2026-11-22 15:00 UTC, by hub" in after
    assert "its last reading failed: status 502 <b>" in failed


def test_the_command_line_says_the_same():
    entry = CatalogEntry(
        id="a/b", likes=1,
        said=(Said(source="hub", fields=("likes",), since=NOON), Said(source="router", fields=("served",), since=NOON)),
    )  # fmt: skip
    states = {"hub/model": state(complete_at=NOON + 2 * HOUR, full_at=NOON + HOUR, state="failed", error="status 502")}
    document = {
        "latency": None, "cost": None, "quality": None, "approved": None, "why_not": "",
        "analytics": {"popularity": None, "community_rating": None, "usage": None},
    }  # fmt: skip
    lines = _told(entry, document, ages(entry, states))

    assert lines[-2] == (
        "says hub since 2026-11-22 12:00, as of 2026-11-22 14:00 (downloads, likes, trend: 2026-11-22 13:00); "
        "its last reading failed: status 502: likes"
    )
    assert lines[-1] == "says router since 2026-11-22 12:00, as of unknown: served"
