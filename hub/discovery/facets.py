"""Facets and insights of the hits: counts of their values, what they are like."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from hub.discovery.known import Known
from hub.index.cells import FIELD_BITS, FIELDS
from hub.index.columns import GATED, SERVED, Columns
from hub.index.file import batched, marks
from hub.index.store import Index
from schemas.discovery import Criteria, Facet, FacetValue, Found, Insights

EXACT_HITS = 10_000
"""Up to so many hits facets are counted; of more a sample."""
VALUES = 30
SINGLE = {"modalities": "modality", "libraries": "library", "licenses": "license", "authors": "author"}
LISTS = {"tasks": "tasks", "languages": "language", "providers": "provider", "regions": "region", "tags": "tag"}
"""Facets, named by the criterion that asks for their values, and the field that they count."""
SIZES = ((10**8, "under 100M"), (10**9, "100M to 1B"), (8 * 10**9, "1B to 8B"), (32 * 10**9, "8B to 32B"))
LARGEST = "over 32B"
UNKNOWN = "unknown"
Rows = NDArray[np.int64]


def facets(index: Index, hits: Rows) -> tuple[Facet, ...]:
    """The values of each field among the hits, most first, at most `VALUES`; under the index's lock.

    In a single-valued field hits without a value count as `unknown`, so that all counts add up. Of more than
    `EXACT_HITS` a sample is counted, evenly through the catalogue, and multiplied up: those are marked `estimated`.
    """
    columns = index.columns
    sample, factor = sampled(columns, hits)
    estimated = factor != 1.0
    counts: dict[str, dict[int, int]] = {}
    for name, column in SINGLE.items():
        counts[name] = _counted(columns[column][sample])
    numbers = columns.words_of(sample)
    fields = numbers >> FIELD_BITS
    for name, field in LISTS.items():
        counts[name] = _counted(numbers[fields == FIELDS[field]])
    shown = _words(index, [number for one in counts.values() for number in one])
    found = []
    for name in (
        "tasks",
        "modalities",
        "libraries",
        "languages",
        "licenses",
        "providers",
        "regions",
        "authors",
        "tags",
    ):
        told = {shown[number] if number else UNKNOWN: count for number, count in counts[name].items()}
        found.append(Facet(name=name, values=_ordered(told, factor), estimated=estimated))
    parameters = columns["parameters"][sample]
    sizes = np.searchsorted([limit for limit, _ in SIZES], parameters, side="right")
    names = [*(name for _, name in SIZES), LARGEST]
    told = {name: int(np.count_nonzero((sizes == at) & (parameters >= 0))) for at, name in enumerate(names)}
    told[UNKNOWN] = int(np.count_nonzero(parameters < 0))
    found.append(Facet(name="sizes", values=_ordered(told, factor, by_count=False), estimated=estimated))
    gates = columns["gated"][sample]
    gated = {name or UNKNOWN: int(np.count_nonzero(gates == number)) for name, number in GATED.items()}
    found.append(Facet(name="gated", values=_ordered(gated, factor), estimated=estimated))
    served = int(np.count_nonzero(columns["flags"][sample] & SERVED))
    told = {"true": served, "false": len(sample) - served}
    found.append(Facet(name="served", values=_ordered(told, factor), estimated=estimated))
    return tuple(found)


def sampled(columns: Columns, hits: Rows) -> tuple[Rows, float]:
    """At most `EXACT_HITS` hits, the same ones whatever the order of arrival; and how many each stands for."""
    if len(hits) <= EXACT_HITS:
        return hits, 1.0
    # The digest of a key is as good as chance, and the same tomorrow.
    chosen = np.argpartition(columns["tie"][hits], EXACT_HITS)[:EXACT_HITS]
    return hits[chosen], len(hits) / EXACT_HITS


def _counted(numbers: NDArray[np.uint32]) -> dict[int, int]:
    """The most frequent numbers with their counts, and 0: how many have none. As many more than are shown as have the
    count of the last of them, because equal ones are shown in the order of their texts."""
    found, counts = np.unique(numbers, return_counts=True)
    most = np.argsort(-counts, kind="stable")[: 8 * VALUES]
    if len(most) > VALUES:
        most = most[counts[most] >= counts[most[VALUES]]]  # one may be 0, which stands last
    if len(found) and found[0] == 0 and 0 not in most:
        most = np.append(most, 0)
    return dict(zip(found[most].tolist(), counts[most].tolist(), strict=True))


def _words(index: Index, numbers: Iterable[int]) -> dict[int, str]:
    """The texts of words, as they are shown."""
    found: dict[int, str] = {}
    for some in batched(sorted(set(numbers) - {0}), 900):
        asked = f"SELECT id, shown FROM word WHERE id IN ({marks(some)})"  # noqa: S608
        found.update(index.reader.execute(asked, some))
    return found


def _ordered(counts: Mapping[str, int], factor: float, *, by_count: bool = True) -> tuple[FacetValue, ...]:
    told = [(name, count) for name, count in counts.items() if count]
    if by_count:
        told.sort(key=lambda one: (one[0] == UNKNOWN, -one[1], one[0]))
    return tuple(FacetValue(value=name, count=round(count * factor)) for name, count in told[:VALUES])


def insights(
    index: Index, hits: Rows, page: tuple[Found, ...], told: tuple[Facet, ...], criteria: Criteria, known: Known
) -> Insights:
    """What the hits are like; under the index's lock. Deterministic: rules, no model of language."""
    tasks = next((facet.values[:5] for facet in told if facet.name == "tasks"), ())
    columns = index.columns
    scores = columns["trending"][hits]
    warm = hits[np.nan_to_num(scores, nan=0.0) > 0]
    order = np.lexsort((columns["tie"][warm], -columns["trending"][warm]))[:5]
    keys = index.keys(warm[order].tolist())
    trending = tuple(keys[row].partition("/")[2] for row in warm[order].tolist() if row in keys)
    return Insights(
        popular_tasks=tasks,
        trending=trending,
        quality_distribution=_qualities(index, hits, criteria, known),
        recommendations=advice(page, told, len(hits), criteria),
    )


