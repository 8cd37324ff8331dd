"""Seeded workloads that tell what their jobs pay: for measuring quotes where the truth is known.

The jobs are decided by the router on the catalogue that comes with Novix, and charged by the worker's own sum
(`workers.cost.charge`) for what their calls would have used. Only that usage is drawn: how long answers, sounds and
computations are, by tenant and task, log-normally, as lengths of texts are (Sobkowicz, Thelwall, Buckley, Paltoglou and
Sobkowicz, "Lognormal distributions of user post lengths in Internet discussions", EPJ Data Science, 2013).
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from router.calibration import Observed
from router.catalogue import load
from router.decide import decide
from router.quote import Quote
from router.view import View, view_of
from runtime.settings import Settings
from schemas.job import InferenceJob
from schemas.units import AUDIO_MS, CALLS, CHARACTERS, COMPUTE_MS, IMAGES, INPUT_TOKENS, OUTPUT_TOKENS, PIXELS, STEPS
from workers.cost import charge

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TENANTS = {"acme": 40, "bolt": 120, "civic": 300, "dune": 90}
"""Each with the length of its texts' answers that half of them exceed, in tokens."""
SPREAD = 0.7
"""Of the logarithm of a length: nine in ten lie within a factor of 3.2."""
FAILED = 0.01
"""Jobs whose calls bring nothing and are not charged."""
KINDS = {"chat": 50, "long": 10, "vectors": 10, "image": 10, "heard": 10, "spoken": 5, "shown": 5}
SENTENCE = "what do bees make and why does the hive keep its warmth through the winter while the flowers are away"
WORDS = SENTENCE.split()


@dataclass(frozen=True, slots=True)
class Paid:
    """A job, and what it paid once it was done."""

    job: InferenceJob
    nanousd: int


def world() -> View:
    """What the jobs are decided from: the catalogue of Hugging Face's providers."""
    settings = Settings(home=Path("/nonexistent"))
    return view_of(settings, load(settings))


def workload(seed: int, count: int, view: View, *, longer_from: int | None = None) -> Iterator[Paid]:
    """`count` jobs in the order of a fair shuffle. From `longer_from` on every answer is three times as long."""
    dice = random.Random(seed)
    for number in range(count):
        tenant = dice.choice(sorted(TENANTS))
        [kind] = dice.choices(list(KINDS), list(KINDS.values()))
        job = _job(number, tenant, kind, dice)
        factor = 3.0 if longer_from is not None and number >= longer_from else 1.0
        yield Paid(job, _paid(job, kind, view, dice, factor))


def observed(paid: Paid, quote: Quote, called_ms: int = 0) -> Observed:
    """What a calibration learns of a job that was quoted and has paid."""
    return Observed(paid.job.task, quote.model, paid.job.tenant, quote.expected, paid.nanousd, called_ms)


def _job(number: int, tenant: str, kind: str, dice: random.Random) -> InferenceJob:
    text = " ".join(dice.choices(WORDS, k=max(4, _drawn(40, dice))))
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "chat": ("chat-completion", {"messages": [{"role": "user", "content": text}], "max_tokens": 1_024}),
        "long": ("chat-completion", {"messages": [{"role": "user", "content": text * 6}]}),
        "vectors": ("feature-extraction", {"inputs": text}),
        "image": ("text-to-image", {"inputs": text[:200], "parameters": {"width": 768, "height": 512}}),
        "heard": ("automatic-speech-recognition", {"inputs": "https://example.org/a.flac"}),
        "spoken": ("text-to-speech", {"inputs": text}),
        "shown": (
            "chat-completion",
            {"messages": [{"role": "user", "content": [{"type": "text", "text": text}, image]}], "max_tokens": 512},
        ),
    }
    task, task_input = asked[kind]
    document = {"id": f"{kind}-{number}", "tenant": tenant, "task": task, "input": task_input}
    return InferenceJob.model_validate({**document, "max_cost_nanousd": 100_000_000})


def _paid(job: InferenceJob, kind: str, view: View, dice: random.Random, factor: float) -> int:
    ruling = decide(job, view, published=NOW, now=NOW)
    failed = dice.random() < FAILED
    usage = _used(job, kind, dice, factor, ruling.parameters.get("max_tokens", 0))
    if failed or not ruling.candidates:
        return 0
    first = ruling.candidates[0]
    return min(charge(usage, first.price).nanousd, first.ceiling_nanousd)


def _used(job: InferenceJob, kind: str, dice: random.Random, factor: float, most_tokens: int) -> dict[str, int]:
    """What the call would use of every unit, whichever of them its price counts."""
    size = len(str(job.input))
    seen = dice.randint(258, 2_048) if kind == "shown" else 0
    typical = TENANTS[job.tenant] * (3 if kind == "long" else 1) * factor
    return {
        INPUT_TOKENS: round(size / dice.uniform(3.6, 4.8)) + 12 + seen,
        OUTPUT_TOKENS: min(_drawn(typical, dice), most_tokens),
        COMPUTE_MS: _drawn(900 * factor if kind == "image" else 60 * factor, dice),
        AUDIO_MS: _drawn(15_000 * factor, dice),
        CHARACTERS: len(str(job.input.get("inputs", ""))),
        PIXELS: 768 * 512,
        STEPS: 30,
        IMAGES: 1,
        CALLS: 1,
    }


def _drawn(typical: float, dice: random.Random) -> int:
    return max(1, round(typical * dice.lognormvariate(0.0, SPREAD)))
