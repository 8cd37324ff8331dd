"""Closer looks at single repositories: the scanners' word, the card's beginning, and the Hub's own row.

Taken of models that somebody offers or the registry names, when they are new, have another commit, or after a day:
three calls each, so never of all.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from hub.catalog.card import summary
from hub.catalog.rows import Refused, read_row
from hub.sync.book import Book
from hub.sync.client import Asker, SourceDown
from hub.sync.walk import MODEL_FIELDS
from schemas import codec
from schemas.catalog import CatalogEntry
from schemas.registry import Facts

AGAIN = timedelta(days=1)
"""Scans are done, and cards are rewritten, without a new commit being told."""
CARD_BYTES = 1_048_576
ABSENT = (401, 403, 404, 410)
"""The Hub's answers for a repository that is not there, or that an anonymous caller may not see."""
MOST_KEYS = 5_000
MOST_NAMES, MOST_NAME = 16, 256
"""Former names that are told, and characters of one."""
BY = "novix hub sync"


class Looker:
    """Asks one Hub."""

    def __init__(self, asker: Asker, hub: str) -> None:
        self._asker = asker
        self._hub = hub

    def due(self, keys: Iterable[str], wanted: set[str], book: Book, now: datetime) -> list[str]:
        """Which of these are to be looked at: those that are wanted, then the unknown, then the oldest looks."""
        found: list[tuple[int, float, str]] = []
        for key in keys:
            if not key.startswith("model/"):
                continue
            look = book.looks.get(key)
            base = book.words.get(key, {}).get("hub")
            if key in wanted:
                found.append((0, 0.0, key))
            elif look is None:
                found.append((1, 0.0, key))
            elif base is not None and look[0] != base.revision:
                found.append((2, look[1], key))
            elif now.timestamp() - look[1] >= AGAIN.total_seconds():
                found.append((3, look[1], key))
        return [key for _, _, key in sorted(found)[:MOST_KEYS]]

    async def look(self, key: str, now: datetime) -> tuple[CatalogEntry, bytes] | None:
        """What the Hub says of one model: its row as in the list, and what the look has found, as JSON. None: it has no
        such model. Raises `SourceDown`."""
        name = key.partition("/")[2]
        address = f"{self._hub}/api/models/{quote(name, safe='/')}"
        try:
            listed = await self._asker.json(f"{address}?{urlencode([('expand[]', one) for one in MODEL_FIELDS])}")
            info = await self._asker.json(f"{address}?securityStatus=true")
        except SourceDown as error:
            if error.status in ABSENT:
                return None
            if error.status in (301, 302, 307, 308):  # it was renamed
                return None
            raise
        entry = read_row("model", listed.value, now)
        whole = read_row("model", info.value, now)
        if isinstance(entry, Refused) or isinstance(whole, Refused):
            return None
        told: dict[str, Any] = {"description": await self._card(name)}
        if whole.security is not None:
            told["security"] = whole.security.model_copy(update={"at": now}).model_dump(mode="json")
        return entry, codec.encode({name: value for name, value in told.items() if value})

    async def _card(self, name: str) -> str | None:
        try:
            body, _ = await self._asker.body(f"{self._hub}/{quote(name, safe='/')}/raw/main/README.md", CARD_BYTES)
        except SourceDown:
            return None  # it has none, or a gated one: nothing else depends on it
        return await asyncio.to_thread(summary, body.decode(errors="replace"))


def facts_of(look: str, entry: CatalogEntry, now: datetime) -> Facts:
    """What decides whether a model may be used."""
    from hub.licenses import named
    from hub.sync.book import with_look

    whole = with_look(entry, look)
    return Facts(
        model=entry.id, revision=entry.revision, license=named(entry.license_raw), gated=entry.gated,
        security=whole.security, at=now, by=BY,
        formerly=tuple(one for one in entry.formerly if 0 < len(one) <= MOST_NAME)[-MOST_NAMES:],
    )  # fmt: skip
