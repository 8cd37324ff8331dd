"""One entry out of what several sources say. Pure.

Each source's word is a partial entry whose `said` names its fields. Where two speak of one field, the earlier in
`ORDER` is believed, and only that one is named for it; offers of all stand beside each other in `served`. So an entry
can be taken apart again into what each source gave to it, and a source that falls silent takes its own words along.
"""

from collections.abc import Iterable
from typing import Any

from schemas.catalog import CatalogEntry, Said, Serving, Source

ORDER: tuple[Source, ...] = ("hub", "card", "mapping", "router", "novix", "local", "endpoints")
OF_THE_HUB: tuple[Source, ...] = ("hub", "card", "mapping")
"""They come in one row, and are said anew together."""
MAX_FORMER = 16
MAX_SERVED = 64


def merge(old: CatalogEntry | None, news: CatalogEntry) -> CatalogEntry:
    """What is known after a source has spoken: `news` takes the place of all that its sources had said before.

    `since` stays for a source that says the same as before. A repository that was renamed keeps its former ids.
    """
    if old is None:
        return combined([news])
    spoken = {said.source for said in news.said}
    if "hub" in spoken:
        spoken |= set(OF_THE_HUB)
    kept = [part for source, part in parts(old).items() if source not in spoken]
    merged = combined([news, *kept], former=_former(old, news))
    return _since(old, merged)


def without(old: CatalogEntry, sources: Iterable[Source]) -> CatalogEntry | None:
    """What is known once these sources say nothing of it; None: nothing."""
    gone = set(sources)
    kept = [part for source, part in parts(old).items() if source not in gone]
    return _since(old, combined(kept, former=old.formerly)) if kept else None


def parts(entry: CatalogEntry) -> dict[Source, CatalogEntry]:
    """What each source gave to an entry, as an entry of its own."""
    found: dict[Source, CatalogEntry] = {}
    for said in entry.said:
        told: dict[str, Any] = {name: getattr(entry, name) for name in said.fields if name != "served"}
        if "served" in said.fields:
            told["served"] = tuple(one for one in entry.served if one.source == said.source)
        found[said.source] = bare(entry).model_copy(update={**told, "said": (said,)})
    return found


def bare(entry: CatalogEntry) -> CatalogEntry:
    """Only which repository it is."""
    return CatalogEntry(kind=entry.kind, id=entry.id)


def combined(told: Iterable[CatalogEntry], *, former: tuple[str, ...] = ()) -> CatalogEntry:
    """One entry of several, each said by other sources. Of a field of two, the first in `ORDER` is believed."""
    whole = list(told)
    ranked = sorted(
        ((ORDER.index(said.source), said, entry) for entry in whole for said in entry.said), key=lambda one: one[0]
    )
    fields: dict[str, Any] = {}
    said_of: list[Said] = []
    served = []
    for _, said, entry in ranked:
        own = []
        for name in said.fields:
            if name == "served":
                served += [one for one in entry.served if one.source == said.source]
                own.append(name)
            elif name not in fields:
                fields[name] = getattr(entry, name)
                own.append(name)
        said_of.append(said if len(own) == len(said.fields) else said.model_copy(update={"fields": tuple(own)}))
    if served:
        fields["served"] = in_order(served)
    return bare(whole[0]).model_copy(update={**fields, "formerly": former, "said": tuple(said_of)})


def in_order(served: Iterable[Serving]) -> tuple[Serving, ...]:
    """Offers as they stand in an entry: by provider, task and source."""
    return tuple(sorted(served, key=lambda one: (one.provider, one.task or "", one.source)))[:MAX_SERVED]


def same(one: CatalogEntry, other: CatalogEntry) -> bool:
    """Whether both say the same, whenever it was first read."""
    return one.model_copy(update={"said": ()}) == other.model_copy(update={"said": ()}) and {
        (said.source, frozenset(said.fields)) for said in one.said
    } == {(said.source, frozenset(said.fields)) for said in other.said}


def _since(old: CatalogEntry, merged: CatalogEntry) -> CatalogEntry:
    before = {said.source: (said, part) for said, part in zip(old.said, parts(old).values(), strict=True)}
    said_of = []
    for said, part in zip(merged.said, parts(merged).values(), strict=True):
        earlier = before.get(said.source)
        is_same = earlier is not None and old.id == merged.id and same(earlier[1], part)
        said_of.append(said.model_copy(update={"since": earlier[0].since}) if earlier and is_same else said)
    return merged.model_copy(update={"said": tuple(said_of)})


def _former(old: CatalogEntry, news: CatalogEntry) -> tuple[str, ...]:
    ids = [*old.formerly, *([old.id] if old.id != news.id else []), *news.formerly]
    return tuple(dict.fromkeys(one for one in ids if one != news.id))[-MAX_FORMER:]
