"""A search of the index: criteria in, hits with their reasons out."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hub.discovery import meant, rank
from hub.discovery.facets import facets, insights
from hub.discovery.filters import REASONS, Masks
from hub.discovery.found import Spread, cost, latency, spread
from hub.discovery.known import Known
from hub.discovery.matching import matches
from hub.discovery.meant import Wish
from hub.discovery.related import narrowed, related
from hub.index.columns import UNKNOWN, Mask
from hub.index.embed import cosines
from hub.index.store import Index
from hub.index.words import Asked, asked, exact_token, words
from schemas.discovery import Criteria, Discovery, Facet, Found, Part, Removal, SourceNote

POOL = 500
"""BM25's best, which are weighed anew with everything that is known of them."""
LOOSE_BM25, LOOSE_NEAR = 200, 100
"""Of a query that little matches as a whole: rows that match parts of it, and rows of a near meaning."""
LOOSE_MEANT, HALF_MEANT = 150, 0.5
"""Rows that have what the query means, from half of it."""
NEAR_ENOUGH = 0.45
"""Cosine from which on a meaning is near; of texts that have nothing to do with each other it is 0.0 to 0.3."""
RULED = 2_000
"""Hits of which the registry is asked one by one; of more, only those that are weighed."""
EXAMPLES = 3
Rows = NDArray[np.int64]


@dataclass(slots=True)
class _Hits:
    """What fits, and what was found out on the way."""

    rows: Rows
    weighed: NDArray[np.float64] | None = None
    """BM25 by row; NaN: it was not asked for. None: there is no text."""
    exact: bool = True
    named: frozenset[int] = frozenset()
    """Rows whose name is what was asked, whatever stands between its words."""
    vector: NDArray[np.float32] | None = None
    wishes: tuple[Wish, ...] = ()
    """What the query means beside its words."""


def search(index: Index, criteria: Criteria, *, known: Known, now: datetime | None = None) -> Discovery:
    """What fits, best first, and why. Reads the index only; takes tens of milliseconds for half a million entries.

    Words of the query hold together; where fewer than a page fit, what fits parts of it or is near in meaning comes
    behind, and `filtered` is not exact.
    """
    began = time.perf_counter()
    now = now or datetime.now(UTC)
    with index.lock:
        masks = Masks(index, criteria, known=known, now=now)
        base, constraints = masks.base(), masks.constraints()
        let_through = base.copy()
        for mask in constraints.values():
            let_through &= mask
        said = asked(meant.searched(_called(criteria)) if criteria.kind == "model" else criteria.text)
        if criteria.text.strip() and not said.groups:  # signs, no words: nothing can be found by them
            hits, before = _Hits(np.zeros(0, np.int64)), base & False
        else:
            hits, before = _hits(index, criteria, said, base, let_through, masks)
        removed, removals = _removed(index, before, constraints)
        ordered, found = _ordered(index, criteria, said, hits, known, now)
        if criteria.approved:
            ordered, removed["approved"], removals["approved"] = _approved(index, criteria, ordered, hits, known)
        shown = ordered[criteria.offset : criteria.offset + criteria.limit]
        entries = index.entries(shown.tolist())
        models = tuple(found(row, entries[row], known) for row in shown.tolist() if row in entries)
        told = facets(index, hits.rows) if criteria.facets else ()
        total = int(np.count_nonzero(masks.kind()))
        return Discovery(
            criteria=criteria,
            total=total,
            filtered=len(hits.rows),
            filtered_is_exact=hits.exact,
            models=models,
            facets=told,
            related=_related(index, criteria, hits, told),
            insights=insights(index, hits.rows, models, told, criteria, known),
            weights=dict(_weights(criteria, said, hits)),
            sources=(_note(index),),
            removed=removed,
            removals=removals,
            took_ms=round((time.perf_counter() - began) * 1_000, 3),
        )


def _called(criteria: Criteria) -> str:
    return meant.called(criteria.text) if criteria.kind == "model" else criteria.text


def _related(index: Index, criteria: Criteria, hits: _Hits, told: tuple[Facet, ...]) -> tuple[str, ...]:
    past: list[str] = []
    if hits.vector is not None and index.searches is not None:
        past = index.searches.near(criteria.text, hits.vector)
        if len(hits.rows) and not criteria.offset:
            index.searches.note(criteria.text, hits.vector)
    return related(past, narrowed(criteria, told, len(hits.rows)))


