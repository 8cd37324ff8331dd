"""What the pages of the Model Hub ask, answered from the catalogue's index and the folds: the real one of the port."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from console.hub.cards import Cards
from console.hub.compared import compared
from console.hub.known import World
from console.hub.port import BadQuestion, Broken, Card, Governance, NotThere, Verdict
from console.hub.sources import Kept, sources
from hub.catalog.ages import Age, ages
from hub.compare.compare import TooMany, UnknownModel
from hub.discovery.known import Known
from hub.index.file import Damaged
from runtime.settings import Settings
from schemas.catalog import CatalogEntry
from schemas.comparison import ComparisonCriteria, ModelComparison
from schemas.discovery import Criteria, Discovery, Interval, SourceNote
from schemas.endpoints import EndpointState
from schemas.evals import EvalRun
from schemas.job import DEFAULT_TENANT
from schemas.recommendation import ModelRecommendation

SEARCHES = 2
"""At once: each takes a core for some milliseconds, and the pages' other threads want one too."""


class Catalogue(Protocol):
    """`hub.index.store.Index` as it is asked here."""

    def get(self, key: str) -> CatalogEntry | None: ...

    def search(self, criteria: Criteria, *, known: Known) -> Discovery: ...


@contextmanager
def _whole() -> Iterator[None]:
    """What a damaged index raises becomes `Broken`; whoever fills it makes it anew."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise NotThere("the index of the catalogue cannot be read now: it is busy, or the disk is full") from error
    except (Damaged, sqlite3.DatabaseError) as error:
        raise Broken("the index of the catalogue is damaged; it is made anew") from error


Recommend = Callable[[str, str, int], ModelRecommendation]
"""Sentence, tenant, how many."""


def lacking(found: Discovery, why: str) -> Discovery:
    """The answer of an index that is not whole, saying so; the same where `why` is empty."""
    if not why:
        return found
    others = tuple(note for note in found.sources if note.source != "index")
    as_of = next((note.as_of for note in found.sources if note.source == "index"), None)
    told = SourceNote(source="index", ok=False, as_of=as_of, detail=why)
    return found.model_copy(update={"partial": True, "sources": (told, *others)})


class Desk:
    """`console.hub.port.Hub` over an index, the folds and the Hub's cards. Any thread may ask."""

    def __init__(
        self,
        catalogue: Callable[[], Catalogue],
        world: Callable[[], World],
        cards: Cards | None = None,
        recommend: Recommend | None = None,
        settings: Settings | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        unfinished: Callable[[], str] = lambda: "",
    ) -> None:
        """`catalogue` and `world` raise `NotThere` while they are not. Without `settings` nobody else is asked.
        `unfinished` says what keeps the index from being whole; empty: it is."""
        self._unfinished = unfinished
        self._settings = settings
        self._kept = Kept()
        self._catalogue = catalogue
        self._world = world
        self._cards = cards
        self._recommend = recommend
        self._now = now
        self._room = threading.BoundedSemaphore(SEARCHES)

    @_whole()
    def search(self, criteria: Criteria) -> Discovery:
        """With what Novix has measured, and prices for the tenant's own jobs."""
        known = self._world().of(criteria.tenant)
        why = self._unfinished()
        with self._room:
            try:
                found = self._catalogue().search(criteria, known=known)
            except ValueError as error:
                raise BadQuestion(str(error)) from error
        return lacking(found, why)

    async def discover(self, criteria: Criteria) -> Discovery:
        """As `novix hub search` does."""
        from hub.discovery.ask import discover

        if self._settings is None:
            return await asyncio.to_thread(self.search, criteria)
        known = self._world().of(criteria.tenant)
        async with sources(self._settings, self._kept, self.endpoints) as others:
            return await discover(criteria, search=self.search, sources=others, known=known)

    @_whole()
    def model(self, model: str) -> CatalogEntry | None:
        """The entry of a model. What an index that is not whole does not have may come yet."""
        entry = self._catalogue().get(f"model/{model}")
        if entry is None and (why := self._unfinished()):
            raise NotThere(f"the catalogue does not have it yet: {why}")
        return entry

    def expected(self, model: str, tenant: str) -> tuple[Interval | None, Interval | None]:
        """Observed, else as discovery predicts it."""
        from hub.discovery import found

        known, entry = self._world().of(tenant), self.model(model)
        if entry is None:
            return known.latency(model), known.cost(model)
        return found.latency(entry, known), found.cost(entry, known)

    def whole(self, entry: CatalogEntry, tenant: str) -> dict[str, Any]:
        """All that is known of it, for a tenant."""
        from console.hub.whole import document

        return document(entry, self._world(), tenant, self._now())

    @_whole()
    def compare(self, criteria: ComparisonCriteria) -> ModelComparison:
        """As `novix compare` does."""
        try:
            return compared(self._world(), self._catalogue(), criteria, self._now())
        except UnknownModel as error:
            if why := self._unfinished():
                raise NotThere(f"the catalogue does not have {error.model} yet: {why}") from error
            raise BadQuestion(str(error)) from error
        except TooMany as error:
            raise BadQuestion(str(error)) from error

    @_whole()
    def recommend(self, sentence: str, tenant: str, top: int) -> ModelRecommendation:
        """As `novix hub recommend` does."""
        if self._recommend is None:
            raise NotThere("recommendations are not there in this process: novix hub recommend gives them")
        with self._room:
            try:
                return self._recommend(sentence, tenant, top)
            except ValueError as error:
                raise BadQuestion(str(error)) from error

    def runs(self, model: str) -> Sequence[EvalRun]:
        """The newest first."""
        return self._world().of(None).runs(model)

    def verdict(self, model: str, tenant: str) -> Verdict:
        """What the registry says; where it says nothing of this model, that nothing refuses it."""
        ok, says = self._world().allowed(model, tenant or DEFAULT_TENANT)
        return Verdict(ok, says or ("the registry says nothing of it" if ok is None else ""))

    def governance(self) -> Governance:
        """The registry's newest words, by model and name."""
        world = self._world()
        with world.lock:
            standing = world.registry.now()
        return Governance(
            standing.version,
            [standing.admissions[key] for key in sorted(standing.admissions)],
            [standing.rules[key] for key in sorted(standing.rules)],
            [standing.aliases[key] for key in sorted(standing.aliases)],
        )

    def ages(self, entry: CatalogEntry) -> Sequence[Age]:
        """By `novix.sources.v1`."""
        world = self._world()
        with world.lock:
            states = dict(world.sources)
        return ages(entry, states)

    def endpoints(self) -> Sequence[EndpointState]:
        """By name; those that were deleted last."""
        world = self._world()
        with world.lock:
            found = list(world.endpoints.values())
        return sorted(found, key=lambda one: (one.status == "deleted", one.spec.key))

    async def card(self, entry: CatalogEntry) -> Card | None:
        """From the Hub."""
        if self._cards is None:
            raise NotThere("cards are not read in this process")
        return await self._cards.of(entry)
