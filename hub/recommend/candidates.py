"""Which models are looked at: the searches that a task leads to, and what is known of each model that they find."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hub.discovery.found import cost as cost_of
from hub.discovery.found import latency as latency_in
from hub.discovery.known import Known
from hub.discovery.lexicon import RELATED
from hub.index.offers import latency_of, offered
from schemas.catalog import CatalogEntry
from schemas.discovery import MAX_QUERY_CHARS, Criteria, Discovery, Interval, Order
from schemas.recommendation import Constraints, Searched, TaskAnalysis

WIDE, NARROW, EACH = 40, 100, 25
"""Models taken of the search by task alone, of the one with every condition, and of each further order of that."""
A_JOB_TOKENS = 800
"""Of a usual job, 600 in and 200 out: what a price per million tokens makes of one request."""

Search = Callable[[Criteria], Discovery]


@dataclass(frozen=True, slots=True)
class Offer:
    """One provider's offer in one region (`""`: nobody has said where); unknown is None."""

    provider: str
    region: str
    live: bool
    nanousd_per_mtok: int | None
    request_nanousd: float | None
    latency_ms: float | None
    latency_p95_ms: float | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model with everything that is decided by."""

    entry: CatalogEntry
    latency: Interval | None
    cost: Interval | None
    quality: float | None
    allowed: bool | None
    """By the registry, for this tenant."""
    why_not: str
    offers: tuple[Offer, ...]


def searches(analysis: TaskAnalysis, constraints: Constraints, tenant: str) -> list[Criteria]:
    """What is searched for: by task and words alone, so that who is left out by a condition can be told; then with the
    conditions that a search can hold, in several orders, so that the cheapest and the fastest are among them."""
    text = " ".join(dict.fromkeys([*analysis.topic.split(), *analysis.domains]))[:MAX_QUERY_CHARS]
    tasks: tuple[str, ...] = ()
    if analysis.task is not None:
        tasks = (analysis.task, *RELATED.get(analysis.task, ()))
    modalities = (analysis.modality,) if analysis.task is None and analysis.modality else ()
    wide = Criteria(text=text, tasks=tasks, modalities=modalities, tenant=tenant, limit=WIDE, facets=False)
    languages = tuple(code for code in analysis.languages if code != "mul")
    narrow = wide.model_copy(
        update={
            "languages": languages,
            "authors": constraints.authors,
            "min_parameters": constraints.min_parameters,
            "max_parameters": constraints.max_parameters,
            "max_bytes": constraints.max_bytes,
            "providers": constraints.providers,
            "regions": constraints.regions,
            "served": True if constraints.served else None,
            "gated": constraints.gated,
            "approved": constraints.approved,
            "max_nanousd_per_mtok": constraints.max_nanousd_per_mtok,
            "max_latency_ms": constraints.max_latency_ms,
            "limit": NARROW,
        }
    )
    plain = narrow.model_copy(update={"text": "", "limit": EACH})
    orders: tuple[Order, ...] = ("downloads", "cheapest", "fastest", "quality")
    if "small" in analysis.preferences:
        orders += ("smallest",)
    if "recent" in analysis.preferences:
        orders += ("recent",)
    asked = [wide, narrow, *(plain.model_copy(update={"order": order}) for order in orders)]
    if text:  # its words may fit nobody, and the conditions leave everybody out: that is to be told, of somebody
        asked.append(wide.model_copy(update={"text": "", "limit": EACH, "order": "downloads"}))
    if not languages:
        return asked
    return [*asked, plain.model_copy(update={"languages": (), "order": "downloads"})]


def gather(
    asked: Sequence[Criteria], search: Search, known: Known, *, task: str | None, tenant: str
) -> tuple[list[Candidate], list[Searched], list[Discovery]]:
    """Everybody whom the searches find, each once, in order of their ids."""
    entries: dict[str, CatalogEntry] = {}
    told, answers = [], []
    for criteria in asked:
        answer = search(criteria)
        answers.append(answer)
        told.append(Searched(criteria=criteria, hits=answer.filtered, taken=len(answer.models)))
        for found in answer.models:
            entries[found.entry.id] = found.entry
    candidates = [candidate(entries[model], known, task=task, tenant=tenant) for model in sorted(entries)]
    return candidates, told, answers


def candidate(entry: CatalogEntry, known: Known, *, task: str | None, tenant: str) -> Candidate:
    """What is known of one model. What Novix has observed comes before what providers state, that before a guess."""
    observed, cost = known.latency(entry.id), known.cost(entry.id)
    allowed, why_not = known.allowed(entry.id, tenant)
    return Candidate(
        entry=entry,
        latency=latency_in(entry, known),
        cost=cost_of(entry, known),
        quality=known.quality(entry.id, task),
        allowed=allowed,
        why_not=why_not,
        offers=_offers(entry, known, observed, cost),
    )


def _offers(entry: CatalogEntry, known: Known, observed: Interval | None, cost: Interval | None) -> tuple[Offer, ...]:
    """Novix's own view of an offer replaces the catalogue's of the same provider."""
    found: list[Offer] = []
    seen = set()
    for own in known.offers(entry.id):
        seen.add(own.provider)
        latency = own.latency or observed
        for region in own.regions or ("",):
            found.append(
                Offer(
                    own.provider,
                    region,
                    own.live,
                    own.nanousd_per_mtok,
                    _of_a_job(own.nanousd_per_mtok, cost),
                    latency.value if latency else None,
                    latency.high if latency else None,
                )
            )
    stated = latency_of(entry)
    for one in offered(entry):
        if one.provider in seen:
            continue
        high = stated.high if stated and one.latency_ms is not None else None
        price = one.nanousd_per_mtok
        found.append(Offer(one.provider, one.region, one.live, price, _of_a_job(price, cost), one.latency_ms, high))
    return tuple(found)


def _of_a_job(nanousd_per_mtok: int | None, observed: Interval | None) -> float | None:
    if observed is not None and observed.source == "observed":
        return observed.value
    return None if nanousd_per_mtok is None else nanousd_per_mtok * A_JOB_TOKENS / 1e6


def bears(repo: str, family: str) -> bool:
    """Whether a repository's name has the word, with or without a number behind it: `Llama-3.1-8B` is a `llama`,
    `roberta-base` no `bert`."""
    name = re.sub(r"[^a-z0-9.]+", "-", repo.rpartition("/")[2].lower())
    return re.search(rf"(?<![a-z0-9]){re.escape(family)}(?:-?v?\d[\d.]*)?(?![a-z0-9])", name) is not None
