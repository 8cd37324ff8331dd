"""What is to be written: rows of the Hub and words of small sources against what was written before. Blocking, no
network; the caller publishes what it answers, and only then has it noted."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hub.catalog.fields import is_count
from hub.catalog.merging import combined, same
from hub.catalog.rows import Refused, read_row
from hub.sync.marks import aged, is_news, marks_of
from hub.sync.store import HUB, Claim, Known, Store
from schemas import codec
from schemas.catalog import CatalogEntry, Kind, Security

Written = tuple[str, CatalogEntry | None]
"""A key and what is written under it; None: it is gone."""


@dataclass
class Taken:
    """What a page, or a source, came to."""

    news: list[Written] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    """Keys of rows that say what was written already."""
    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    wanted: set[str] = field(default_factory=set)
    """Keys of which the Hub's own words are needed and not at hand: they are asked for one by one."""


class Book:
    """What is known, by the store. `words` of small sources are kept in memory too: some hundreds."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.words = store.words()
        self.looks = store.looks()

    def rows(self, kind: Kind, told: Sequence[Any], at: datetime, *, walk: int = 0) -> Taken:
        """What a page of the Hub's list changes. `walk`: the number of the full reading that it is of."""
        taken = Taken(rows=len(told))
        entries: dict[str, CatalogEntry] = {}
        for row in told:
            entry = read_row(kind, row, at, dropped=taken.dropped)
            if isinstance(entry, Refused):
                taken.refused[entry.reason] += 1
            else:
                entries[entry.key] = entry
        self._entries(entries, taken, walk)
        return taken

    def entry(self, entry: CatalogEntry) -> Taken:
        """What one repository's own answer changes. It takes no other's place: it says nothing of others."""
        taken = Taken(rows=1)
        self._entries({entry.key: entry}, taken, None)
        return taken

    def _entries(self, entries: dict[str, CatalogEntry], taken: Taken, walk: int | None) -> None:
        known = self.store.known(list(entries))
        page = Counter(entry.hub_id for entry in entries.values())
        asked = [hub_id for key, entry in entries.items()
                 if (hub_id := entry.hub_id) is not None and (key not in known or known[key].formerly)]  # fmt: skip
        claims = self.store.claims(asked) if asked else {}
        for key, entry in entries.items():
            old = known.get(key)
            others = [one for one in claims.get(entry.hub_id or "", ()) if _beside(key, one.key)]
            former = None if old is not None or page[entry.hub_id] > 1 else _renamed(others, walk)
            known_as = _formerly(entry, old, former, others)
            looked = self._looked(key, entry).model_copy(update={"formerly": known_as})
            if former is not None and former.key not in entries:
                taken.news.append((former.key, self._rest(former.key)))
            whole = self._whole(key, looked)
            marks = marks_of(whole)
            if is_news(None if old is None else old.marks, marks):
                taken.news.append((key, aged(whole, None if old is None else old.marks, marks)))
            else:
                taken.same.append(key)

    def _looked(self, key: str, entry: CatalogEntry) -> CatalogEntry:
        """With what a closer look at this very commit has found."""
        look = self.looks.get(key)
        if look is None or look[0] != entry.revision:
            return entry
        return with_look(entry, look[2])

    def _whole(self, key: str, entry: CatalogEntry) -> CatalogEntry:
        """With what others say of it. Their words need the Hub's beside them later: those are kept."""
        others = self.words.get(key)
        if others is None or not (others.keys() - {HUB}):
            return entry
        if HUB not in others or not same(others[HUB], entry):
            others[HUB] = entry
            self.store.say([(key, HUB, entry)])
        return combined([entry, *(one for source, one in others.items() if source != HUB)], former=entry.formerly)

    def _rest(self, key: str) -> CatalogEntry | None:
        """What is left of an entry that the Hub does not name any more."""
        others = self.words.get(key)
        if others is None:
            return None
        if others.pop(HUB, None) is not None:
            self.store.say([(key, HUB, None)])
        return combined(others.values()) if others else None

    def gone(self, keys: Iterable[str]) -> Taken:
        """The Hub names these no more."""
        taken = Taken()
        for key in keys:
            taken.news.append((key, self._rest(key)))
        return taken

    def say(self, source: str, entries: Iterable[CatalogEntry]) -> Taken:
        """A small source has spoken: this is all that it says now."""
        taken = Taken()
        told = {entry.key: entry for entry in entries}
        taken.rows = len(told)
        silent = [key for key, words in self.words.items() if source in words and key not in told]
        changed = [
            key
            for key, entry in told.items()
            if (old := self.words.get(key, {}).get(source)) is None or not same(old, entry)
        ]
        touched = [*changed, *silent]
        known = self.store.known(touched)
        for key in touched:
            words = self.words.setdefault(key, {})
            entry = told.get(key)
            if entry is None:
                del words[source]
            else:
                words[source] = entry
            self.store.say([(key, source, entry)])
            before = known.get(key)
            if before is not None and HUB in before.marks and HUB not in words:
                taken.wanted.add(key)
                continue
            self._write(key, words, before, taken)
        return taken

    def _write(self, key: str, words: dict[str, CatalogEntry], old: Known | None, taken: Taken) -> None:
        if not words:
            del self.words[key]
            taken.news.append((key, None))
            return
        whole = combined(words.values(), former=old.formerly if old is not None else ())
        marks = marks_of(whole)
        if is_news(None if old is None else old.marks, marks):
            taken.news.append((key, aged(whole, None if old is None else old.marks, marks)))
        if set(words) == {HUB}:  # only the Hub speaks of it now: its words come with its list
            self.store.say([(key, HUB, None)])
            del self.words[key]

    def without_hub(self, key: str) -> Taken:
        """The Hub was asked for one repository, and has none of this id."""
        return self.gone([key])

    def looked(self, key: str, revision: str | None, at: datetime, told: bytes) -> None:
        """A closer look was taken."""
        self.looks[key] = (revision, at.timestamp(), told.decode())
        self.store.look(key, revision, at.timestamp(), told.decode())


