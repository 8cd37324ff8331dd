"""What the sync knows when it begins: its store, read back from the topics where it is new or of another
installation."""

import json
from collections.abc import Mapping
from pathlib import Path

import structlog
from pydantic import ValidationError

from hub.sync.sides import TOPICS as SIDES
from hub.sync.sides import key_of
from hub.sync.store import Store
from runtime.batches import Arrived
from runtime.ports import Record
from runtime.reader import KafkaReader
from schemas.catalog import CatalogEntry, SourceState
from schemas.topics import CATALOG, ENDPOINTS, OFFERS, REGISTRY, SOURCES, Topic

log = structlog.get_logger("novix.hub")

AT_A_TIME = 2_000
NEEDED: tuple[Topic, ...] = (CATALOG, SOURCES, REGISTRY, OFFERS, ENDPOINTS)


class TopicsMissing(Exception):
    """A topic that the sync reads or writes is not there; `novix topics create` makes it."""


def folder_of(home: Path) -> Path:
    """Where the sync keeps what it knows."""
    return home / "hub"


async def opened(store: Store, reader: KafkaReader) -> dict[str, SourceState]:
    """Bring the store up to date with the topics; how each source was when it was last told. Raises `TopicsMissing`."""
    for topic in NEEDED:
        if not await reader.partitions(topic.name):
            raise TopicsMissing(f"{topic.name} is not there; type: novix topics create")
    ends = await _ends(reader, CATALOG)
    before: Mapping[str, int] = json.loads(store.told("ends") or "{}")
    if any(ends.get(place, 0) < end for place, end in before.items()):
        log.warning("hub.topic_is_another")
        store.forget()
    states = await _states(reader)
    if store.told("read_back") is None:
        count = await _read_back(store, reader)
        store.tell("read_back", "yes")
        log.info("hub.read_back", records=count)
        # Which rows an unfinished full reading had met is forgotten with the store: it begins anew.
        states = {
            key: state.model_copy(update={"cursor": None}) if state.full else state for key, state in states.items()
        }
    await catch_up(store, reader)
    await remember(store, reader)
    return states


async def remember(store: Store, reader: KafkaReader) -> None:
    """Note where the catalogue's topic ends now."""
    store.tell("ends", json.dumps(await _ends(reader, CATALOG)))


async def catch_up(store: Store, reader: KafkaReader) -> None:
    """Read the side topics to their present end."""
    for topic in SIDES:
        first, end = await reader.bounds(topic.name, 0)
        place = max(first, int(store.told(f"side/{topic.name}") or 0))
        batch: list[tuple[str, str, bytes | None, int]] = []
        async for record in reader.read(topic.name, 0, min(place, end), end):
            batch.append((topic.name, key_of(_arrived(record)), record.value, record.offset))
            if len(batch) >= AT_A_TIME:
                store.take(batch)
                batch.clear()
        store.take(batch)
        store.tell(f"side/{topic.name}", str(end))


async def _states(reader: KafkaReader) -> dict[str, SourceState]:
    found: dict[str, SourceState] = {}
    first, end = await reader.bounds(SOURCES.name, 0)
    async for record in reader.read(SOURCES.name, 0, first, end):
        try:
            found[(record.key or b"").decode(errors="replace")] = SourceState.model_validate_json(record.value or b"")
        except ValidationError:
            continue
    return found


async def _read_back(store: Store, reader: KafkaReader) -> int:
    count = 0
    for partition in range(await reader.partitions(CATALOG.name)):
        first, end = await reader.bounds(CATALOG.name, partition)
        batch: list[tuple[str, CatalogEntry | None]] = []
        async for record in reader.read(CATALOG.name, partition, first, end):
            key = (record.key or b"").decode(errors="replace")
            try:
                batch.append((key, None if record.value is None else CatalogEntry.model_validate_json(record.value)))
            except ValidationError:
                continue  # of another version: it is written anew when its source tells of it
            if len(batch) >= AT_A_TIME:
                count += len(batch)
                store.read_back(_newest(batch))
                batch.clear()
        count += len(batch)
        store.read_back(_newest(batch))
    return count


def _newest(batch: list[tuple[str, CatalogEntry | None]]) -> list[tuple[str, CatalogEntry | None]]:
    return list(dict(batch).items())


async def _ends(reader: KafkaReader, topic: Topic) -> dict[str, int]:
    return {
        str(partition): (await reader.bounds(topic.name, partition))[1]
        for partition in range(await reader.partitions(topic.name))
    }


def _arrived(record: Record) -> Arrived:
    return Arrived(record.topic, record.partition, record.offset, record.timestamp_ms, record.key, record.value)
