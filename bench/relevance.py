"""Relevance of search: nDCG@10 on the judged queries, beside the Hub's own order and plain BM25. Needs no Kafka."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.figure import Figure
from bench.judged import PlainBm25, grade, hub_order, judged, ndcg
from bench.shelf import AT, shelf
from hub.discovery.known import Unknown
from hub.index.store import Index
from hub.recommend.recommend import recommend
from schemas.catalog import CatalogEntry
from schemas.discovery import Criteria
from schemas.recommendation import RecommendationContext, TaskDescription

NAME = "relevance"
Way = Callable[[str], Sequence[CatalogEntry]]
OURS, SENTENCE, BM25, HUB = "Novix, search", "Novix, recommend", "plain BM25", "the Hub's own order"


def ways(entries: Sequence[CatalogEntry], index: Index) -> dict[str, Way]:
    """Each way to answer a query with its ten best."""
    known, bm25 = Unknown(), PlainBm25(entries)
    by_id = {entry.id: entry for entry in entries}

    def ours(query: str) -> list[CatalogEntry]:
        found = index.search(Criteria(text=query, limit=10, facets=False), known=known, now=AT)
        return [one.entry for one in found.models]

    def sentence(query: str) -> list[CatalogEntry]:
        found = recommend(
            TaskDescription(sentence=query),
            RecommendationContext(at=AT, top=10),
            search=lambda criteria: index.search(criteria, known=known, now=AT),
            known=known,
        )
        return [by_id[one.model] for one in found.recommendations]

    return {OURS: ours, SENTENCE: sentence, BM25: bm25.search, HUB: lambda query: hub_order(entries, query)}


def figures(entries: Sequence[CatalogEntry], index: Index) -> dict[tuple[str, str], tuple[float, int]]:
    """Mean nDCG@10 and the number of queries, by way and half."""
    found: dict[tuple[str, str], list[float]] = {}
    asked = ways(entries, index)
    for one in judged():
        grades = {entry.id: grade(entry, one.need) for entry in entries}
        for name, way in asked.items():
            value = ndcg([grades[entry.id] for entry in way(one.query)], grades.values())
            if value is not None:
                found.setdefault((name, one.part), []).append(value)
    return {key: (sum(values) / len(values), len(values)) for key, values in found.items()}


def measure(*, quick: bool = False) -> list[Figure]:
    """Build the catalogue, ask every judged query in every way."""
    with tempfile.TemporaryDirectory() as folder:
        index = Index(Path(folder))
        try:
            rows = list(shelf())
            index.apply(rows)
            found = figures([entry for _, entry in rows], index)
        finally:
            index.close()
    told = []
    for part in ("second test", "held out", "second development", "development"):
        for name in (OURS, SENTENCE, BM25, HUB):
            value, count = found[name, part]
            wanted = "at least plain BM25" if name == OURS else ""
            told.append(Figure(NAME, f"nDCG@10, {part}: {name}", round(value, 4), "", wanted, f"{count} queries"))
    return told
