"""Entries of a catalogue for tests: a few that are known by name, and as many generated ones as wanted."""

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hub.discovery.known import Offer
from hub.index.store import Index
from schemas.catalog import CatalogEntry, Security, Serving, StatedResult
from schemas.discovery import Interval

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TASKS = ("text-classification", "fill-mask", "text-generation", "token-classification", "translation", "text-to-image")
FAMILIES = ("bert", "roberta", "qwen", "mistral", "t5", "gpt2", "whisper", "DistilBERT", "模型", "модель")
LANGUAGES = ("en", "de", "fr", "pt-BR", "zh", "pt")
LICENSES = ("MIT", "Apache-2.0", "GPL-3.0-only", None)
PROVIDERS = ("groq", "together", "nebius", "Fireworks-AI")
REGIONS = ("eu-west-1", "us-east-1", "eu", "ap-south-1")


def entry(name: str, **fields: Any) -> CatalogEntry:
    """One entry; only what is given is known."""
    return CatalogEntry.model_validate({"id": name, **fields})


def offer(provider: str, **fields: Any) -> Serving:
    """One live offer."""
    return Serving.model_validate({"provider": provider, **fields})


def generated(count: int, seed: int = 1) -> list[CatalogEntry]:
    """Entries of all sorts: with and without sizes, licences, languages, offers; ties in their counts."""
    dice = random.Random(seed)
    return [_one(dice, number) for number in range(count)]


def _one(dice: random.Random, number: int) -> CatalogEntry:
    task = dice.choice((*TASKS, None))
    parameters = dice.choice((None, 22_000_000, 110_000_000, 7_000_000_000, 70_000_000_000))
    served = [_offer(dice) for _ in range(dice.choice((0, 0, 0, 1, 2, 3)))]
    tags = dice.sample(("safetensors", "pytorch", "medical", "code", "Gguf", "license:mit"), dice.randrange(4))
    author, size = dice.choice(("acme", "Globex", "umbrella-labs")), dice.choice(("base", "Large", "7b"))
    return entry(
        f"{author}/{dice.choice(FAMILIES)}-{size}-{number}",
        task=task,
        pipeline_tag=task,
        tasks=[task] if task else [],
        library=dice.choice(("transformers", "diffusers", None)),
        languages=dice.sample(LANGUAGES, dice.randrange(3)),
        license=dice.choice(LICENSES),
        tags=tags,
        description=dice.choice((None, "A fine-tuned model for sentiment of tweets.", "Übersetzt Texte ins Deutsche.")),
        downloads=dice.choice((None, 0, 10, 10, 5_000, dice.randrange(10**6))),
        likes=dice.choice((None, 0, 3, 400)),
        trending_score=dice.choice((None, 0.0, dice.random() * 90)),
        parameters=parameters,
        size_bytes=parameters * 2 if parameters and dice.random() < 0.8 else None,
        created_at=NOW - timedelta(days=dice.randrange(900)),
        last_modified=NOW - timedelta(days=dice.randrange(400)) if dice.random() < 0.9 else None,
        gated=dice.choice(("no", "auto", "manual", None)),
        disabled=dice.random() < 0.03,
        served=served,
        security=Security(scans_done=True, level="safe") if dice.random() < 0.5 else None,
        stated_results=[StatedResult(dataset="glue", metric="accuracy", value=dice.random())]
        if dice.random() < 0.3
        else [],
    )


def _offer(dice: random.Random) -> Serving:
    price = dice.choice((None, 50_000_000, 400_000_000, 3_000_000_000))
    return offer(
        dice.choice(PROVIDERS),
        status=dice.choice(("live", "live", "live", "error")),
        input_nanousd_per_mtok=price,
        output_nanousd_per_mtok=None if price is None else 2 * price,
        first_token_ms=dice.choice((None, 120, 900)),
        tokens_per_s=dice.choice((None, 40.0, 400.0)),
        regions=dice.sample(REGIONS, dice.randrange(3)),
        free=dice.choice((None, None, None, True)),
    )


def filled(folder: Path, entries: Iterable[CatalogEntry]) -> Index:
    """An index of these."""
    index = Index(folder)
    index.apply((one.key, one) for one in entries)
    return index


class Told:
    """A `Known` that was told what it knows."""

    def __init__(
        self,
        *,
        latencies: Mapping[str, float] | None = None,
        qualities: Mapping[str, float] | None = None,
        offers: Mapping[str, Sequence[Offer]] | None = None,
        allowed: Mapping[str, tuple[bool | None, str]] | None = None,
    ) -> None:
        self._latencies, self._qualities = latencies or {}, qualities or {}
        self._offers, self._allowed = offers or {}, allowed or {}

    def measured(self) -> Sequence[str]:
        """All that anything was told of."""
        return sorted({*self._latencies, *self._qualities, *self._offers})

    def latency(self, model: str) -> Interval | None:
        """As told."""
        return observed(self._latencies[model]) if model in self._latencies else None

    def cost(self, model: str) -> Interval | None:
        """Unknown."""
        return None

    def quality(self, model: str, task: str | None) -> float | None:
        """As told."""
        return self._qualities.get(model)

    def allowed(self, model: str, tenant: str | None) -> tuple[bool | None, str]:
        """As told."""
        return self._allowed.get(model, (None, ""))

    def offers(self, model: str) -> Sequence[Offer]:
        """As told."""
        return self._offers.get(model, ())


def observed(value: float) -> Interval:
    """An observed latency."""
    return Interval(value=value, low=value / 2, high=value * 2, unit="ms", source="observed", n=40, window_s=3_600)


def names(found: Any) -> list[str]:
    """The ids of an answer, in its order."""
    return [one.entry.id for one in found.models]
