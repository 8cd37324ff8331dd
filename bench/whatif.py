"""How far `novix whatif` is from having done it: the same seeded workload, predicted from a log and then really run.

`python -m bench whatif`. One process, no Kafka. A scripted provider answers: how many tokens a job takes, and how long,
depends on the job and on the model, from a seed. What `whatif` cannot know is in it: another model answers at another
length (`VERBOSE`), and one call in fifty fails and is paid. The log is made under `brief/1`; each other policy is
predicted from that log, and then run on the same jobs.
"""

import hashlib
import importlib
import random
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.figure import Figure
from router.policies import made
from router.purse import Line, Purse
from router.replay import batch_of
from router.whatif.past import Observed, Past, repriced
from router.whatif.study import Alternative, Judged, Study
from schemas.topics import DECISIONS

NAME = "whatif"
JOBS_OF_A_RUN = 2_000
SEED = 20_261_122
VERBOSE = {"small": 1.0, "large": 1.25}
"""Tokens that a model of a tier answers with, against a small one: another model's answer is not as long."""
ALIKE = {"small": 1.0, "large": 1.0}
PER_TOKEN_MS = {"small": 6.0, "large": 18.0}
FAILS = 0.02
LOGGED: tuple[str, dict[str, float]] = ("brief/1", {})
POLICIES: tuple[tuple[str, dict[str, float]], ...] = (
    ("brief/1", {"cheap_below": 0.2}),
    ("brief/1", {"cheap_below": 0.7}),
    ("cheapest/1", {}),
    ("balanced/1", {}),
)
BUDGET_SHARE = 0.9
"""Of what the workload costs, for each tenant alike: so that a hard budget refuses some of it."""
TENANTS = 5
EASY = ("say", "hello", "to", "our", "guests", "and", "tell", "them", "when", "breakfast", "is", "served")
HARD = ("prove", "explain", "why", "compare", "derive", "must", "only", "exactly", "json", "table", "1", "2")


@dataclass(frozen=True, slots=True)
class _Setting:
    """What holds for a log and for everything that is held against it."""

    name: str
    count: int
    lengths: Mapping[str, float]
    """Of answers, by the model's tier."""
    limit: int | None = None
    """Of each tenant's hard budget, in nano-dollars; None: there is none."""


@dataclass(slots=True)
class _Run:
    """One policy, really run."""

    world: Any
    paid: dict[str, int] = field(default_factory=dict)
    ms: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    @property
    def cost(self) -> int:
        return sum(self.paid.values())


def measure(*, quick: bool) -> list[Figure]:
    """The error of each prediction: where models answer alike, where they do not, and where a hard budget binds."""
    count = JOBS_OF_A_RUN // 8 if quick else JOBS_OF_A_RUN
    alike = _Setting("answers alike", count, ALIKE)
    verbose = _Setting("large models answer longer", count, VERBOSE)
    figures = [*_compare(alike, _run(alike, *LOGGED)), *_compare(verbose, free := _run(verbose, *LOGGED))]
    bound = replace(verbose, name="and a budget binds", limit=int(free.cost * BUDGET_SHARE / TENANTS))
    return [*figures, *_compare(bound, _run(bound, *LOGGED))]


def _compare(setting: _Setting, log: _Run) -> list[Figure]:
    others = [_alternative(name, parameters) for name, parameters in POLICIES]
    study = Study(log.world.history, others, Observed(log.world.ended.values()))
    judged: dict[str, list[tuple[str, Judged]]] = {other.name: [] for other in others}
    for past in _pasts(log.world):
        for other, one in zip(others, study.note(past), strict=True):
            judged[other.name].append((past.arrival.reading.id, one))
    figures = []
    for other, (name, parameters) in zip(others, POLICIES, strict=True):
        then = _run(setting, name, parameters)
        whole, label = study.reports[other.name].whole, f"{other.name}, {setting.name}"
        off = 100 * (whole.would_nanousd - then.cost) / then.cost
        told, was = (100 * (cost - log.cost) / log.cost for cost in (whole.would_nanousd, then.cost))
        note = f"predicted {told:+.1f} % against the log, was {was:+.1f} %"
        figures.append(Figure(NAME, f"{label}: cost", off, "% off", note=note))
        gone = sum(whole.fates[fate] for fate in ("refused", "waits", "never"))
        if gone or then.refused:
            note = f"of {setting.count} jobs: predicted {gone}, was {len(then.refused)}"
            figures.append(Figure(NAME, f"{label}: refused", gone - len(then.refused), "jobs off", note=note))
        timed = [(one.would_ms, then.ms[job]) for job, one in judged[other.name] if one.would_ms and job in then.ms]
        if timed:
            off = 100 * (sum(one for one, _ in timed) / sum(one for _, one in timed) - 1)
            note = f"{len(timed)} jobs moved to a model that had been seen; {whole.unknown_ms} to one that had not"
            figures.append(Figure(NAME, f"{label}: time of a moved call", off, "% off", note=note))
    return figures


