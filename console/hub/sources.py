"""Who is asked besides the index, as the settings allow it: the router's list; the Hub where the index has little."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from hub.app import hub_of, router_of
from hub.discovery import ask
from hub.discovery.ask import Source
from hub.sync.client import Asker
from runtime.clock import SystemClock
from runtime.http import PRIVATE_NETWORKS, Egress, HttpTransport
from runtime.settings import Settings
from schemas.catalog import CatalogEntry
from schemas.discovery import Criteria
from schemas.endpoints import EndpointState

KEPT_S = 30.0
"""How long the router's list is believed: it is asked whole, however many searches there are."""


class Kept:
    """What a source said a moment ago, for those that say the same whatever they are asked."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[str, tuple[float, Sequence[CatalogEntry]]] = {}

    def of(self, source: Source) -> Source:
        """The source, asked at most every `KEPT_S`."""

        async def find(criteria: Criteria) -> Sequence[CatalogEntry]:
            name = f"{source.name}/{criteria.kind}"
            had = self._said.get(name)
            if had is None or self._clock() - had[0] > KEPT_S:
                had = self._said[name] = self._clock(), await source.find(criteria)
            return had[1]

        return replace(source, find=find)


@asynccontextmanager
async def sources(
    settings: Settings, kept: Kept | None = None, states: Callable[[], Sequence[EndpointState]] | None = None
) -> AsyncIterator[list[Source]]:
    """The router, own endpoints, and on a miss the Hub; connections are made when they are needed."""
    router, hub = router_of(settings), hub_of(settings)
    origins = [address for address in (router, hub) if address]
    found: list[Source] = [] if states is None else [ask.endpoints(states)]
    if not origins:
        yield found
        return
    async with HttpTransport(Egress(origins, private=PRIVATE_NETWORKS)) as transport:
        if router:
            found.append((kept or Kept()).of(ask.router(Asker(transport, SystemClock()), router)))
        if hub:
            found.append(ask.hub(Asker(transport, SystemClock()), hub))
        yield found
