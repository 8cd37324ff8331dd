"""Scores that add up: what each part of a hit's score is, and what it weighs. Pure, over arrays of a pool."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hub.index.words import words
from schemas.discovery import Part

Scores = NDArray[np.float64]

WITH_TEXT: Mapping[str, float] = {
    "bm25": 0.26, "name": 0.30, "embedding": 0.14, "popularity": 0.20, "quality": 0.06, "cost": 0.04,
}  # fmt: skip
WITH_MEANING: Mapping[str, float] = {
    "bm25": 0.16, "name": 0.30, "meant": 0.30, "embedding": 0.08, "popularity": 0.12, "quality": 0.03, "cost": 0.01,
}  # fmt: skip
"""Of a query that speaks of a task, a language and the like (`hub.discovery.meant`)."""
WITHOUT_TEXT: Mapping[str, float] = {"popularity": 0.84, "quality": 0.10, "cost": 0.06}
CHEAPEST_NANOUSD, DEAREST_NANOUSD = 1e7, 1e11
"""Prices of a million tokens that are worth 1 and 0: a cent and a hundred dollars, on a logarithmic scale between."""
STATED_SHARE = 0.5
"""What a quality that only a card states is worth beside a measured one."""
EXACT, BEGINS, ALL_WORDS = 1.0, 0.4, 0.3
"""Of a name that is what was asked, that begins with it, that has all its words."""


NAMES_KEPT = 8_192
"""Names whose words are kept: the most used ones are weighed again and again."""
_SIGNS = {sign: None for sign in range(128) if not chr(sign).isalnum()}


@dataclass(frozen=True, slots=True)
class Pool:
    """The hits that are weighed, an array for each thing that is known of them."""

    bm25: Scores
    name: Scores
    embedding: Scores
    popularity: Scores
    quality: Scores
    """NaN: unknown."""
    measured: NDArray[np.bool_]
    """Its quality was measured here; otherwise its card states it."""
    price: Scores
    """Nano-dollars of a million tokens; NaN: unknown."""
    downloads: NDArray[np.int64]
    meant: Scores
    """How much it has of what the query means; 1 for a name that is what was asked."""
    says: Callable[[int], str] = lambda at: ""
    """What of it."""


def values(pool: Pool, weights: Mapping[str, float]) -> dict[str, Scores]:
    """Each part of each hit, 0 to 1."""
    quality = np.nan_to_num(pool.quality, nan=0.0) * np.where(pool.measured, 1.0, STATED_SHARE)
    every = {
        "bm25": pool.bm25 / max(float(pool.bm25.max(initial=0.0)), 1e-12),
        "name": pool.name,
        "embedding": np.clip(pool.embedding, 0.0, 1.0),
        "popularity": np.nan_to_num(pool.popularity, nan=0.0),
        "meant": pool.meant,
        "quality": np.clip(quality, 0.0, 1.0),
        "cost": cheapness(pool.price),
    }
    return {name: np.clip(every[name], 0.0, 1.0) for name in weights}


def cheapness(price: Scores) -> Scores:
    """1 for a cent a million tokens or less, 0 for a hundred dollars, and for a price that is not known."""
    span = math.log(DEAREST_NANOUSD / CHEAPEST_NANOUSD)
    with np.errstate(divide="ignore"):
        scaled = 1 - np.log(np.maximum(price, 1e-9) / CHEAPEST_NANOUSD) / span
    return np.asarray(np.clip(np.nan_to_num(scaled, nan=0.0), 0.0, 1.0), dtype=np.float64)


def cheapness_of(price: int) -> float:
    """The same of one price."""
    return float(cheapness(np.array([price], dtype=np.float64))[0])


def name_value(typed: Sequence[str], meant: Sequence[str], repo: str) -> float:
    """How a repository's name stands to a query's words (`meant`: without the small ones): is it, begins with it, has
    all of them."""
    joined, flat = "".join(typed), repo.lower()
    if flat.isascii() and not all(word in flat for word in meant) and joined not in flat.translate(_SIGNS):
        return 0.0  # none of the three: cutting a name takes ten times as long as this look at it
    name, whole = _cut(repo)
    if joined and joined in ("".join(name), "".join(whole)):
        return EXACT
    if typed and name[: len(typed)] == list(typed):
        return BEGINS
    return ALL_WORDS if meant and set(meant) <= {*name, *whole} else 0.0


@functools.lru_cache(maxsize=NAMES_KEPT)
def _cut(repo: str) -> tuple[list[str], list[str]]:
    """The words of a repository's name, and of it with its owner. Not to be changed: they are kept."""
    return list(words(repo.rpartition("/")[2])), list(words(repo))


