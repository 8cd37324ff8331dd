"""Decisions of a long log made again: how long each takes, and how many differ.

`python -m bench replay`. One process, no Kafka: jobs of many tenants and tasks, with prices, policies and accounts that
change between them, decided by the router's own state and deciders and written as a lane writes them; then decided
again from these bytes alone. From a seed.
"""

import importlib
import random
import sys
import time
from pathlib import Path
from typing import Any

from bench.figure import Figure
from router.purse import Line, Purse
from router.replay import Replayed, batch_of, compared
from schemas.topics import DECISIONS, JOBS

NAME = "replay"
JOBS_OF_A_RUN = 104_000
"""Some wait for money and leave no decision: 100,000 do."""
BLOCK = 2_000
TENANTS = 40
EVENT_EVERY = 100
"""Jobs between two changes of a price, a policy or an account."""
WORDS = ("Hi", "prove", "that", "explain", "why", "compare", "json", "must", "only", "1", "2", "the", "of", "and", "a")


def measure(*, quick: bool) -> list[Figure]:
    """Time and differences of one replay."""
    count = JOBS_OF_A_RUN // 10 if quick else JOBS_OF_A_RUN
    past = _support("past_world")
    world = past.PastWorld(hf_router_url="https://router.huggingface.co", sandbox_url="")
    history, dice, told = world.history, random.Random(1), Replayed()
    made_s = again_s = 0.0
    stored_bytes = 0
    for block in range(count // BLOCK):
        began = time.process_time()
        for number in range(block * BLOCK, (block + 1) * BLOCK):
            _happen(world, dice, number)
        made_s += time.process_time() - began
        again, stored_bytes = _again(world, history, told, stored_bytes)
        again_s += again
    made = max(1, told.same + told.different)
    return [
        Figure(
            NAME, "decisions", told.decisions, "", note=f"of {TENANTS} tenants, {len(world.catalogue.offers)} offers"
        ),
        Figure(NAME, "differences", told.different, "", "0"),
        Figure(NAME, "not decided again", sum(told.skipped.values()), "", "0"),
        Figure(
            NAME, "decided again", again_s / made * 1e6, "us of CPU", note="job read, history folded, decided, compared"
        ),
        Figure(NAME, "in all", again_s, "s of CPU"),
        Figure(
            NAME, "the first time", made_s / made * 1e6, "us of CPU", note="the same work in the world that wrote them"
        ),
        Figure(NAME, "passes over a history", history.passes, "", "1"),
        Figure(NAME, "a stored decision", stored_bytes / made, "bytes"),
    ]


def _again(world: Any, history: Any, told: Replayed, stored_bytes: int) -> tuple[float, int]:
    """Decide a block again in the order of its log, and forget it."""
    places = [place for place in world.records if place[0] == DECISIONS.name]
    rows = sorted((one for place in places for one in world.records[place]), key=lambda one: one.timestamp_ms)
    began = time.process_time()
    arrivals = world.arrivals()
    for record in rows:
        for stored, stands in batch_of(record):
            told.note(compared(stored, stands, arrivals.take(stored), history))
            stored_bytes += len(stands)
    spent = time.process_time() - began
    for place in [*places, *(place for place in world.records if place[0] == JOBS.name)]:
        world.forget(place)
    return spent, stored_bytes


def _happen(world: Any, dice: random.Random, number: int) -> None:
    """One job, and now and then something that changes how the next ones are decided."""
    tenant = f"t{dice.randrange(TENANTS)}"
    if number % EVENT_EVERY == 0:
        _change(world, dice, tenant)
    world.turn(milliseconds=dice.randint(1, 500))
    text = " ".join(dice.choices(WORDS, k=dice.randint(1, 80)))
    job: dict[str, Any] = {"id": f"j{number}", "tenant": tenant, "metadata": {"project": str(number % 7)}}
    if dice.random() < 0.9:
        asked = {"max_tokens": dice.randint(1, 9_000)} if dice.random() < 0.3 else {}
        job |= {"task": "chat-completion", "input": {"messages": [{"role": "user", "content": text}], **asked}}
    else:
        job |= {"task": dice.choice(["text-to-image", "feature-extraction", "no-such"]), "input": {"inputs": text}}
    limit = dice.randint(10**6, 10**9)
    line = Line("month", "2026-11", limit, dice.randrange(limit), dice.randrange(limit // 4))
    world.decide(job, purse=Purse((line,)) if dice.random() < 0.3 else Purse())


def _change(world: Any, dice: random.Random, tenant: str) -> None:
    kind = dice.randrange(3)
    if kind == 0:
        offer = dice.choice([one for one in world.catalogue.offers if one.price is not None])
        price = {"output_nanousd_per_million_tokens": dice.randint(10**7, 10**9)}
        world.price(offer.provider, offer.model, price=price)
    elif kind == 1:
        name = dice.choice(["brief/1", "cheapest/1", "balanced/1", "fastest/1"])
        world.rule(kind="policy", tenant=tenant, policy=name)
    else:
        world.account(kind="tenant", tenant=tenant, tier=dice.choice(["default", "standard"]))


def _support(name: str) -> Any:
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))
    return importlib.import_module(name)
