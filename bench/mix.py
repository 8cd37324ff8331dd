"""The brief's mix of modalities on offers that differ in ways nobody has told the router: adaptive routing on and off.

`python -m bench mix`. Each modality has four offers that are alike to the policy. A seed draws their prices, how long
they take, how many tokens they really write; the router knows the prices alone. The same jobs run twice, on two routers
of which one learns. What is compared is throughput, latency and cost, as ratios of on over off.
"""

import asyncio
import base64
import io
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from bench.figure import Figure, median
from bench.world import ONE_MODEL, World, process, router, topics
from console.mix.measured import ALL, Ended, Measured, measured, ratios
from console.mix.running import Runner
from console.mix.workload import MODALITIES, Input, Mix, chat, workload

NAME = "mix"
MIX = Mix.read("40/30/20/10")
SEEDS = (1, 2, 3)
JOBS = 300
AT_ONCE = 24
OFFERS = 4
DELAYS_MS = (60, 600)
"""An offer's time is drawn between them, evenly in its logarithm."""
WORDS = (6, 14)
PRICE_SPREAD = 0.2
"""Prices are drawn within so much of each other."""
FILES = {"image": "image/png", "audio": "audio/wav"}


@dataclass(frozen=True, slots=True)
class Drawn:
    """One offer as the seed draws it."""

    modality: str
    model: str
    price: float
    """In units of the usual one."""
    behaviour: dict[str, Any]


def measure(world: World, *, quick: bool) -> list[Figure]:
    """Both ways on each seed; medians of the seeds' ratios."""
    count = JOBS // 4 if quick else JOBS
    seeds = SEEDS[:1] if quick else SEEDS
    runs = [{learns: _run(world, seed, count, learns=learns) for learns in (False, True)} for seed in seeds]
    over = [ratios(run[True], run[False]) for run in runs]
    figures = [_shares(runs[0][False])]
    low, high = DELAYS_MS
    how = f"{len(runs)} x {count} jobs, {AT_ONCE} at a time; {OFFERS} offers a modality, of {low} to {high} ms"
    for group in (ALL, *MODALITIES):
        for name in ("throughput", "p50", "p95", "cost") if group == ALL else ("p50", "p95", "cost"):
            values = [one[group][name] or 0.0 for one in over]
            told = f"{how}; each: {', '.join(f'{value:.2f}' for value in values)}"
            figures.append(Figure(NAME, f"{group}, {name}, adaptive on over off", median(values), "", note=told))
            how = "as above"
    for run in runs:
        figures += [
            Figure(NAME, f"all, jobs a second, adaptive {'on' if learns else 'off'}", run[learns][ALL].per_second, "",
                   note=f"succeeded {run[learns][ALL].succeeded} of {run[learns][ALL].jobs}")
            for learns in (False, True)
        ]  # fmt: skip
    return figures


def _shares(found: dict[str, Measured]) -> Figure:
    wanted = dict(zip(MODALITIES, MIX.shares, strict=True))
    most = max(abs(found[name].share - share) for name, share in wanted.items())
    return Figure(NAME, "mix, furthest share from what was asked for", most, "%", "under 1")


def _run(world: World, seed: int, count: int, *, learns: bool) -> dict[str, Measured]:
    offers = draw(seed)
    path = world.folder / f"mix-{seed}.json"
    path.write_text(json.dumps(catalogue(offers)))
    for one in offers:
        world.behave(model=one.model, **one.behaviour)
    return measured(*asyncio.run(_through(world, seed, count, str(path), learns=learns)))


async def _through(world: World, seed: int, count: int, path: str, *, learns: bool) -> tuple[list[Ended], float]:
    more = {"NOVIX_CATALOGUE": path, "NOVIX_ADAPTIVE": "true" if learns else "false", **ONE_MODEL}
    settings, environment = world.settings(f"mix-{seed}-{'on' if learns else 'off'}.", **more)
    tenant = f"mix-{int(time.time())}"
    kinds = kinds_of()
    async with topics(settings) as bus:
        with router(environment), process(environment, "-m", "console", "worker", *MODALITIES):
            warm = f"{tenant}-warm"  # lanes are open, connections stand
            await Runner(bus, warm, AT_ONCE).run(workload(MIX, 8, 0, warm, kinds))
            return await Runner(bus, tenant, AT_ONCE).run(workload(MIX, count, seed, tenant, kinds))


def draw(seed: int) -> list[Drawn]:
    """The offers of a seed: prices, times and lengths, each independent of the others."""
    dice = random.Random(seed)
    drawn = []
    for modality in MODALITIES:
        for number in range(OFFERS):
            low, high = DELAYS_MS
            behaviour: dict[str, Any] = {"delay_ms": low * (high / low) ** dice.random(), "words": dice.randint(*WORDS)}
            if modality in FILES:
                behaviour["file"] = FILES[modality]
            price = dice.uniform(1 - PRICE_SPREAD / 2, 1 + PRICE_SPREAD / 2)
            drawn.append(Drawn(modality, f"bench/{modality}-{number}", price, behaviour))
    return drawn


def catalogue(offers: Sequence[Drawn]) -> dict[str, Any]:
    """The catalogue file of these offers: tokens are charged for text, calls for the rest."""
    return {
        "origin": "benchmark: drawn offers",
        "models": [{"model": one.model, "tier": None, "offers": [_offer(one)]} for one in offers],
    }


def _offer(one: Drawn) -> dict[str, Any]:
    is_chat = one.modality in ("text", "multimodal")
    task = "chat-completion" if is_chat else {"image": "text-to-image", "audio": "text-to-speech"}[one.modality]
    price = (
        {"output_nanousd_per_million_tokens": round(100_000_000 * one.price)}
        if is_chat
        else {"nanousd_per_call": round(100_000 * one.price)}
    )
    return {
        "provider": "auto" if is_chat else "hf-inference",
        "provider_model": one.model,
        "dialect": "hf-router" if is_chat else "hf-inference",
        "base": "huggingface",
        "tasks": [task],
        "reads": ["text", "image"] if one.modality == "multimodal" else ["text"],
        "context_tokens": 131_072 if is_chat else None,
        "max_in_flight": 64,
        "price": {**price, "source": "novix-assumed", "as_of": "2026-11-22"},
    }


def kinds_of() -> dict[str, Sequence[Input]]:
    """What each modality asks for: what the stub answers."""
    picture = _picture()

    def shown(dice: random.Random) -> tuple[str, dict[str, Any]]:
        content = [{"type": "text", "text": f"What is number {dice.randrange(100)}?"}, picture]
        return "chat-completion", {"messages": [{"role": "user", "content": content}], "max_tokens": 16}

    return {
        "text": (chat,),
        "image": (lambda dice: ("text-to-image", {"inputs": f"hill {dice.randrange(100)}"}),),
        "audio": (lambda dice: ("text-to-speech", {"inputs": f"number {dice.randrange(100)}"}),),
        "multimodal": (shown,),
    }


def _picture() -> dict[str, Any]:
    written = io.BytesIO()
    Image.new("L", (16, 16)).save(written, "PNG")
    uri = "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": uri}}
