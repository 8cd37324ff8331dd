"""Routing that learns against routing that does not: the same seeded jobs, the same providers, the same hidden truth.

What the catalogue tells of an offer is its price. What it does not tell is how long it takes, how often it fails, and
that it charges for more tokens than it was asked for; of one of the offers all of that grows worse half way. Jobs are
decided by `router.decide` itself, first choice and fallbacks are tried in their order, and what a job costs is money
and time together, a millisecond counting as the policy counts it. Regret is what was lost beyond the order that
somebody would have chosen who knew the truth, within the same tier.
"""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.decide import PROMPTS
from bench.figure import Figure
from router.catalogue import Catalogue, merge, parse
from router.decide import decide
from router.feedback import NO_LESSONS, Observations
from router.table import Key
from router.view import View, view_of
from runtime.settings import Settings
from schemas import codec
from schemas.assignment import Candidate
from schemas.job import InferenceJob

NAME = "adaptive"
TASK = "chat-completion"
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVERY = timedelta(milliseconds=200)
SEEDS = (1, 2, 3, 4, 5)
LOST_MS = 10_000
"""What a job counts that nobody answered."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What an offer is really like."""

    wait_ms: int
    failing: float
    charges: float
    """Times what was expected."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one way of routing came to."""

    lost: float
    regret: float
    """Both in nano-dollars a job, time counted as money."""
    wait_ms: float
    paid: float
    unanswered: int
    away: float
    """Share of jobs whose first choice was not the static one."""


def measure(*, quick: bool) -> list[Figure]:
    """Means over several seeds of world and dice."""
    jobs = 1_500 if quick else 6_000
    static = [run(seed, jobs, learns=False) for seed in SEEDS]
    learnt = [run(seed, jobs, learns=True) for seed in SEEDS]
    figures = []
    for name, runs in (("static", static), ("adaptive", learnt)):
        figures += [
            Figure(NAME, f"{name}: regret a job", statistics.mean(one.regret for one in runs), "nano-dollars"),
            Figure(NAME, f"{name}: time to the answer", statistics.mean(one.wait_ms for one in runs), "ms"),
            Figure(NAME, f"{name}: paid a job", statistics.mean(one.paid for one in runs), "nano-dollars"),
            Figure(NAME, f"{name}: unanswered", sum(one.unanswered for one in runs), f"of {jobs * len(SEEDS)} jobs"),
        ]
    better = sum(one.regret < other.regret for one, other in zip(learnt, static, strict=True))
    share = 100 * statistics.mean(one.away for one in learnt)
    return [
        *figures,
        Figure(NAME, "worlds in which learning was better", better, f"of {len(SEEDS)}", "all"),
        Figure(NAME, "jobs whose first choice it changed", share, "%"),
    ]


def run(seed: int, jobs: int, *, learns: bool) -> Run:
    """Route `jobs` jobs through one world. Deterministic."""
    truths, view = world(seed)
    observations = Observations()
    lost, regret, waits, paid, unanswered, away = 0.0, 0.0, [], 0, 0, 0
    worse = min(truths, key=lambda key: (key[1], key[0]))
    for number in range(jobs):
        if number == jobs // 2:
            old = truths[worse]
            truths = {**truths, worse: Truth(old.wait_ms * 3, min(0.6, old.failing + 0.3), old.charges * 1.2)}
        now = START + number * EVERY
        job = _job(number)
        lessons = observations.lessons(TASK, f"{seed}/{number}", now) if learns else NO_LESSONS
        chosen = decide(job, view.at(lessons=lessons), published=now, now=now).candidates
        static = decide(job, view, published=now, now=now).candidates if learns else chosen
        dice = random.Random(f"{seed}/{number}")
        away += (chosen[0].provider, chosen[0].model) != (static[0].provider, static[0].model)
        wait_ms, cost, good = _tried(chosen, truths, dice, observations, now)
        value = cost + (wait_ms + (0 if good else LOST_MS)) * view.policy.nanousd_per_ms
        lost += value
        regret += value - _best(view, chosen, truths)
        waits.append(wait_ms)
        paid += cost
        unanswered += not good
    return Run(lost / jobs, regret / jobs, statistics.mean(waits), paid / jobs, unanswered, away / jobs)


def world(seed: int) -> tuple[dict[Key, Truth], View]:
    """Twelve offers of two tiers, and what they are really like."""
    dice = random.Random(f"world/{seed}")
    rows, truths = [], {}
    for number in range(12):
        tier, model, provider = ("small", "large")[number % 2], f"org/model-{number:02}", f"provider-{number % 4}"
        price = dice.randrange(5 * 10**7, 3 * 10**8) * (1 if tier == "small" else 4)
        told = {
            "provider": provider, "provider_model": model, "dialect": "hf-router", "base": "huggingface",
            "tasks": [TASK], "max_in_flight": 16,
            "price": {
                "input_nanousd_per_million_tokens": price // 2, "output_nanousd_per_million_tokens": price,
                "source": "bench", "as_of": "",
            },
        }  # fmt: skip
        rows.append({"model": model, "tier": tier, "offers": [told]})
        truths[provider, model] = Truth(
            dice.randrange(200, 4_000), dice.choice([0.0, 0.01, 0.02, 0.1, 0.3]), dice.uniform(0.6, 1.6)
        )
    file = parse("bench.json", codec.encode({"origin": "bench", "models": rows}))
    catalogue: Catalogue = merge([file], {"huggingface": "http://127.0.0.1:1", "sandbox": None})
    return truths, view_of(Settings(home=Path("/nonexistent")), catalogue)


def _tried(
    candidates: Sequence[Candidate], truths: dict[Key, Truth], dice: random.Random, seen: Observations, now: datetime
) -> tuple[int, int, bool]:
    """Time and money until the first good answer. A call that fails takes its time and costs nothing."""
    wait_ms = cost = 0
    for one in candidates:
        key = one.provider, one.model
        truth = truths[key]
        took = round(truth.wait_ms * dice.uniform(0.7, 1.3))
        good = dice.random() >= truth.failing
        paid = round(one.estimate_nanousd * truth.charges * dice.uniform(0.9, 1.1)) if good else 0
        wait_ms, cost = wait_ms + took, cost + paid
        seen.note(
            TASK, key, wait_ms=took, is_good=good, paid_nanousd=paid, expected_nanousd=one.estimate_nanousd, at=now
        )
        if good:
            return wait_ms, cost, True
    return wait_ms, cost, False


def _best(view: View, chosen: Sequence[Candidate], truths: dict[Key, Truth]) -> float:
    """What a job of the first choice's tier costs at the offer that is best in truth, failures tried again."""
    tier = next(one.tier for one in view.catalogue.by_model[chosen[0].model])
    scale = chosen[0].estimate_nanousd / _price(view, chosen[0].model)
    losses = []
    for (_, model), truth in truths.items():
        if view.catalogue.by_model[model][0].tier == tier:
            money = scale * _price(view, model) * truth.charges
            losses.append(money + truth.wait_ms * view.policy.nanousd_per_ms / (1 - truth.failing))
    return min(losses)


def _price(view: View, model: str) -> int:
    price = view.catalogue.by_model[model][0].price
    return 0 if price is None else price.output_nanousd_per_million_tokens


def _job(number: int) -> InferenceJob:
    asked = {"messages": [{"role": "user", "content": PROMPTS[number % len(PROMPTS)]}]}
    return InferenceJob.model_validate({"id": str(number), "task": TASK, "input": asked})
