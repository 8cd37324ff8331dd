"""Model cards from the Hub, read when somebody looks; the last ones are kept for a while."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from console.hub.port import Card, NotThere
from schemas.catalog import CatalogEntry

if TYPE_CHECKING:
    from runtime.http import Fetcher

MOST_BYTES = 1_048_576
"""Of a card. The longest of well-known models have some 100 kB."""
WITHIN_S = 10.0
KEPT_S = 600.0
MOST_KEPT = 64
FOLDERS = {"model": "", "dataset": "datasets/", "space": "spaces/"}


class Cards:
    """Reads `README.md` of a repository. No credential is sent: the card of a gated model may be closed to us."""

    def __init__(self, hub_url: str, fetcher: "Fetcher", *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._hub_url = hub_url.rstrip("/")
        self._fetcher = fetcher
        self._monotonic = monotonic
        self._kept: OrderedDict[tuple[str, str, str], tuple[float, Card | None]] = OrderedDict()

    async def of(self, entry: CatalogEntry) -> Card | None:
        """The card at the entry's revision; None: there is none. Raises `NotThere`."""
        revision = entry.revision or "main"
        key = (entry.kind, entry.id, revision)
        kept = self._kept.get(key)
        if kept is not None and self._monotonic() - kept[0] < KEPT_S:
            return kept[1]
        card = await self._read(entry, revision)
        self._kept[key] = (self._monotonic(), card)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return card

    async def _read(self, entry: CatalogEntry, revision: str) -> Card | None:
        from runtime.http import FetchError, FetchStatus, FetchTooLarge

        url = f"{self._hub_url}/{FOLDERS[entry.kind]}{_path(entry.id)}/raw/{_path(revision)}/README.md"
        try:
            got = await self._fetcher.get(url, max_bytes=MOST_BYTES, total_s=WITHIN_S)
        except FetchStatus as error:
            if error.status == 404:
                return None
            closed = "its card is closed to us" if error.status in (401, 403) else f"the Hub answered {error.status}"
            raise NotThere(f"the card was not read: {closed}") from None
        except FetchTooLarge:
            raise NotThere(f"the card was not read: it has more than {MOST_BYTES:,} bytes") from None
        except FetchError as error:
            raise NotThere(f"the card was not read: {type(error).__name__}") from None
        return Card(got.data.decode("utf-8", "replace"), revision)


def _path(text: str) -> str:
    """Part of an address: a name that climbs folders stays a name. Raises `NotThere`."""
    parts = text.split("/")
    if any(part in ("", ".", "..") for part in parts) or not text.isprintable():
        raise NotThere("the card was not read: the Hub has no such name")
    return "/".join(quote(part, safe="") for part in parts)
