"""Judgements by stated rules: how well an entry of the catalogue answers a query whose need a person has written down.

A need (`hub/data/judged.jsonl`) says which task, language, field, licence, size, library, words or name are meant. The
grade looks at the entry's own fields alone, never at how anybody ranks it or reads the query:

- 3: it has everything that the need names, and is used (1,000 downloads in 30 days and more);
- 2: it has everything, but hardly anybody uses it; or its language is met by being multilingual only;
- 1: it does the task (or bears part of the name), and all but one thing of the rest;
- 0: else.

nDCG as Järvelin and Kekäläinen have it ("Cumulated gain-based evaluation of IR techniques", 2002), with the gain
2^grade - 1 and the discount log2(place + 1); the ideal order is that of all entries.
"""

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from hub.recommend.constraints import spoken
from schemas import codec
from schemas.catalog import CatalogEntry

USED = 1_000
"""Downloads of 30 days from which on a model counts as used."""
BEST = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """One query with its need."""

    query: str
    part: str
    need: Mapping[str, Any]


@functools.cache
def judged() -> tuple[Judged, ...]:
    """The judged queries that come with Novix."""
    text = resources.files("hub").joinpath("data", "judged.jsonl").read_text("utf-8")
    return tuple(Judged(**codec.decode(line.encode())) for line in text.splitlines())


def grade(entry: CatalogEntry, need: Mapping[str, Any]) -> int:
    """0 to 3."""
    main, weak = _main(entry, need), False
    if not main:
        return 0
    rest = list(_rest(entry, need))
    languages = spoken(entry)
    if "languages" in need and "mul" not in need["languages"] and not set(need["languages"]) <= languages:
        weak = "mul" in languages
    missing = rest.count(False)
    if main == "whole" and missing == 0:
        return 2 if weak or (entry.downloads or 0) < USED else 3
    return 1 if (main == "whole" and missing == 1 and len(rest) > 1) or (main == "part" and missing == 0) else 0


def _main(entry: CatalogEntry, need: Mapping[str, Any]) -> str:
    """Whether the task or the name is met: `whole`, `part` or not at all."""
    if "tasks" in need:
        return "whole" if entry.task in need["tasks"] or set(entry.tasks) & set(need["tasks"]) else ""
    name = entry.id.partition("/")[2].lower() or entry.id.lower()
    words = need["name"]
    if all(word in name for word in words):
        return "whole"
    family = re.split(r"[-_]", words[0])[0]
    return "part" if family in _words(entry.id) or family in entry.tags else ""


@functools.lru_cache(maxsize=100_000)
def _words(name: str) -> frozenset[str]:
    return frozenset(re.split(r"[^a-z0-9]+", name.lower()))


def _rest(entry: CatalogEntry, need: Mapping[str, Any]) -> Iterable[bool]:
    name, tags = _words(entry.id), {tag.lower() for tag in entry.tags}
    if "languages" in need:
        languages = spoken(entry)
        many = "mul" in languages or len(languages) > 2
        yield many if "mul" in need["languages"] else "mul" in languages or set(need["languages"]) <= languages
    if "domains" in need:
        yield any(one in entry.domains or one in tags or one in name for one in need["domains"])
    if "words" in need:
        yield any(word in name or any(word in tag for tag in tags) for word in need["words"])
    if "libraries" in need:
        yield any(one in tags or one == entry.library for one in need["libraries"])
    if "licenses" in need:
        yield entry.license in need["licenses"]
    if "max_parameters" in need or "min_parameters" in need:
        low, high = need.get("min_parameters", 0), need.get("max_parameters", math.inf)
        yield entry.parameters is not None and low <= entry.parameters <= high


def ndcg(grades: Sequence[int], all_grades: Iterable[int], best: int = BEST) -> float | None:
    """Of an order's first `best`; None where no entry has a grade: nothing can be found."""
    ideal = _gain(sorted(all_grades, reverse=True)[:best])
    return None if ideal == 0 else _gain(grades[:best]) / ideal


def _gain(grades: Sequence[int]) -> float:
    return math.fsum((2**one - 1) / math.log2(place + 1) for place, one in enumerate(grades, 1))


def document(entry: CatalogEntry) -> list[str]:
    """An entry as plain BM25 sees it: the words of everything that it says of itself."""
    said = (entry.id, entry.task or "", *entry.tags, *entry.languages, entry.license or "", entry.description or "")
    return re.findall(r"[a-z0-9]+", " ".join(said).lower())


class PlainBm25:
    """Okapi BM25 with its usual constants and nothing else (Robertson and Zaragoza, "The Probabilistic Relevance
    Framework: BM25 and Beyond", 2009): k1 = 1.2, b = 0.75. Of equals the more downloaded one comes first."""

    def __init__(self, entries: Sequence[CatalogEntry]) -> None:
        self._entries = entries
        self._counts = [Counter(document(entry)) for entry in entries]
        self._sizes = [sum(counts.values()) for counts in self._counts]
        self._mean = sum(self._sizes) / max(1, len(entries))
        self._where: dict[str, list[int]] = {}
        for place, counts in enumerate(self._counts):
            for word in counts:
                self._where.setdefault(word, []).append(place)

    def search(self, query: str) -> list[CatalogEntry]:
        """The ten best."""
        words = re.findall(r"[a-z0-9]+", query.lower())
        scores: dict[int, float] = {}
        for word in words:
            for place in self._where.get(word, ()):
                share = self._share(self._counts[place][word], self._sizes[place])
                scores[place] = scores.get(place, 0.0) + self._weight(word) * share
        scored = [
            (-score, -(self._entries[place].downloads or 0), self._entries[place].id, self._entries[place])
            for place, score in scores.items()
        ]
        return [row[3] for row in sorted(scored, key=lambda row: row[:3])[:BEST]]

    def _weight(self, word: str) -> float:
        have = len(self._where[word])
        return math.log(1 + (len(self._entries) - have + 0.5) / (have + 0.5))

    def _share(self, count: int, size: int) -> float:
        return count * 2.2 / (count + 1.2 * (0.25 + 0.75 * size / self._mean))


_SMALL = frozenset(
    [
        "a",
        "an",
        "the",
        "in",
        "of",
        "for",
        "to",
        "from",
        "with",
        "or",
        "and",
        "as",
        "is",
        "this",
        "what",
        "on",
        "under",
        "into",
        "by",
    ]
)


def hub_order(entries: Sequence[CatalogEntry], query: str) -> list[CatalogEntry]:
    """The Hub's own way: ids that have the query in them, by downloads. Kinder than the Hub is: where none has all of
    it, those with every word; where none has those, those with any word."""
    whole = query.lower()
    words = [word for word in re.findall(r"[a-z0-9.]+", whole) if word not in _SMALL]
    ways: tuple[Callable[[str], bool], ...] = (
        lambda name: whole in name,
        lambda name: bool(words) and all(word in name for word in words),
        lambda name: any(word in name for word in words),
    )
    for way in ways:
        hits = [entry for entry in entries if way(entry.id.lower())]
        if hits:
            return sorted(hits, key=lambda entry: (-(entry.downloads or 0), entry.id))[:BEST]
    return []
