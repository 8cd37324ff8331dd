"""Orders other than relevance: one number each, what is unknown last."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from hub.discovery import rank
from hub.discovery.known import Known
from hub.index.columns import UNKNOWN
from hub.index.store import Index
from schemas.discovery import Criteria, Part

Rows = NDArray[np.int64]
Scores = NDArray[np.float64]
_COLUMN = {"trending": "trending", "downloads": "downloads", "likes": "likes", "recent": "modified",
           "cheapest": "price", "fastest": "latency", "quality": "quality", "smallest": "parameters"}  # fmt: skip
_LEAST_FIRST = frozenset({"cheapest", "fastest", "smallest"})


def by_order(
    index: Index, criteria: Criteria, rows: Rows, known: Known, most: int
) -> tuple[Rows, Mapping[int, tuple[Part, ...]]]:
    """The first hits of an order; and of each the one part that its score is made of: its place among the known, 1 for
    the first. Equal ones stand by downloads. Under the index's lock."""
    columns = index.columns
    values = columns[_COLUMN[criteria.order]][rows].astype(np.float64)
    values[values == UNKNOWN] = np.nan
    if criteria.order == "recent":
        created = columns["created"][rows].astype(np.float64)
        values = np.where(np.isnan(values) & (created != UNKNOWN), created, values)
    measured = _measured(index, criteria, rows, known, values)
    sign = -1.0 if criteria.order in _LEAST_FIRST else 1.0
    # What was measured here stands before what a card states of itself, however high.
    keys = values + 2.0 * measured if criteria.order == "quality" else sign * values
    first = rank.best(keys, columns["downloads"][rows], columns["tie"][rows], most)
    there = np.count_nonzero(~np.isnan(values))
    parts: dict[int, tuple[Part, ...]] = {}
    for place, at in enumerate(first.tolist()):
        is_known = not np.isnan(values[at])
        share = round((there - place) / there, 6) if is_known else 0.0
        says = _SAYS[criteria.order](float(values[at])) if is_known else "unknown"
        if criteria.order == "quality" and is_known:
            says += ", measured here" if measured[at] else ", stated by its card, not checked"
        parts[int(rows[at])] = (Part(name=criteria.order, value=max(0.0, share), weight=1.0, says=says),)
    return rows[first], parts


def _measured(index: Index, criteria: Criteria, rows: Rows, known: Known, values: Scores) -> NDArray[np.bool_]:
    """Puts what Novix has measured into `values`; tells where."""
    found = np.zeros(len(rows), dtype=np.bool_)
    if criteria.kind != "model" or criteria.order not in ("cheapest", "fastest", "quality"):
        return found
    task = criteria.tasks[0] if len(criteria.tasks) == 1 else None
    ordered = np.sort(rows)
    order = np.argsort(rows)
    for model, row in index.measured(known).items():
        at = np.searchsorted(ordered, row)
        if at == len(ordered) or ordered[at] != row:
            continue
        value = _value(criteria.order, model, task, known)
        if value is not None:
            values[order[at]], found[order[at]] = value, True
    return found


def _value(order: str, model: str, task: str | None, known: Known) -> float | None:
    if order == "quality":
        return known.quality(model, task)
    if order == "fastest":
        observed = known.latency(model)
        return observed.value if observed else None
    prices = [one.nanousd_per_mtok for one in known.offers(model) if one.live and one.nanousd_per_mtok is not None]
    return float(min(prices)) if prices else None


def _day(seconds: float) -> str:
    try:
        return f"changed {datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
    except (OverflowError, OSError, ValueError):
        return f"changed at {seconds:.0f} s since 1970"


_SAYS: Mapping[str, Callable[[float], str]] = {
    "trending": lambda value: f"trending score {value:g}",
    "downloads": lambda value: f"{value:,.0f} downloads in 30 days",
    "likes": lambda value: f"{value:,.0f} likes",
    "recent": _day,
    "cheapest": lambda value: f"${value / 1e9:.4g} a million tokens, three of input to one of output",
    "fastest": lambda value: f"{value:,.0f} ms a usual job",
    "quality": lambda value: f"{value:.3f}",
    "smallest": lambda value: f"{value:,.0f} parameters",
}
