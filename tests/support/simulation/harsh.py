"""Schedules as somebody else would write them: odd sizes and settings, hostile jobs, and faults that come in scenes
(`simulation.scenes`) instead of each for itself. Pure. `make simulate HARSH=1`.

Its seeds are others than those of `simulation.schedule`.
"""

import random
from collections.abc import Sequence
from typing import Any

from simulation.installation import Size
from simulation.provider import LARGE, SMALL, Mood
from simulation.scenes import SCENES
from simulation.schedule import ODD, PRIORITIES, TENANTS, Fault, Limit, Plan, Publication, as_published
from simulation.words import words_of

SMALL_SHARE = 0.65
"""Of all schedules: as in `simulation.schedule`."""
SETTINGS: dict[str, Sequence[Any]] = {
    "retry_in_memory_s": [0.0, 5.0], "max_retries": [0, 1, 6], "backoff_factor_s": [0.05, 3.0],
    "backoff_max_s": [0.5, 12.0], "retry_budget": [0.0, 0.1], "retry_budget_least": [0, 2],
    "bulkhead_share": [0.3, 1.0], "commit_max_ms": [5, 1500], "commit_max_records": [1, 2], "fair_wait_s": [0.1, 10.0],
    "reserve_attempts": [1, 4], "breaker_reset_s": [0.5, 12.0], "breaker_fail_max": [1], "breaker": [False],
    "read_timeout_s": [1.0, 12.0], "snapshot_every": [1, 2, 30], "adaptive": [True], "learn_limits": [False],
    "max_in_flight_bytes": [2_000],
}  # fmt: skip
"""Of each, values that the other schedules do not have; one in seven is set to one."""


def plan(seed: int) -> Plan:
    """The harsh schedule of a seed."""
    dice = random.Random(f"harsh {seed}")
    small = dice.random() < SMALL_SHARE
    workers, routers = (dice.choice([1, 2, 2]), 1) if small else (dice.choice([2, 3, 4]), dice.choice([1, 2, 3]))
    size = Size(
        workers, routers, partitions=1 if small else dice.choice([1, 2, 3, 4]), machines=dice.choice([1, 1, 2, 3]),
        max_in_flight=dice.choice([1, 1, 2, 4, 8, 32]), session_s=dice.choice([3.0, 4.0, 6.0, 10.0]),
        more=tuple((name, dice.choice(values)) for name, values in SETTINGS.items() if dice.random() < 1 / 7),
    )  # fmt: skip
    length_s = dice.choice([0.5, 4.0]) if small else dice.choice([1.0, 5.0, 15.0, 30.0])
    jobs = _jobs(dice, length_s, dice.choice([2, 4, 8, 12]) if small else dice.choice([8, 16, 40]))
    mood = dice.choice([Mood(), Mood(), Mood(limited=0.1, overloaded=0.05, cut=0.05, lost=0.05, silent=0.02)])
    faults = _faults(dice, size, [one.at_s for one in jobs])
    limits, cancels = _limits(dice), _cancels(dice, jobs)
    jobs, words = words_of(seed, jobs, TENANTS)
    return Plan(seed, size, jobs, limits, cancels, faults, mood, words)


def _faults(dice: random.Random, size: Size, busy_s: Sequence[float]) -> list[Fault]:
    """Up to four scenes out of three, each soon after a job came; and dead letters driven again and again."""
    scenes, faults = dice.sample(SCENES, dice.choice([1, 2, 3])), list[Fault]()
    for _ in range(dice.choice([1, 1, 2, 3, 4])):
        faults += dice.choice(scenes)(dice, size, dice.choice(busy_s) + dice.uniform(0, 1.5))
    if dice.random() < 0.3:
        at_s = max(busy_s)
        faults += [Fault(at_s + dice.uniform(0, 8), "redrive") for _ in range(dice.choice([1, 2, 4]))]
    return sorted(faults, key=lambda one: one.at_s)


def _jobs(dice: random.Random, length_s: float, count: int) -> list[Publication]:
    """Most are odd, many keep an order, ids come again and again, some have no time at all."""
    tenants = dice.sample(TENANTS, dice.randint(1, len(TENANTS)))
    odd, ordered = dice.choice([0.1, 0.3, 0.7]), dice.choice([0.0, 0.5, 0.9, 1.0])
    keys, hurry_s = dice.choice(["k", "kl", "klmnop"]), dice.choice([0.05, 1.0, 5.0, 40.0])
    bursts = [dice.uniform(0, length_s) for _ in range(dice.choice([1, 3, 10]))]
    spread_s = dice.choice([0.01, 0.5, length_s])
    told: list[Publication] = []
    for number in range(count):
        job: dict[str, Any] = {
            "id": f"j{number}", "tenant": dice.choice(tenants), "task": "chat-completion",
            "model": dice.choice([SMALL, SMALL, LARGE, "auto"]),
            "input": {
                "messages": [{"role": "user", "content": "What do bees make? " * dice.choice([1, 1, 60])}],
                "max_tokens": dice.choice([1, 16, 64]),
            },
            "timeout_s": dice.choice([40.0, 40.0, 20.0, hurry_s]), "priority": dice.choice(PRIORITIES),
        }  # fmt: skip
        if dice.random() < ordered:
            job["ordering_key"] = dice.choice(keys)
        if dice.random() < 0.2:
            job["stream"] = True
        at_s = dice.choice(bursts) + dice.uniform(0, spread_s)
        times = dice.choice([1, 1, 3]) if "ordering_key" not in job else 1
        kinds = [dice.choice(ODD) for _ in range(times)] if dice.random() < odd else [""]
        for kind in kinds:
            told += as_published(dice, kind, at_s, job, away="ordering_key" not in job and dice.random() < 0.05)
    return sorted(told, key=lambda one: one.at_s)


def _limits(dice: random.Random) -> list[Limit]:
    """Of both windows and of what parts there are; most of them bind, and are raised, or lowered, on the way."""
    limits = []
    for tenant in TENANTS:
        over = dice.choice(["wait", "wait", "refuse"])
        for name in "bcd"[: dice.choice([0, 0, 0, 0, 1, 2, 3])]:
            nanousd = dice.choice([0, 3_000_000, 10_000_000, 25_000_000, 80_000_000])
            model, provider = dice.choice([(None, None), (None, None), (SMALL, None), (LARGE, None), (None, "groq")])
            moved = dice.uniform(0.5, 25) if dice.random() < 0.7 else None
            to = 0 if moved is None else max(0, nanousd + dice.choice([-nanousd, -5_000_000, 5_000_000, 40_000_000]))
            window = dice.choice(["total", "hour"])
            limits.append(Limit(tenant, nanousd, moved, to, over, name, window, model, provider))
    return limits


def _cancels(dice: random.Random, jobs: Sequence[Publication]) -> list[tuple[float, str, str]]:
    """Before they come, while they run, after their end, twice, and of a job that there is not."""
    share = dice.choice([0.0, 0.05, 0.4])
    told = [
        (max(0.0, one.at_s + dice.uniform(-2, 6)), one.tenant, one.id)
        for one in jobs for _ in range(2) if one.id and dice.random() < share
    ]  # fmt: skip
    return [*told, (1.0, TENANTS[0], "nobody")] if share else told
