"""`decide` alone: how long one decision takes among 10, 200 and 2,000 candidates."""

import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

from bench.figure import Figure, median, quantile
from router.catalogue import Catalogue, merge, parse
from router.decide import decide
from router.policies import POLICIES, made
from router.purse import Line, Purse
from router.view import View, view_of
from runtime.settings import Settings
from schemas import codec
from schemas.job import InferenceJob

NAME = "decide"
SIZES = (10, 200, 2_000)
PROMPTS = (
    "What is the capital of France?",
    "Prove that the square root of 2 is irrational, then explain why the same argument fails for 4.",
    "Summarise: " + "the meeting was long and nothing was decided. " * 8,
)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def measure(*, quick: bool) -> list[Figure]:
    """CPU microseconds, with a budget on: plain jobs, and jobs whose ceiling binds at a part of the offers."""
    figures: list[Figure] = []
    for size in SIZES:
        here = _view(size)
        rounds = max(60, (200_000 if quick else 1_000_000) // (size + 200))
        for told, ceiling in (("", None), (", the ceiling binds", 90_000)):
            times = _times(here, [_job(prompt, ceiling) for prompt in PROMPTS], rounds)
            wanted = "under 150 us" if size == 200 and not told else ""
            figures.append(Figure(NAME, f"{size} candidates{told}: p50", median(times), "us", wanted))
            figures.append(Figure(NAME, f"{size} candidates{told}: p99", quantile(times, 0.99), "us"))
    for name in sorted(POLICIES):
        here = _view(200)
        given: dict[str, Any] = {"order": [{"model": "org/model-7"}]} if name == "pinned/1" else {}
        times = _times(replace(here, policy=made(name, given)), [_job(one, None) for one in PROMPTS], 500)
        figures.append(Figure(NAME, f"200 candidates, {name}: p50", median(times), "us"))
    return figures


def _times(here: View, jobs: list[InferenceJob], rounds: int) -> list[float]:
    """Each decision's time. The view is at a new moment for each, as in a lane."""
    purse = Purse((Line("day", "2026-11-22", 10**12, 10**9, 10**6, resets_at=NOW + timedelta(hours=12)),))
    for job in jobs:
        decide(job, here.at(purse), published=NOW, now=NOW)
    times = []
    for job, _ in zip(cycle(jobs), range(rounds), strict=False):
        began = time.thread_time_ns()
        decide(job, here.at(purse), published=NOW, now=NOW)
        times.append((time.thread_time_ns() - began) / 1_000)
    return times


def _view(offers: int) -> View:
    settings = Settings(home=Path("/nonexistent"))
    return view_of(settings, _catalogue(offers))


def _catalogue(offers: int) -> Catalogue:
    """As many offers of chat: prices, contexts and speeds from a seed, four providers a model."""
    dice = random.Random(offers)
    rows: list[dict[str, Any]] = []
    for number in range(offers // 4 + 1):
        told = [
            {
                "provider": f"provider-{at}", "provider_model": f"org/model-{number}", "dialect": "hf-router",
                "base": "huggingface", "tasks": ["chat-completion"], "max_in_flight": 16,
                "context_tokens": dice.choice([8_192, 32_768, 131_072]), "licence": "apache-2.0",
                "first_token_ms": dice.randrange(100, 900), "tokens_per_s": float(dice.randrange(20, 200)),
                "price": {
                    "input_nanousd_per_million_tokens": dice.randrange(10**7, 10**9),
                    "output_nanousd_per_million_tokens": dice.randrange(10**7, 10**9), "source": "bench", "as_of": "",
                },
            }
            for at in range(min(4, offers - 4 * number))
        ]  # fmt: skip
        if told:
            rows.append({"model": f"org/model-{number}", "tier": dice.choice(["small", "large"]), "offers": told})
    file = parse("bench.json", codec.encode({"origin": "bench", "models": rows}))
    return merge([file], {"huggingface": "http://127.0.0.1:1", "sandbox": None})


def _job(prompt: str, ceiling: int | None) -> InferenceJob:
    asked = {"messages": [{"role": "user", "content": prompt}]}
    told = {"id": "bench", "task": "chat-completion", "input": asked, "max_cost_nanousd": ceiling}
    return InferenceJob.model_validate(told)