def _alternative(name: str, parameters: dict[str, float]) -> Alternative:
    policy = made(name, parameters)
    told = "".join(f" {key}={value}" for key, value in parameters.items())
    return Alternative(name + told, lambda _, __: policy)


def _run(setting: _Setting, policy: str, parameters: Mapping[str, float]) -> _Run:
    """Live through the workload under one policy."""
    world = _support("past_world").PastWorld(hf_router_url="https://router.huggingface.co", sandbox_url="")
    world.rule(kind="policy", policy=policy, parameters=parameters)
    run, dice, spent = _Run(world), random.Random(SEED), Counter[str]()
    for number in range(setting.count):
        words = dice.choices(EASY, k=dice.randint(1, 40)) + dice.choices(HARD, k=dice.randrange(8))
        text, tenant = " ".join(words), f"t{dice.randrange(TENANTS)}"
        job: dict[str, Any] = {
            "id": f"j{number}", "tenant": tenant, "task": "chat-completion",
            "input": {"messages": [{"role": "user", "content": text}], "max_tokens": 800},
        }  # fmt: skip
        world.turn(milliseconds=dice.randint(1, 2_000))
        purse = Purse()
        if setting.limit is not None:
            purse = Purse((Line("all", "total", setting.limit, min(setting.limit, spent[tenant]), 0),))
        arrival, ruling, _ = world.decide(job, purse=purse)
        if ruling.verdict != "assigned":
            run.refused.add(job["id"])
            continue
        first = ruling.candidates[0]
        length = setting.lengths[tier := _tier(world, first.model)]
        usage, ms, lost = _answer(job["id"], first.model, ruling.parameters["max_tokens"], len(text), length, tier)
        paid = repriced(first.price, usage)
        extra = repriced(first.price, {"input_tokens": usage["input_tokens"]}) if lost else 0
        world.served(arrival, ruling, usage=usage, ms=ms, paid=paid + extra)
        run.paid[job["id"]], run.ms[job["id"]] = paid + extra, ms
        spent[tenant] += paid + extra
    return run


def _answer(
    job: str, model: str, most: int, characters: int, factor: float, tier: str
) -> tuple[dict[str, int], int, bool]:
    """What the scripted provider does: tokens, milliseconds, and whether a call was lost before."""
    own = random.Random(hashlib.sha256(f"{SEED}/{job}".encode()).digest())
    length = own.lognormvariate(5.0, 0.6)
    theirs = random.Random(hashlib.sha256(f"{SEED}/{job}/{model}".encode()).digest())
    tokens = max(1, min(most, int(length * factor * theirs.uniform(0.9, 1.1))))
    ms = int(150 + tokens * PER_TOKEN_MS[tier] * theirs.uniform(0.8, 1.25))
    return {"input_tokens": characters // 4 + 12, "output_tokens": tokens}, ms, theirs.random() < FAILS


def _tier(world: Any, model: str) -> str:
    return next(one.tier for one in world.catalogue.by_model[model]) or "large"


def _pasts(world: Any) -> list[Past]:
    arrivals, ended = world.arrivals(), world.ended
    rows = [one for place, some in world.records.items() if place[0] == DECISIONS.name for one in some]
    found = []
    for record in sorted(rows, key=lambda one: one.timestamp_ms):
        for stored, _ in batch_of(record):
            arrival = arrivals.take(stored)
            found.append(Past(stored, arrival, ended.get(arrival.decision_id)))
    return found


def _support(name: str) -> Any:
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))
    return importlib.import_module(name)