def _beside(key: str, other: str) -> bool:
    """Another key of the same kind."""
    return other != key and other.partition("/")[0] == key.partition("/")[0]


def _renamed(others: Sequence[Claim], walk: int | None) -> Claim | None:
    """Which of the entries of its `_id` a new one was before it was renamed.

    An `_id` is one repository's. A Hub that tells it under two names in one full reading has two repositories: both
    stand, and none has the other's history. So has one that already had two. None: it was not renamed, or nobody knows.
    """
    if walk is None or len(others) != 1:
        return None
    return None if walk and others[0].walk == walk else others[0]


def _formerly(entry: CatalogEntry, old: Known | None, former: Claim | None, others: Sequence[Claim]) -> tuple[str, ...]:
    """Ids that a repository had before, without those under which another stands beside it. One of the same id and
    another `_id` is another: no history of its own."""
    if old is not None:
        is_other = old.hub_id is not None and entry.hub_id is not None and old.hub_id != entry.hub_id
        beside = {_name(one.key) for one in others}
        return () if is_other else tuple(one for one in old.formerly if one not in beside)
    if former is None:
        return ()
    told = dict.fromkeys((*former.formerly, _name(former.key)))
    return tuple(one for one in told if one != entry.id)[-16:]


def _name(key: str) -> str:
    return key.partition("/")[2]


def with_look(entry: CatalogEntry, told: str) -> CatalogEntry:
    """An entry with what a closer look has found: the scanners' word, the beginning of its card, and the size of its
    weights where no header tells it."""
    look = codec.decode(told.encode())
    more: dict[str, Any] = {}
    if look.get("security"):
        more["security"] = Security.model_validate(look["security"])
    if look.get("description") and entry.description is None:
        more["description"] = str(look["description"])
    if is_count(look.get("size_bytes")) and entry.size_bytes is None:
        more["size_bytes"] = look["size_bytes"]
    if not more:
        return entry
    of_hub = [name for name in ("security", "size_bytes") if name in more]
    said_of = []
    for said in entry.said:
        adds = tuple(name for name in of_hub if name not in said.fields) if said.source == "hub" else ()
        said_of.append(said.model_copy(update={"fields": (*said.fields, *adds)}) if adds else said)
    if "description" in more:
        card = next((said for said in said_of if said.source == "card"), None)
        if card is None:
            hub = said_of[0]
            said_of.insert(1, hub.model_copy(update={"source": "card", "fields": ("description",)}))
        else:
            said_of[said_of.index(card)] = card.model_copy(update={"fields": (*card.fields, "description")})
    return entry.model_copy(update={**more, "said": tuple(said_of)})