def _qualities(index: Index, hits: Rows, criteria: Criteria, known: Known) -> tuple[FacetValue, ...]:
    """How many hits have which measured quality, in fifths, and of how many nobody knows."""
    here = set(hits.tolist()) if len(hits) < EXACT_HITS else None
    task = criteria.tasks[0] if len(criteria.tasks) == 1 else None
    mask = None
    if here is None:
        mask = np.zeros(index.columns.size, dtype=np.bool_)
        mask[hits] = True
    counts = [0] * 5
    rows = index.measured(known) if criteria.kind == "model" else {}
    for model, row in rows.items():
        if (row in here) if here is not None else (mask is not None and mask[row]):
            quality = known.quality(model, task)
            if quality is not None:
                counts[min(4, max(0, int(quality * 5)))] += 1
    told = [FacetValue(value=f"{at / 5:.1f} to {(at + 1) / 5:.1f}", count=count) for at, count in enumerate(counts)]
    return (*told, FacetValue(value=UNKNOWN, count=len(hits) - sum(counts)))


def advice(page: tuple[Found, ...], told: tuple[Facet, ...], hits: int, criteria: Criteria) -> tuple[str, ...]:
    """What somebody with these hits may want to do next, by rules."""
    by_name = {facet.name: facet for facet in told}
    said: list[str] = []
    if not hits:
        set_ = [name for name in Criteria.model_fields if name not in _NO_LIMIT and getattr(criteria, name)]
        if set_:
            said.append(f"nothing fits; leave out one of: {', '.join(set_)}")
        return tuple(said)
    served = (
        next((one.count for one in by_name["served"].values if one.value == "true"), 0) if "served" in by_name else 0
    )
    if criteria.served is None and 0 < served < hits:
        said.append(f"{_about(by_name['served'])}{served:,} of {hits:,} can be asked now: add served")
    if hits > EXACT_HITS and "tasks" in by_name and not criteria.tasks and by_name["tasks"].values:
        said.append(f"many hits: narrow by task, the most frequent is {by_name['tasks'].values[0].value}")
    priced = [found for found in page if found.cost is not None]
    if len(priced) > 1:
        least = min(priced, key=lambda found: (found.cost.value if found.cost else 0, found.entry.id))
        if least is not page[0]:
            said.append(f"the cheapest of this page is {least.entry.id}")
    if page and page[0].entry.gated in ("auto", "manual"):
        said.append(f"{page[0].entry.id} is gated: its author wants an agreement first")
    if page and page[0].entry.license is None:
        said.append(f"nobody has said under which SPDX licence {page[0].entry.id} is")
    return tuple(said)


def _about(facet: Facet) -> str:
    return "about " if facet.estimated else ""


_NO_LIMIT = ("kind", "tenant", "order", "limit", "offset", "facets", "unknown_size")