def _weights(criteria: Criteria, said: Asked, hits: _Hits) -> Mapping[str, float]:
    if criteria.order != "relevance":
        return {criteria.order: 1.0}
    if hits.wishes:
        return rank.WITH_MEANING
    return rank.WITH_TEXT if said.groups else rank.WITHOUT_TEXT


def _note(index: Index) -> SourceNote:
    as_of = index.note("as_of")
    return SourceNote(source="index", ok=True, as_of=datetime.fromisoformat(as_of) if as_of else None)


def _hits(
    index: Index, criteria: Criteria, said: Asked, base: Mask, let_through: Mask, masks: Masks
) -> tuple[_Hits, Mask]:
    """The rows that fit; and those that the text alone, without any constraint, finds."""
    if not said.groups:
        return _Hits(np.flatnonzero(let_through)), base
    strict = matches(index, said.strict(), weigh=criteria.order == "relevance")
    rows = strict.rows[strict.rows < index.columns.size]
    before = np.zeros(index.columns.size, dtype=np.bool_)
    before[rows] = True
    before &= base
    hits = before & let_through
    there = strict.weighed < index.columns.size  # a change that is written now is not in the columns yet
    weighed = np.full(index.columns.size, np.nan)
    weighed[strict.weighed[there]] = strict.scores[there]
    same = matches(index, f'name : "{exact_token(_called(criteria))}"', weigh=False).rows
    same = same[same < index.columns.size]
    same = same[let_through[same]]
    hits[same] = True
    before[same] = True
    told = _Hits(np.flatnonzero(hits), weighed, named=frozenset(same.tolist()))
    if criteria.order == "relevance":
        told.vector = index.embed(" ".join(said.plain))
        told.wishes = (
            meant.wishes(index, masks, criteria.text, named=bool(len(same))) if criteria.kind == "model" else ()
        )
        if len(told.rows) < criteria.limit:
            _loosen(index, said, told, hits, let_through)
    return told, before


def _loosen(index: Index, said: Asked, told: _Hits, hits: Mask, let_through: Mask) -> None:
    """Add what fits parts of the query, and what is near in meaning."""
    more: dict[int, float] = {}
    weighed = told.weighed if told.weighed is not None else np.full(index.columns.size, np.nan)
    if len(said.groups) > 1:
        loose = matches(index, said.loose())
        fits = (loose.weighed < len(let_through)) & let_through[np.minimum(loose.weighed, len(let_through) - 1)]
        rows, scores = loose.weighed[fits], loose.scores[fits]
        best = rank.best(scores, index.columns["downloads"][rows], index.columns["tie"][rows], LOOSE_BM25)
        more = dict(zip(rows[best].tolist(), scores[best].tolist(), strict=True))
    near: list[int] = []
    if told.vector is not None and np.any(told.vector):
        among, cosine = index.vectors.nearest(told.vector, let_through, LOOSE_NEAR)
        near = among[cosine >= NEAR_ENOUGH].tolist()
    near += _most_meant(index, told.wishes, np.flatnonzero(let_through), LOOSE_MEANT).tolist()
    added = [row for row in {**more, **dict.fromkeys(near)} if not hits[row]]
    if not added:
        return
    # A part of a query is worth less than all of it: below the weakest that fits whole.
    least = float(np.nanmin(np.nan_to_num(weighed[told.rows]), initial=math.inf))
    most = max((more.get(row, 0.0) for row in added), default=0.0)
    scale = 0.9 * least / most if 0 < least < most else 1.0
    for row in added:
        weighed[row] = more[row] * scale if row in more else np.nan
    told.weighed = weighed
    told.rows = np.sort(np.concatenate([told.rows, np.array(added, dtype=np.int64)]))
    told.exact = False


def _most_meant(index: Index, wishes: tuple[Wish, ...], rows: Rows, most: int) -> Rows:
    """Of rows those that have most of what the query means, at least half of it; of equal ones the most downloaded."""
    if not wishes:
        return rows[:0]
    values = meant.values(wishes, rows)
    rows, values = rows[values >= HALF_MEANT], values[values >= HALF_MEANT]
    return np.asarray(rows[rank.best(values, index.columns["downloads"][rows], index.columns["tie"][rows], most)])


