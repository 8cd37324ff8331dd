"""Closer looks at single repositories: the scanners' word, the card's beginning, and the Hub's own row.

Taken of models that somebody offers or the registry names, when they are new, have another commit, or after a day:
three calls each, so never of all.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from hub.catalog.card import decoded, summary
from hub.catalog.rows import Refused, read_row
from hub.catalog.weights import files_bytes
from hub.sync.book import Book
from hub.sync.client import Asker, SourceDown, TooLarge
from hub.sync.walk import MODEL_FIELDS, same_origin
from schemas import codec
from schemas.catalog import CatalogEntry
from schemas.registry import Facts

AGAIN = timedelta(days=1)
"""Scans are done, and cards are rewritten, without a new commit being told."""
CARD_BYTES = 1_048_576
ABSENT = (404, 410)
REFUSED, NOT_FOUND = (401, 403), ("RepoNotFound", "Invalid username or password.")
"""To the anonymous the Hub says 401 for a repository that is not there, with one of these words. The same status
without them is a gate's in between, or a ban: it says nothing of the repository."""
MOVED = (301, 302, 307, 308)
MOST_FAILED = 3
"""Looks that fail after each other end a round's: it is the Hub that is down, and no single model's page."""
MOST_KEYS = 5_000
MOST_NAMES, MOST_NAME = 16, 256
"""Former names that are told, and characters of one."""
BY = "novix hub sync"


class Looker:
    """Asks one Hub."""

    def __init__(self, asker: Asker, hub: str) -> None:
        self._asker = asker
        self._hub = hub
        self.failed: set[str] = set()
        """Whose last look broke. They come last, or one page that is always broken would hold back all others."""

    def due(self, keys: Iterable[str], wanted: set[str], book: Book, now: datetime) -> list[str]:
        """Which of these are to be looked at: those that are wanted, then the unknown, then the oldest looks, then
        those that broke the last time."""
        found: list[tuple[int, float, str]] = []
        for key in keys:
            if not key.startswith("model/"):
                continue
            look = book.looks.get(key)
            base = book.words.get(key, {}).get("hub")
            age_s = None if look is None else now.timestamp() - look[1]
            if key in self.failed:
                found.append((4, 0.0, key))
            elif key in wanted:
                found.append((0, 0.0, key))
            elif look is None or age_s is None:
                found.append((1, 0.0, key))
            elif base is not None and look[0] != base.revision:
                found.append((2, look[1], key))
            elif not 0 <= age_s < AGAIN.total_seconds():  # of the future: a clock was wrong
                found.append((3, look[1], key))
        return [key for _, _, key in sorted(found)[:MOST_KEYS]]

    async def look(
        self, key: str, now: datetime, before: tuple[str | None, float, str] | None = None
    ) -> tuple[CatalogEntry, bytes] | None:
        """What the Hub says of one model: its row as in the list, and what the look has found, as JSON. None: it has no
        such model, or by another name. `before`: the last look, whose words on the card stay where the card of the same
        commit is not to be had now. Raises `SourceDown`, also for an answer that cannot be read: it proves nothing
        gone."""
        self.failed.add(key)
        found = await self._look(key, now, before)
        self.failed.discard(key)
        return found

    async def _look(
        self, key: str, now: datetime, before: tuple[str | None, float, str] | None
    ) -> tuple[CatalogEntry, bytes] | None:
        name = key.partition("/")[2]
        address = f"{self._hub}/api/models/{quote(name, safe='/')}"
        try:
            listed = await self._asker.json(f"{address}?{urlencode([('expand[]', one) for one in MODEL_FIELDS])}")
            info = await self._asker.json(f"{address}?blobs=true&securityStatus=true")
        except SourceDown as error:
            if _is_absent(error, address):
                return None
            raise
        entry = read_row("model", listed.value, now)
        whole = read_row("model", info.value, now)
        for one in (entry, whole):
            if isinstance(one, Refused):
                raise SourceDown(f"a model's page that is none: {one.reason}")
        assert isinstance(entry, CatalogEntry) and isinstance(whole, CatalogEntry)  # noqa: S101, PT018 - just refused
        if entry.revision != whole.revision and None not in (entry.revision, whole.revision):
            raise SourceDown("it got a commit while it was looked at")
        told: dict[str, Any] = {}
        if entry.size_bytes is None:
            told["size_bytes"] = files_bytes(info.value.get("siblings"))
        try:
            told["description"] = await self._card(name)
        except SourceDown:
            if before is not None and before[0] == entry.revision:
                told["description"] = codec.decode(before[2].encode()).get("description")
        if whole.security is not None:
            told["security"] = whole.security.model_copy(update={"at": now}).model_dump(mode="json")
        return entry, codec.encode({name: value for name, value in told.items() if value})

    async def _card(self, name: str) -> str | None:
        """None: it has none, a gated one, or one beyond measure. Raises `SourceDown` where that is not known."""
        try:
            body, _ = await self._asker.body(f"{self._hub}/{quote(name, safe='/')}/raw/main/README.md", CARD_BYTES)
        except TooLarge:
            return None
        except SourceDown as error:
            if error.status is not None and 400 <= error.status < 500 and error.status != 429:
                return None
            raise
        return await asyncio.to_thread(lambda: summary(decoded(body)))


def _is_absent(error: SourceDown, address: str) -> bool:
    """Whether the Hub says that it has no such repository, or that it has another name. A redirect to anything but
    another model's page is a gate's."""
    if error.status in MOVED:
        try:
            there = urljoin(address, error.location)
            return same_origin(address, there) and "/api/models/" in urlsplit(there).path
        except ValueError:
            return False
    return error.status in ABSENT or (error.status in REFUSED and error.code in NOT_FOUND)


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
