"""What a command knows of models: the topics read to their ends, and the explorer's memory where it lies here."""

import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field

from pydantic import ValidationError

from console.hub.known import World
from console.index.reading import Index
from console.kafka import Log
from console.serve import store_path
from hub.licenses import spdx_of
from router.catalogue import Catalogue, load
from runtime.ports import Record
from runtime.settings import Loaded
from schemas.catalog import CatalogEntry, Said, Serving
from schemas.topics import CATALOG, Topic

MOST_NAMES = 20_000
"""Names of the catalogue that are remembered, to tell those that are spelt like one that is not there."""


@asynccontextmanager
async def asking(loaded: Loaded, log: Log) -> AsyncIterator[tuple[World, list[str]]]:
    """Everything that is known now, and notes on what is not. For the length of the block."""
    catalogue, notes = load(loaded.settings), list[str]()
    index = _index(loaded)
    if index is None:
        notes.append("the explorer's memory is not on this machine (novix console): nothing observed is known")
        world = World(catalogue, None)
        await _fold(world, log)
        yield world, notes
        return
    with closing(index):
        world = World(catalogue, index)
        await _fold(world, log)
        yield world, notes


def _index(loaded: Loaded) -> Index | None:
    """The explorer's memory; None where there is none, or one of another version that its process will make anew."""
    path = store_path(loaded.settings)
    if not path.exists():
        return None
    try:
        index = Index(path)
    except sqlite3.Error:
        return None
    try:
        index.served_models()
    except sqlite3.Error:
        index.close()
        return None
    return index


async def _fold(world: World, log: Log) -> None:
    for topic, fold in world.folds.items():
        async for record in all_of(log, topic):
            fold(record)


async def all_of(log: Log, topic: Topic) -> AsyncIterator[Record]:
    """A topic from its beginning to its present end; nothing where it does not exist."""
    reader = log.reader()
    for partition in range(await reader.partitions(topic.name)):
        first, end = await reader.bounds(topic.name, partition)
        async for record in reader.read(topic.name, partition, first, end):
            yield record


@dataclass(slots=True)
class Catalogued:
    """The catalogue's entries of some models. `get` is that of `hub.index.store.Index`."""

    entries: dict[str, CatalogEntry]
    names: list[str] = field(default_factory=list)
    """Others, whose names begin like theirs."""

    def get(self, key: str) -> CatalogEntry | None:
        """By `model/ID`."""
        return self.entries.get(key)


async def catalogued(log: Log, models: Iterable[str], catalogue: Catalogue) -> Catalogued:
    """The newest entries of `models` on `novix.catalog.v1`, and what Novix's own catalogue says of those that are not
    there. Reads the whole topic, and keeps only what was asked for."""
    wanted = {f"model/{model}" for model in models}
    beginnings = {_short(key)[:4] for key in wanted}
    found, names = dict[str, CatalogEntry](), dict[str, None]()
    async for record in all_of(log, CATALOG):
        key = (record.key or b"").decode(errors="replace")
        if key not in wanted:
            if key.startswith("model/") and _short(key)[:4] in beginnings and len(names) < MOST_NAMES:
                names[key.removeprefix("model/")] = None
            continue
        found.pop(key, None)
        if record.value is None:
            continue
        try:
            found[key] = CatalogEntry.model_validate_json(record.value)
        except ValidationError:
            continue  # as if it were not there: what is told of it comes from our own catalogue
    for model in models:
        own = entry_of(catalogue, model)
        if own is not None:
            found.setdefault(own.key, own)
    return Catalogued(found, list(names))


def _short(key: str) -> str:
    return key.rpartition("/")[2].casefold()


def entry_of(catalogue: Catalogue, model: str) -> CatalogEntry | None:
    """What Novix's own catalogue says of a model; None: nothing. Pure."""
    rows = [row for row in catalogue.by_model.get(model, ()) if row.base_url]
    if not rows:
        return None
    tasks = tuple(sorted({task for row in rows for task in row.tasks}))
    licence = next((row.licence for row in rows if row.licence), None)
    contexts = [row.context_tokens for row in rows if row.context_tokens is not None]
    days = [row.price.as_of for row in rows if row.price is not None]
    since = f"{min(days)[:10]}T00:00:00Z" if days and len(min(days)) >= 10 else None
    served = tuple(
        Serving(provider=row.provider, task=task, source="novix", regions=tuple(sorted(row.regions)))
        for row in rows
        for task in sorted(row.tasks)
    )[:64]
    document = {
        "id": model,
        "task": tasks[0] if len(tasks) == 1 else None,
        "tasks": tasks,
        "license": None if licence is None else spdx_of(licence),
        "license_raw": licence,
        "context_tokens": max(contexts, default=None),
        "served": served,
    }
    entry = CatalogEntry.model_validate(document)
    if since is None:
        return entry
    try:
        said = Said.model_validate({"source": "novix", "fields": ("tasks", "served"), "since": since})
    except ValidationError:
        return entry
    return entry.model_copy(update={"said": (said,)})
