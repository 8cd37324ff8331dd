"""Discovery in one go: how good the order is, how fast searches are, how facets are counted. Needs no Kafka.

Relevance is that of `bench.relevance`, times, cold and warm, are those of `bench.hub`; beside them what facets cost,
and how many of the answers have exact ones. `python -m bench discovery`: 500,000 models, some minutes; `--quick`:
20,000.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from bench import hub, relevance
from bench.figure import Figure

NAME = "discovery"
ROWS, QUICK_ROWS = 500_000, 20_000
ROUNDS = 3


def measure(*, quick: bool = False) -> list[Figure]:
    """The judged queries, then the index, then its facets."""
    found = relevance.measure(quick=quick)
    with tempfile.TemporaryDirectory(prefix="novix-discovery-") as folder:
        found += hub.measured(QUICK_ROWS if quick else ROWS, Path(folder))
        found += facets(Path(folder))
    return [replace(one, measurement=NAME) for one in found]


def facets(folder: Path) -> list[Figure]:
    """What they cost: the same queries with and without, in turn; and how they were counted."""
    from hub.discovery.known import Unknown
    from hub.index.store import Index
    from schemas.discovery import Criteria

    index = Index(folder, writes=False)
    times: dict[bool, list[float]] = {True: [], False: []}
    exact = 0
    for query in hub.QUERIES:  # whoever is first reads the files
        index.search(Criteria.model_validate(query), known=Unknown(), now=hub.AT)

    def asked(query: dict[str, Any], wanted: bool) -> Any:
        began = perf_counter()
        answer = index.search(Criteria.model_validate({**query, "facets": wanted}), known=Unknown(), now=hub.AT)
        times[wanted].append((perf_counter() - began) * 1_000)
        return answer

    try:
        for query in hub.QUERIES:
            for _ in range(ROUNDS):
                asked(query, False)
                answer = asked(query, True)
            exact += not any(one.estimated for one in answer.facets)
    finally:
        index.close()
    about = f"{len(hub.QUERIES)} queries, {ROUNDS} rounds, in turn with and without"
    p95 = {wanted: hub.percentile(some, 0.95) for wanted, some in times.items()}
    return [
        Figure(NAME, "search with facets, p95", round(p95[True], 1), "ms", "under 2,000 ms", about),
        Figure(NAME, "search without facets, p95", round(p95[False], 1), "ms"),
        Figure(
            NAME, "answers whose facets are exact", round(exact / len(hub.QUERIES), 3), "", "",
            "the others are counted from a sample, and marked",
        ),
    ]  # fmt: skip