def parts(pool: Pool, told: Mapping[str, Scores], weights: Mapping[str, float], at: int) -> tuple[Part, ...]:
    """Why one hit stands where it stands."""
    return tuple(
        Part(name=name, value=round(float(told[name][at]), 6), weight=weight, says=_says(pool, name, at))
        for name, weight in weights.items()
    )


def score(told: Sequence[Part]) -> float:
    """The sum of the parts."""
    return round(sum(part.value * part.weight for part in told), 9)


def _says(pool: Pool, name: str, at: int) -> str:
    if name == "bm25":
        return "words of the query, by how rare they are and where they stand; the best match has 1"
    if name == "embedding":
        return f"cosine of meanings {float(pool.embedding[at]):.2f}"
    if name == "meant":
        return "the name is what was asked" if pool.name[at] == EXACT else pool.says(at)
    return {"name": _of_name, "popularity": _of_popularity, "quality": _of_quality, "cost": _of_cost}[name](pool, at)


def _of_name(pool: Pool, at: int) -> str:
    said = {EXACT: "the name is what was asked", BEGINS: "the name begins with it", ALL_WORDS: "the name has all words"}
    return said.get(float(pool.name[at]), "the name does not have all words")


def _of_popularity(pool: Pool, at: int) -> str:
    downloads = int(pool.downloads[at])
    return "downloads unknown" if downloads < 0 else f"{downloads:,} downloads in 30 days, likes, last change"


def _of_quality(pool: Pool, at: int) -> str:
    if np.isnan(pool.quality[at]):
        return "unknown"
    source = "measured here" if pool.measured[at] else f"stated by its card, not checked, counts {STATED_SHARE:g}"
    return f"{float(pool.quality[at]):.3f}, {source}"


def _of_cost(pool: Pool, at: int) -> str:
    price = float(pool.price[at])
    return (
        "no price known" if np.isnan(price) else f"${price / 1e9:.4g} a million tokens, three of input to one of output"
    )


def best(primary: Scores, second: NDArray[np.int64], tie: NDArray[np.uint32], most: int) -> NDArray[np.int64]:
    """Places of the `most` greatest of `primary`, greatest first; equal ones by `second`, then by `tie`. NaN is last.

    Does not sort everything: half a million hits are partitioned, and only what may be among the first is ordered.
    """
    values_ = np.where(np.isnan(primary), -np.inf, primary)
    if most < len(values_):
        least = np.partition(values_, len(values_) - most)[len(values_) - most]
        above, equal = np.flatnonzero(values_ > least), np.flatnonzero(values_ == least)
        lack = most - len(above)
        if lack < len(equal):
            limit = np.partition(second[equal], len(equal) - lack)[len(equal) - lack]
            more, same = equal[second[equal] > limit], equal[second[equal] == limit]
            rest = lack - len(more)
            same = same[np.argpartition(tie[same], rest)[:rest]] if 0 < rest < len(same) else same[:rest]
            equal = np.concatenate([more, same])
        where = np.concatenate([above, equal])
    else:
        where = np.arange(len(values_))
    order = np.lexsort((tie[where], -second[where], -values_[where]))
    return np.asarray(where[order][:most], dtype=np.int64)
