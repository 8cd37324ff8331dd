"""One answer of several sources: the index, the router's models, own endpoints, and the Hub itself where the index has
little. They are asked at the same time; who does not answer in time is left out, and the answer says so.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from hub.catalog.offers import endpoint_entries, router_entries
from hub.catalog.rows import merge, read_row
from hub.catalog.scores import popularity
from hub.discovery import rank
from hub.discovery.fits import first_that_fit
from hub.discovery.found import cost, latency
from hub.discovery.known import Known
from hub.discovery.upstream import endpoint_params, hub_params
from hub.index.offers import priced
from hub.index.words import asked, words
from hub.sync.client import Asker
from schemas.catalog import CatalogEntry
from schemas.discovery import Criteria, Discovery, Found, Part, SourceNote
from schemas.endpoints import EndpointState

WITHIN_S = 2.0
"""What a source may take. The index alone takes a twentieth of it."""
FOLDERS = {"model": "models", "dataset": "datasets", "space": "spaces"}


@dataclass(frozen=True, slots=True)
class Source:
    """Somebody who can be asked besides the index."""

    name: str
    find: Callable[[Criteria], Awaitable[Sequence[CatalogEntry]]]
    """Entries with what this source says; raises when it does not answer."""
    on_miss: bool = False
    """Asked only where the index has less than a page."""
    knows_words: bool = False
    """It has searched for the text itself: its answer is not sifted by words again."""


def hub(asker: Asker, base: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Source:
    """The Hub's list. Asked on a miss."""

    async def find(criteria: Criteria) -> Sequence[CatalogEntry]:
        at = now()
        url = f"{base.rstrip('/')}/api/{FOLDERS[criteria.kind]}?{urlencode(hub_params(criteria))}"
        rows = (await asker.json(url)).value
        if not isinstance(rows, list):
            raise ValueError(f"the Hub answered with a {type(rows).__name__}, not a list")
        read = [read_row(criteria.kind, row, at) for row in rows[: criteria.offset + criteria.limit]]
        return [one for one in read if isinstance(one, CatalogEntry)]

    return Source("hub", find, on_miss=True, knows_words=True)