def _removed(index: Index, before: Mask, constraints: Mapping[str, Mask]) -> tuple[dict[str, int], dict[str, Removal]]:
    """What each constraint alone removes of what the text finds: how many; why, and the most used of them."""
    counts: dict[str, int] = {}
    removals: dict[str, Removal] = {}
    columns = index.columns
    for name, mask in constraints.items():
        rows = np.flatnonzero(before & ~mask)
        downloads = columns["downloads"][rows]
        first = rank.best(downloads.astype(np.float64), downloads, columns["tie"][rows], EXAMPLES)
        keys = index.keys(rows[first].tolist())
        counts[name] = len(rows)
        examples = tuple(_id(keys[row]) for row in rows[first].tolist() if row in keys)
        removals[name] = Removal(reason=REASONS[name], examples=examples)
    return counts, removals


def _id(key: str) -> str:
    return key.partition("/")[2]


def _approved(index: Index, criteria: Criteria, ordered: Rows, hits: _Hits, known: Known) -> tuple[Rows, int, Removal]:
    """Without what the registry refuses; changes `hits`."""
    asked_for = hits.rows if len(hits.rows) <= RULED else ordered
    hits.exact = hits.exact and len(hits.rows) <= RULED
    keys = index.keys(asked_for.tolist())
    refused: dict[int, str] = {}
    for row in asked_for.tolist():
        ok, why = known.allowed(_id(keys[row]), criteria.tenant) if row in keys else (None, "")
        if ok is not True:
            refused[row] = why or "nobody has ruled on it"
    gone = np.array(sorted(refused), dtype=np.int64)
    hits.rows = hits.rows[~np.isin(hits.rows, gone)]
    first = [row for row in ordered.tolist() if row in refused and row in keys][:EXAMPLES]
    removal = Removal(reason=REASONS["approved"], examples=tuple(f"{_id(keys[row])}: {refused[row]}" for row in first))
    return ordered[~np.isin(ordered, gone)], len(refused), removal


class _Finder:
    """Makes a hit of a row: its parts, and what is known of it."""

    def __init__(
        self, criteria: Criteria, by_row: Mapping[int, tuple[Part, ...]], errors: Spread | None = None
    ) -> None:
        self._criteria, self._by_row, self._errors = criteria, by_row, errors

    def __call__(self, row: int, entry: Any, known: Known) -> Found:
        told = self._by_row.get(row, ())
        task = self._criteria.tasks[0] if len(self._criteria.tasks) == 1 else None
        is_model = entry.kind == "model"
        ok, why = known.allowed(entry.id, self._criteria.tenant) if is_model else (None, "")
        return Found(
            entry=entry,
            score=rank.score(told),
            parts=told,
            latency=latency(entry, known, self._errors) if is_model else None,
            cost=cost(entry, known) if is_model else None,
            quality=known.quality(entry.id, task) if is_model else None,
            approved=ok,
            why_not="" if ok else why,
        )


def _ordered(
    index: Index, criteria: Criteria, said: Asked, hits: _Hits, known: Known, now: datetime
) -> tuple[Rows, _Finder]:
    """The hits in their order, as far as a page of them may need, and what makes each of the page."""
    from hub.discovery.orders import by_order

    need = max(POOL, criteria.offset + criteria.limit)
    if criteria.order != "relevance":
        rows, parts = by_order(index, criteria, hits.rows, known, need)
        return rows, _Finder(criteria, parts, _errors(index, criteria, known))
    popular = index.columns.popularity(hits.rows, now)
    weighed = _pool(index, hits, popular)
    rows = np.concatenate([weighed, _after(index, hits, popular, weighed, need)])
    pool = _known_of(index, criteria, said, hits, rows, known, now)
    weights = _weights(criteria, said, hits)
    told = rank.values(pool, weights)
    scores = np.zeros(len(rows))
    for name, weight in weights.items():
        scores += weight * told[name]
    # What was not weighed stands behind, in an order that the page asked for does not change.
    scores[len(weighed) :] = -1 - np.arange(len(rows) - len(weighed))
    order = rank.best(np.round(scores, 6), pool.downloads, index.columns["tie"][rows], len(rows))
    page = order[criteria.offset : criteria.offset + criteria.limit]
    by_row = {int(rows[at]): rank.parts(pool, told, weights, int(at)) for at in (order if criteria.approved else page)}
    return rows[order], _Finder(criteria, by_row, _errors(index, criteria, known))


