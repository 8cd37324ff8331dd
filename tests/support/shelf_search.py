"""A search over a list of entries, by task and nothing else, so that tests see what recommending does."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from schemas.catalog import CatalogEntry, Serving
from schemas.discovery import Criteria, Discovery, Found, Interval

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)


class ListSearch:
    """Answers with every entry that does one of the tasks, in order of id."""

    def __init__(self, entries: Iterable[CatalogEntry]) -> None:
        self._entries = sorted(entries, key=lambda entry: entry.id)
        self.asked: list[Criteria] = []

    def __call__(self, criteria: Criteria) -> Discovery:
        self.asked.append(criteria)
        hits = [
            entry for entry in self._entries if not criteria.tasks or {entry.task, *entry.tasks} & set(criteria.tasks)
        ]
        found = tuple(Found(entry=entry, score=0.5) for entry in hits[: criteria.limit])
        return Discovery(criteria=criteria, total=len(self._entries), filtered=len(hits), models=found)


class Measurements:
    """`hub.discovery.known.Known` from tables."""

    def __init__(
        self,
        latency: Mapping[str, float] | None = None,
        cost: Mapping[str, float] | None = None,
        quality: Mapping[str, float] | None = None,
        allowed: Mapping[str, tuple[bool | None, str]] | None = None,
    ) -> None:
        self._latency, self._cost, self._quality = latency or {}, cost or {}, quality or {}
        self._allowed = allowed or {}

    def measured(self) -> list[str]:
        return sorted({*self._latency, *self._cost, *self._quality})

    def latency(self, model: str) -> Interval | None:
        return _interval(self._latency.get(model), "ms")

    def cost(self, model: str) -> Interval | None:
        return _interval(self._cost.get(model), "nanousd")

    def quality(self, model: str, task: str | None) -> float | None:
        return self._quality.get(model)

    def allowed(self, model: str, tenant: str | None) -> tuple[bool | None, str]:
        return self._allowed.get(model, (None, ""))

    def offers(self, model: str) -> tuple[()]:
        return ()


def _interval(value: float | None, unit: Any) -> Interval | None:
    if value is None:
        return None
    return Interval(value=value, low=value / 2, high=value * 2, unit=unit, source="observed", n=40, window_s=3_600)


def entry(model: str, **fields: Any) -> CatalogEntry:
    """An entry that does text classification, is well known, and is served by nobody."""
    usual: dict[str, Any] = {
        "task": "text-classification",
        "license": "Apache-2.0",
        "license_raw": "apache-2.0",
        "downloads": 10_000,
        "parameters": 100_000_000,
        "languages": ("en",),
        "gated": "no",
        "author": model.partition("/")[0],
        "created_at": datetime(2026, 6, 1, tzinfo=UTC),
    }
    return CatalogEntry(id=model, **{**usual, **fields})


def served(provider: str, price: int | None = None, *regions: str, **more: Any) -> Serving:
    """An offer with one price for input and output."""
    return Serving(
        provider=provider, input_nanousd_per_mtok=price, output_nanousd_per_mtok=price, regions=regions, **more
    )