def router(asker: Asker, base: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Source:
    """The router's models."""

    async def find(criteria: Criteria) -> Sequence[CatalogEntry]:
        if criteria.kind != "model":
            return ()
        found = router_entries((await asker.json(f"{base.rstrip('/')}/v1/models")).value, now(), Counter())
        if found is None:
            raise ValueError("the router's answer is no list of models")
        return found

    return Source("router", find)


def endpoints(states: Callable[[], Sequence[EndpointState]]) -> Source:
    """Own dedicated endpoints, as their topic tells."""

    async def find(criteria: Criteria) -> Sequence[CatalogEntry]:
        wanted = endpoint_params(criteria)
        tasks, regions = ({value for name, value in wanted if name == kind} for kind in ("task", "region"))
        running = ("state", "running") in wanted
        return () if criteria.kind != "model" else endpoint_entries(
            state for state in states()
            if (not tasks or state.spec.task in tasks)
            and (not regions or any(state.spec.security.region.startswith(region) for region in regions))
            and (not running or state.status == "running")
        )  # fmt: skip

    return Source("endpoints", find)


async def discover(
    criteria: Criteria,
    *,
    search: Callable[[Criteria], Discovery],
    sources: Sequence[Source],
    known: Known,
    within_s: float = WITHIN_S,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Discovery:
    """The index's answer with what the others say merged into it.

    It takes as long as the slowest, not the sum: the Hub is asked as soon as the index has little, while the others
    still answer. What the index raises is raised; another source that fails makes the answer `partial`.
    """
    began = time.perf_counter()
    beside = [source for source in sources if not source.on_miss]
    asking = [asyncio.create_task(_asked(source, criteria, within_s)) for source in beside]
    try:
        local = await asyncio.to_thread(search, criteria)
        if local.filtered - criteria.offset < criteria.limit:
            misses = [source for source in sources if source.on_miss]
            beside += misses
            asking += [asyncio.create_task(_asked(source, criteria, within_s)) for source in misses]
        answers = await asyncio.gather(*asking)
    finally:
        for task in asking:
            task.cancel()
    merged = local
    for source, answer in zip(beside, answers, strict=True):
        if isinstance(answer, str):
            note = SourceNote(source=source.name, ok=False, detail=answer)
            merged = merged.model_copy(update={"sources": (*merged.sources, note), "partial": True})
            continue
        fitting = first_that_fit(answer, criteria, known, now(), text=not source.knows_words)
        if criteria.trending or criteria.popular:
            fitting = []  # the upper twentieth of the catalogue: of what is not in it nobody can say
        if criteria.approved:
            fitting = [entry for entry in fitting if known.allowed(entry.id, criteria.tenant)[0] is True]
        note = SourceNote(source=source.name, ok=True, as_of=now(), detail=f"{len(answer)} read, {len(fitting)} fit")
        merged = _merged(merged, answer, fitting, criteria, known, now())
        merged = merged.model_copy(update={"sources": (*merged.sources, note)})
    return merged.model_copy(update={"took_ms": round((time.perf_counter() - began) * 1_000, 3)})


async def _asked(source: Source, criteria: Criteria, within_s: float) -> Sequence[CatalogEntry] | str:
    try:
        async with asyncio.timeout(within_s):
            return await source.find(criteria)
    except TimeoutError:
        return f"no answer within {within_s:g} s"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"


def _merged(
    answer: Discovery,
    said: Sequence[CatalogEntry],
    fitting: Sequence[CatalogEntry],
    criteria: Criteria,
    known: Known,
    at: datetime,
) -> Discovery:
    """Models that both have become one, each field with who said it; new ones are added where they belong."""
    by_id = {entry.id: entry for entry in said}
    shown = [_updated(found, by_id.get(found.entry.id), known) for found in answer.models]
    have = {found.entry.id for found in answer.models}
    # With as many hits as a page and more, what the source adds stands on no page that is shown.
    room = criteria.limit - len(shown) if answer.filtered <= criteria.offset + criteria.limit else 0
    new = [entry for entry in fitting if entry.id not in have]
    added = sorted((_found(entry, criteria, known, answer.weights, at) for entry in new), key=_by_score)[: max(0, room)]
    models = sorted([*shown, *added], key=_by_score) if added and criteria.order == "relevance" else [*shown, *added]
    exact = answer.filtered_is_exact and not added
    update = {"models": tuple(models), "filtered": answer.filtered + len(added), "filtered_is_exact": exact}
    return answer.model_copy(update=update)


def _by_score(found: Found) -> tuple[float, str]:
    return -found.score, found.entry.id


def _updated(found: Found, news: CatalogEntry | None, known: Known) -> Found:
    if news is None:
        return found
    entry = merge(found.entry, news)
    update: dict[str, object] = {"entry": entry}
    # What was observed, or is of the tenant's own mix, stays.
    if found.latency is None or found.latency.source != "observed":
        update["latency"] = latency(entry, known)
    if found.cost is None:
        update["cost"] = cost(entry, known)
    return found.model_copy(update=update)


def _found(entry: CatalogEntry, criteria: Criteria, known: Known, weights: dict[str, float], at: datetime) -> Found:
    """A hit that is not in the index: weighed by what can be said without it."""
    prices = [price for one in entry.served if (price := priced(one)) is not None]
    quality = known.quality(entry.id, criteria.tasks[0] if len(criteria.tasks) == 1 else None)
    values = {
        "popularity": popularity(entry, at) or 0.0,
        "quality": quality or 0.0,
        "name": _name(entry, criteria.text),
    }
    if prices:
        values["cost"] = rank.cheapness_of(min(prices))
    told = tuple(
        Part(
            name=name,
            value=round(values.get(name, 0.0), 6),
            weight=weight,
            says="" if name in values else "not in the index",
        )
        for name, weight in weights.items()
    )
    ok, why = known.allowed(entry.id, criteria.tenant) if entry.kind == "model" else (None, "")
    return Found(
        entry=entry, score=rank.score(told), parts=told, latency=latency(entry, known), cost=cost(entry, known),
        quality=quality, approved=ok, why_not="" if ok else why,
    )  # fmt: skip


def _name(entry: CatalogEntry, text: str) -> float:
    plain = list(words(text))
    return rank.name_value(plain, asked(text).plain, entry.id) if plain else 0.0