def _errors(index: Index, criteria: Criteria, known: Known) -> Spread | None:
    """How expected times stood to observed ones, over all models that have both."""
    if criteria.kind != "model":
        return None
    pairs = []
    for model, row in index.measured(known).items():
        observed = known.latency(model)
        if observed is not None:
            pairs.append((float(index.columns["latency"][row]), observed.value))
    return spread(pairs)


def _after(index: Index, hits: _Hits, popular: NDArray[np.float64], weighed: Rows, need: int) -> Rows:
    """Hits behind those that are weighed, the most used first, as far as a page needs them."""
    lack = min(need, len(hits.rows)) - len(weighed)
    if lack <= 0:
        return weighed[:0]
    others = ~np.isin(hits.rows, weighed)
    rows, columns = hits.rows[others], index.columns
    return np.asarray(rows[rank.best(popular[others], columns["downloads"][rows], columns["tie"][rows], lack)])


def _pool(index: Index, hits: _Hits, popular: NDArray[np.float64]) -> Rows:
    """The hits that are weighed: BM25's best, those of that name, those that have most of what is meant, and the most
    popular ones, which BM25 may not know."""
    if len(hits.rows) <= POOL:
        return hits.rows
    columns, rows = index.columns, hits.rows
    most = POOL if hits.weighed is None else POOL // 2
    used = rows[rank.best(popular, columns["downloads"][rows], columns["tie"][rows], most)]
    if hits.weighed is None:
        return np.sort(used)
    best = rows[rank.best(hits.weighed[rows], columns["downloads"][rows], columns["tie"][rows], POOL)]
    named = np.array(sorted(hits.named), dtype=np.int64)
    wished = _most_meant(index, hits.wishes, rows, LOOSE_MEANT)
    return np.unique(np.concatenate([best, used, named, wished]))


def _known_of(
    index: Index, criteria: Criteria, said: Asked, hits: _Hits, rows: Rows, known: Known, now: datetime
) -> rank.Pool:
    columns = index.columns
    bm25 = np.zeros(len(rows)) if hits.weighed is None else np.nan_to_num(hits.weighed[rows])
    meaning = np.zeros(len(rows))
    if hits.vector is not None and len(rows):
        meaning = cosines(hits.vector, index.vectors.read(rows)).astype(np.float64)
    quality = columns["quality"][rows].astype(np.float64)
    measured = np.zeros(len(rows), dtype=np.bool_)
    price = columns["price"][rows].astype(np.float64)
    price[price == UNKNOWN] = np.nan
    if criteria.kind == "model":
        places = {row: at for at, row in enumerate(rows.tolist())}
        task = criteria.tasks[0] if len(criteria.tasks) == 1 else None
        for model, row in index.measured(known).items():
            at = places.get(row)
            if at is None:
                continue
            if (value := known.quality(model, task)) is not None:
                quality[at], measured[at] = value, True
            prices = [
                one.nanousd_per_mtok for one in known.offers(model) if one.live and one.nanousd_per_mtok is not None
            ]
            price[at] = min(prices, default=price[at])
    names = _names(index, criteria, said, rows)
    return rank.Pool(
        bm25=bm25,
        name=names,
        embedding=meaning,
        popularity=columns.popularity(rows, now),
        quality=quality,
        measured=measured,
        price=price,
        downloads=columns["downloads"][rows],
        meant=np.where(names == rank.EXACT, 1.0, meant.values(hits.wishes, rows)),
        says=lambda at: meant.says(hits.wishes, int(rows[at])),
    )


def _names(index: Index, criteria: Criteria, said: Asked, rows: Rows) -> NDArray[np.float64]:
    """How a hit's name stands to the query: is it, begins with it, has all its words."""
    found = np.zeros(len(rows))
    if not said.groups:
        return found
    text = _called(criteria)
    plain = list(words(text))
    own = meant.own_words(text) if criteria.kind == "model" else ()
    keys = index.keys(rows.tolist())
    for at, row in enumerate(rows.tolist()):
        name = _id(keys.get(row, ""))
        found[at] = rank.name_value(plain, said.plain, name)
        if own and not found[at]:
            found[at] = rank.name_value((), own, name)
    return found
