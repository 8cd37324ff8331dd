"""Constraints as masks over the index's columns: which rows each lets through."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hub.discovery.fits import OfferFacts, meeting
from hub.discovery.known import Known
from hub.index.columns import DISABLED, GATED, KINDS, SERVED, UNKNOWN, Mask
from hub.index.store import Index
from hub.index.synonyms import CALLED, CATEGORIES, LANGUAGES, NOT_KNOWN
from hub.index.words import folded
from schemas.discovery import Criteria

TOP = 0.95
"""Trending and popular are the upper twentieth of their kind."""
DAY_S = 86_400
_SINGLE = {"licenses": "license", "libraries": "library", "authors": "author"}
_OFFERED = ("providers", "regions", "served", "max_nanousd_per_mtok", "max_latency_ms")
"""Judged together on one offer."""


class Masks:
    """The masks of one search; under the index's lock."""

    def __init__(self, index: Index, criteria: Criteria, *, known: Known, now: datetime) -> None:
        self._index, self._criteria, self._known, self._now = index, criteria, known, now
        self._columns = index.columns
        self._having: dict[int, Mask] = {}

    def kind(self) -> Mask:
        """All of the kind."""
        return np.asarray(self._columns["kind"] == KINDS[self._criteria.kind])

    def base(self) -> Mask:
        """All of the kind, without those that the Hub has disabled."""
        return np.asarray(self.kind() & (self._columns["flags"] & DISABLED == 0))

    def constraints(self) -> dict[str, Mask]:
        """Each criterion that is set, alone, by its name. `one_offer`: together on one, where each is met by another.
        Without `approved`, which is asked of single models."""
        asked = self._criteria
        found: dict[str, Mask] = {}
        listed: tuple[tuple[str, Callable[[str], Mask]], ...] = (
            ("tasks", self.doing), ("modalities", self._modality), ("languages", self.speaking),
        )  # fmt: skip
        for name, mask in listed:
            if getattr(asked, name):
                found[name] = self._any(map(mask, getattr(asked, name)))
        for name, column in _SINGLE.items():
            if getattr(asked, name):
                found[name] = self._one_of(column, getattr(asked, name))
        for tag in asked.tags:
            mask_ = self.tagged(tag)
            found["tags"] = found["tags"] & mask_ if "tags" in found else mask_
        found |= self._sizes()
        if asked.gated is not None:
            gated = self._columns["gated"]
            found["gated"] = gated >= GATED["auto"] if asked.gated else gated == GATED["no"]
        if asked.trending:
            found["trending"] = self._upper(self._columns["trending"])
        if asked.popular:
            found["popular"] = self._upper(self._columns.popularity(self._rows(), self._now))
        if asked.recent_days is not None:
            since = self._now.timestamp() - asked.recent_days * DAY_S
            found["recent_days"] = np.maximum(self._columns["modified"], self._columns["created"]) >= since
        return found | self._offers()

    def _sizes(self) -> dict[str, Mask]:
        asked, found = self._criteria, dict[str, Mask]()
        for name, column, least in (
            ("min_parameters", "parameters", True), ("max_parameters", "parameters", False),
            ("max_bytes", "size_bytes", False),
        ):  # fmt: skip
            limit = getattr(asked, name)
            if limit is None:
                continue
            values = self._columns[column]
            is_known = values != UNKNOWN
            fits = (values >= limit) if least else (values <= limit)
            found[name] = fits & is_known | (~is_known if asked.unknown_size else np.False_)
        return found

    def _rows(self) -> NDArray[np.int64]:
        return np.arange(self._columns.size, dtype=np.int64)

    def _upper(self, values: NDArray[Any]) -> Mask:
        mine = values[self.base() & (values > 0)]
        return np.asarray(values >= np.quantile(mine, TOP)) if len(mine) else np.zeros(len(values), dtype=np.bool_)

    # Words.

    def tagged(self, tag: str) -> Mask:
        """All that have a tag."""
        return self._any(self._has(number) for number in self._numbers("tag", tag))

    def in_field(self, domain: str) -> Mask:
        """All of a field of work, by their own word for it or a tag."""
        numbers = [*self._numbers("domain", domain), *self._numbers("tag", domain)]
        return self._any(self._has(number) for number in numbers)

    def of_library(self, library: str) -> Mask:
        """All for a library."""
        return self._one_of("library", [library])

    def doing(self, task: str) -> Mask:
        """All that do a task, or one of a category (`audio`)."""
        said = folded(task)
        if said in CATEGORIES:
            return self._modality(said)
        names = {said, CALLED.get(said.replace("-", " "), said), said.replace(" ", "-")}
        return self._any(self._has(number) for name in sorted(names) for number in self._numbers("tasks", name))

    def _modality(self, modality: str) -> Mask:
        said = folded(modality)
        return self._one_of("modality", [CATEGORIES.get(said, said)])

    def speaking(self, language: str) -> Mask:
        """All that are in a language, told by code or English name."""
        said = folded(language)
        if said == NOT_KNOWN:
            said_any = self._any(self._has(number) for number in self._numbers("language", "", begins=True))
            return ~said_any
        code = LANGUAGES.get(said, said)
        return self._any(self._has(number) for number in self._numbers("language", code, begins=True))

    def _one_of(self, column: str, wanted: Iterable[str]) -> Mask:
        numbers = [number for one in wanted for number in self._numbers(column, folded(one))]
        numbers += [0] if NOT_KNOWN in map(folded, wanted) else []
        return np.isin(self._columns[column], numbers)

    def _numbers(self, field: str, text: str, *, begins: bool = False) -> list[int]:
        """The numbers of a word; with `begins`, of those too that add something after a `-` (`pt`: `pt-br`)."""
        reader = self._index.reader
        if not begins:
            rows = reader.execute("SELECT id FROM word WHERE field = ? AND text = ?", (field, folded(text)))
        elif not text:
            rows = reader.execute("SELECT id FROM word WHERE field = ?", (field,))
        else:
            asked = "SELECT id FROM word WHERE field = ? AND (text = ? OR text >= ? AND text < ?)"
            rows = reader.execute(asked, (field, text, f"{text}-", f"{text}."))
        return [number for (number,) in rows]

    def _has(self, number: int) -> Mask:
        if number not in self._having:
            self._having[number] = self._columns.having(number)
        return self._having[number]

    def _any(self, masks: Iterable[Mask]) -> Mask:
        found = np.zeros(self._columns.size, dtype=np.bool_)
        for mask in masks:
            found |= mask
        return found

    # Offers.

    def _offers(self) -> dict[str, Mask]:
        """What is asked of offers: each alone, and together on one."""
        asked = [name for name in _OFFERED if getattr(self._criteria, name) not in (None, (), [])]
        if not asked:
            return {}
        if self._criteria.served is False:
            found = {"served": self._columns["flags"] & SERVED == 0}
            for model, row in self._measured().items():
                found["served"][row] = not self._met_by_known(model, row, ())
            asked.remove("served")
        else:
            found = {}
        for name in asked:
            found[name] = self._met((name,))
        if len(asked) > 1:
            together, alone = self._met(asked), np.logical_and.reduce([found[name] for name in asked])
            if not np.array_equal(together, alone):
                found["one_offer"] = together
        return found

    def _met(self, names: Sequence[str]) -> Mask:
        """The rows with one live offer that meets all of `names`."""
        offers, asked = self._columns.offers, self._criteria
        fits = offers["live"] == 1
        if "providers" in names:
            fits &= np.isin(offers["provider"], [n for one in asked.providers for n in self._numbers("provider", one)])
        if "regions" in names:
            wanted = [n for one in asked.regions for n in self._numbers("region", folded(one), begins=True)]
            fits &= np.isin(offers["region"], wanted)
        if "max_nanousd_per_mtok" in names:
            fits &= (offers["price"] != UNKNOWN) & (offers["price"] <= asked.max_nanousd_per_mtok)
        if "max_latency_ms" in names:
            fits &= offers["latency"] <= asked.max_latency_ms  # of NaN it is false
        mask = np.zeros(self._columns.size, dtype=np.bool_)
        mask[offers["row"][fits]] = True
        if tuple(names) == ("max_latency_ms",):  # nobody serves it: then what its size lets expect
            unserved = self._columns["flags"] & SERVED == 0
            mask |= unserved & (self._columns["latency"] <= asked.max_latency_ms)
        for model, row in self._measured().items():
            mask[row] = self._met_by_known(model, row, names)
        return mask

    def _measured(self) -> Mapping[str, int]:
        """The rows of models that Novix knows more of than the catalogue."""
        if self._criteria.kind != "model":
            return {}
        return self._index.measured(self._known)

    def _met_by_known(self, model: str, row: int, names: Sequence[str]) -> bool:
        """The same for one model of which something was observed: what was observed counts, not what was stated."""
        columns, observed, told = self._columns, self._known.latency(model), self._known.offers(model)
        offers: list[OfferFacts] = [
            (one.provider, region, one.nanousd_per_mtok, seen.value if (seen := one.latency or observed) else None)
            for one in told
            if one.live
            for region in one.regions or ("",)
        ]
        told_by = {folded(one.provider) for one in told}
        for one in columns.offers[columns.offers["row"] == row]:
            provider = self._text(int(one["provider"]))
            if one["live"] and provider not in told_by:
                price, region = int(one["price"]), self._text(int(one["region"]))
                latency = observed.value if observed else _known(float(one["latency"]))
                offers.append((provider, region, None if price == UNKNOWN else price, latency))
        met = [fits for name, fits in meeting(self._criteria).items() if name in names]
        if not offers and tuple(names) == ("max_latency_ms",):
            offers.append(("", "", None, observed.value if observed else _known(float(columns["latency"][row]))))
        return any(all(fits(offer) for fits in met) for offer in offers)

    def _text(self, number: int) -> str:
        found = self._index.reader.execute("SELECT text FROM word WHERE id = ?", (number,)).fetchone()
        return str(found[0]) if found else ""


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


REASONS: Mapping[str, str] = {
    "tasks": "it does none of these tasks",
    "modalities": "it is of none of these modalities",
    "languages": "it is not known to be in any of these languages",
    "licenses": "its licence is none of these, or not known",
    "libraries": "it is not for any of these libraries",
    "authors": "it is by none of these",
    "tags": "it lacks a tag",
    "min_parameters": "it has fewer parameters, or nobody has said how many",
    "max_parameters": "it has more parameters, or nobody has said how many",
    "max_bytes": "its weights are larger, or nobody has said how large",
    "gated": "its gate is another, or not known",
    "trending": "it is not in the upper twentieth by trending score",
    "popular": "it is not in the upper twentieth by popularity",
    "recent_days": "it was last changed before that",
    "served": "nobody serves it now (or, asked the other way, somebody does)",
    "providers": "none of these providers serves it now",
    "regions": "no live offer says that it is in one of these regions",
    "max_nanousd_per_mtok": "no live offer states a price so low",
    "max_latency_ms": "it is slower, or nothing lets expect how fast it is",
    "one_offer": "different offers meet these, no single one all of them",
    "approved": "the registry does not let the tenant use it",
}
"""Why a constraint removes a hit."""
