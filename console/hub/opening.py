"""Opens the Model Hub for the console's process: the catalogue's index, the folds, the Hub's cards; in the background.

The pages begin at once. What is not read yet says so, and what cannot be read is tried again.
"""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from console.hub.port import NotThere
from runtime.follow import NotCaughtUp, beside
from runtime.settings import Settings

if TYPE_CHECKING:
    from console.hub.desk import Desk
    from console.hub.known import World
    from console.hub.observed import Seen
    from schemas.recommendation import ModelRecommendation

log = structlog.get_logger("novix.hub")

AGAIN_S = 10.0
NO_EXTRA = "the Model Hub is not there: its extra `hub` is not installed"


class _Folds:
    """The folds, once all of them have caught up."""

    def __init__(self, settings: Settings, seen: "Seen") -> None:
        self._settings = settings
        self._seen = seen
        self._world: World | None = None
        self.fault = "what Novix has measured is being read"

    def world(self) -> "World":
        """Raises `NotThere` until they have."""
        if self._world is None:
            raise NotThere(self.fault)
        return self._world

    async def run(self) -> None:
        """Keep them at the end of their topics, until cancelled."""
        from console.hub.known import World
        from router.catalogue import BadCatalogue, load

        while True:
            try:
                world = World(await asyncio.to_thread(load, self._settings), self._seen)
                async with AsyncExitStack() as stack:
                    for follower in world.followers(self._settings):
                        await stack.enter_async_context(follower)
                    self._world = world
                    log.info("hub.opened")
                    await asyncio.Event().wait()
            except BadCatalogue as error:
                self.fault = f"the catalogue file cannot be read: {error}"[:500]
            except NotCaughtUp as error:
                self.fault = f"what Novix has measured could not be read: {error}"[:500]
            except Exception as error:  # the broker, the disk: it is tried again
                self.fault = f"what Novix has measured could not be read: {type(error).__name__}"
            self._world = None
            log.warning("hub.not_open", reason=self.fault)
            await asyncio.sleep(AGAIN_S)


def _libraries() -> None:
    """Import what takes a moment. Raises ImportError where the extra `hub` is missing."""
    for name in ("hub.index.store", "hub.recommend.recommend", "hub.cards", "console.hub.desk"):
        importlib.import_module(name)


@asynccontextmanager
async def desk(settings: Settings, seen: "Seen") -> AsyncIterator["Desk | None"]:
    """The Model Hub for the length of the block; None where its libraries are not installed."""
    try:
        await asyncio.to_thread(_libraries)
        from console.hub.cards import Cards
        from console.hub.desk import Desk, lacking
        from console.hub.reader import CatalogReader
    except ImportError as error:
        log.warning("hub.not_installed", library=error.name)
        yield None
        return
    from runtime.http import PRIVATE_NETWORKS, Fetcher

    folds = _Folds(settings, seen)
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(CatalogReader(settings))
        fetcher = await stack.enter_async_context(Fetcher([settings.hf_hub_url], private=PRIVATE_NETWORKS))
        at_first = reader.fault
        await stack.enter_async_context(beside(folds.run()))

        def recommend(sentence: str, tenant: str, top: int) -> "ModelRecommendation":
            from hub.recommend.recommend import recommend as best
            from schemas.recommendation import RecommendationContext, TaskDescription

            known, index, why = folds.world().of(tenant), reader.index(), unfinished()
            context = RecommendationContext(tenant=tenant, at=datetime.now(UTC), top=top)
            return best(
                TaskDescription(sentence=sentence),
                context,
                search=lambda criteria: lacking(index.search(criteria, known=known), why),
                known=known,
            )

        def unfinished() -> str:
            if reader.caught_up:
                return reader.fault or ""
            count = reader.state()["records"]
            why = f"; {reader.fault}" if reader.fault not in (None, at_first) else ""
            return f"it is still being filled, {count:,} records so far{why}"

        yield Desk(
            reader.index,
            folds.world,
            Cards(settings.hf_hub_url, fetcher),
            recommend,
            settings,
            unfinished=unfinished,
        )
