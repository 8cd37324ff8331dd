"""Whether one entry fits, without an index: for what other sources answer. Pure.

The same rules as `hub.discovery.filters` has for columns; a test lets both judge the same entries.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from hub.discovery.known import Known
from hub.index.offers import latency_of, offered
from hub.index.synonyms import CALLED, CATEGORIES, LANGUAGES, NOT_KNOWN
from hub.index.words import Asked, asked, document, folded
from schemas.catalog import CatalogEntry
from schemas.discovery import Criteria
from schemas.tasks import MODALITIES

OfferFacts = tuple[str, str, int | None, float | None]
"""Provider, region (`""`: unsaid), nano-dollars a million tokens, milliseconds."""


def unmet(entry: CatalogEntry, criteria: Criteria, known: Known, now: datetime) -> tuple[str, ...]:
    """The constraints that an entry does not meet, by name; those of one offer together as `one_offer`. Without text,
    `trending` and `popular`, which are about all entries, and `approved`."""
    return tuple(dict.fromkeys([*_of_entry(entry, criteria, now), *_of_offers(entry, criteria, known)]))


def says(entry: CatalogEntry, text: str) -> bool:
    """Whether all words of a query are in an entry, as they are written or by another name of the task or language."""
    query: Asked = asked(text)
    if not query.groups:
        return not text.strip()
    have = {word for column in document(entry).columns() for word in column.split()}
    found = [any(set(alternative) <= have for alternative in group) for group in query.groups]
    typed = query.typed and any(word.startswith(query.typed) for word in document(entry).name.split())
    return all(ok or (typed and (query.typed,) in group) for ok, group in zip(found, query.groups, strict=True))


def _of_entry(entry: CatalogEntry, criteria: Criteria, now: datetime) -> Iterator[str]:
    task = entry.task or entry.pipeline_tag
    tasks = {folded(one) for one in (entry.task, entry.pipeline_tag, *entry.tasks) if one}
    modality = folded(entry.modality or (MODALITIES.get(task) if task else None) or NOT_KNOWN)
    single: Mapping[str, str | None] = {
        "libraries": entry.library,
        "licenses": entry.license or entry.license_raw,
        "authors": entry.id.rpartition("/")[0] or entry.author,
    }
    if criteria.tasks and not any(_does(one, tasks, modality) for one in criteria.tasks):
        yield "tasks"
    if criteria.modalities and modality not in {
        CATEGORIES.get(folded(one), folded(one)) for one in criteria.modalities
    }:
        yield "modalities"
    if criteria.languages and not any(_speaks(entry, one) for one in criteria.languages):
        yield "languages"
    for name, value in single.items():
        wanted = set(map(folded, getattr(criteria, name)))
        if wanted and folded(value or NOT_KNOWN) not in wanted:
            yield name
    if not set(map(folded, criteria.tags)) <= set(map(folded, entry.tags)):
        yield "tags"
    sizes: tuple[tuple[str, int | None, Callable[[int, int], bool]], ...] = (
        ("min_parameters", entry.parameters, int.__ge__), ("max_parameters", entry.parameters, int.__le__),
        ("max_bytes", entry.size_bytes, int.__le__),
    )  # fmt: skip
    for name, have, fits in sizes:
        limit = getattr(criteria, name)
        if limit is not None and not (criteria.unknown_size if have is None else fits(have, limit)):
            yield name
    if criteria.gated is not None and (entry.gated is None or (entry.gated != "no") != criteria.gated):
        yield "gated"
    changed = max(filter(None, (entry.last_modified, entry.created_at)), default=None)
    if criteria.recent_days is not None and (changed is None or changed < now - timedelta(days=criteria.recent_days)):
        yield "recent_days"


def _does(task: str, tasks: set[str], modality: str) -> bool:
    said = folded(task)
    if said in CATEGORIES:
        return CATEGORIES[said] == modality
    return bool(tasks & {said, CALLED.get(said.replace("-", " "), said), said.replace(" ", "-")})


def _speaks(entry: CatalogEntry, language: str) -> bool:
    said = folded(language)
    if said == NOT_KNOWN:
        return not entry.languages
    code = LANGUAGES.get(said, said)
    return any(_begins(folded(one), code) for one in entry.languages)


def _begins(have: str, wanted: str) -> bool:
    return have == wanted or have.startswith(f"{wanted}-")


def _of_offers(entry: CatalogEntry, criteria: Criteria, known: Known) -> Iterator[str]:
    offers = list(offers_of(entry, known))
    if criteria.served is False and offers:
        yield "served"
    guess = latency_of(entry)
    observed = known.latency(entry.id)
    alone = observed.value if observed else guess.value if guess else None
    met = meeting(criteria)
    for name, fits in met.items():
        unserved = name == "max_latency_ms" and not offers
        if not any(map(fits, offers)) and not (unserved and fits(("", "", None, alone))):
            yield name
    if len(met) > 1 and not any(all(fits(offer) for fits in met.values()) for offer in offers):
        yield "one_offer"


def meeting(criteria: Criteria) -> dict[str, Callable[[OfferFacts], bool]]:
    """What is asked of an offer, by the constraint's name."""
    met: dict[str, Callable[[OfferFacts], bool]] = {}
    price, most_ms = criteria.max_nanousd_per_mtok, criteria.max_latency_ms
    if criteria.providers:
        providers = set(map(folded, criteria.providers))
        met["providers"] = lambda offer: folded(offer[0]) in providers
    if criteria.regions:
        regions = [folded(one) for one in criteria.regions]
        met["regions"] = lambda offer: any(_begins(folded(offer[1]), one) for one in regions)
    if criteria.served:
        met["served"] = lambda offer: True
    if price is not None:
        met["max_nanousd_per_mtok"] = lambda offer: offer[2] is not None and offer[2] <= price
    if most_ms is not None:
        met["max_latency_ms"] = lambda offer: offer[3] is not None and offer[3] <= most_ms
    return met


def offers_of(entry: CatalogEntry, known: Known) -> Iterator[OfferFacts]:
    """The live offers: what Novix sees of a provider takes the place of what the catalogue says, what was observed that
    of what is stated."""
    observed = known.latency(entry.id)
    told = known.offers(entry.id)
    for one in told:
        ms = one.latency.value if one.latency else observed.value if observed else None
        for region in one.regions or ("",):
            if one.live:
                yield one.provider, region, one.nanousd_per_mtok, ms
    named = {folded(one.provider) for one in told}
    for offer in offered(entry):
        if offer.live and folded(offer.provider) not in named:
            ms = observed.value if observed else offer.latency_ms
            yield offer.provider, offer.region, offer.nanousd_per_mtok, ms


def first_that_fit(
    entries: Iterable[CatalogEntry], criteria: Criteria, known: Known, now: datetime, *, text: bool
) -> list[CatalogEntry]:
    """Those of a source's answer that meet everything; `text`: its words too, where the source was not asked them."""
    return [
        entry
        for entry in entries
        if entry.kind == criteria.kind
        and not entry.disabled
        and not unmet(entry, criteria, known, now)
        and (not text or says(entry, criteria.text))
    ]
