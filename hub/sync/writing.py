"""Entries as records, and what a page adds to how its source is. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from hub.sync.book import Taken, Written
from runtime.ports import Outgoing
from schemas.catalog import CatalogEntry, SourceState
from schemas.topics import CATALOG


@dataclass(frozen=True)
class Small:
    """All that a small source says now, by the source that it is kept under."""

    entries: dict[str, list[CatalogEntry]]
    dropped: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)


def outgoing(news: Iterable[Written]) -> list[Outgoing]:
    """Entries as records. Fields that have their defaults are left out: they would be half of the bytes."""
    return [Outgoing(CATALOG.name, key.encode(), None if entry is None else written(entry)) for key, entry in news]


def written(entry: CatalogEntry) -> bytes:
    """An entry as it travels."""
    return entry.model_dump_json(exclude_defaults=True).encode()


def counted(state: SourceState, taken: Taken) -> SourceState:
    """How a source is after a page of it."""

    def added(one: dict[str, int], more: dict[str, int]) -> dict[str, int]:
        return {name: one.get(name, 0) + more.get(name, 0) for name in sorted({*one, *more})}

    return state.model_copy(
        update={
            "rows": state.rows + taken.rows, "changed": state.changed + len(taken.news),
            "refused": added(state.refused, taken.refused), "dropped": added(state.dropped, taken.dropped),
        }
    )  # fmt: skip
