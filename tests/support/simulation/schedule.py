"""What happens in one schedule, all of it from its seed: the installation, the jobs, the budgets, the faults. Pure.

Each seed takes a part of all kinds of faults only ("swarm testing", Groce and others, ISSTA 2012): where everything
happens at once, what needs two things together and no third is seldom seen.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from simulation.installation import Size
from simulation.kafka import BrokerFaults
from simulation.network import NetworkFaults
from simulation.provider import LARGE, SMALL, Mood
from simulation.words import Word, words_of

TENANTS = ("ants", "bees", "crows")
PRIORITIES = ("batch", "normal", "normal", "interactive")
DOLLAR = 1_000_000_000

CALL = "call"
"""The name of a request to the provider."""
PROCESS_FAULTS = ("kill", "terminate", "hurry", "freeze", "leave", "cut")
OTHER_FAULTS = (
    "kill_all", "rolling", "broker_stop", "broker_crash", "broker_freeze", "network", "broker_errors", "storm",
    "clock_step", "disk_full", "publish_again",
)  # fmt: skip
SMALL_SHARE = 0.5
"""Of all schedules: one router, one partition, few jobs. Most faults need no more, and three of them take the time of a
large one."""
LATER_FAULTS = ("refused", "redrive")
"""Chosen with dice of their own: schedules stay what they were without them."""
HARMLESS = frozenset({"terminate", "leave", "rolling", "storm", "publish_again", "clock_step", *LATER_FAULTS})
"""After these alone no call may be made for nothing."""
STORMS = (
    Mood(limited=0.5), Mood(overloaded=0.6), Mood(broken=0.6), Mood(refuses_connection=0.7), Mood(slow=0.9),
    Mood(silent=0.3), Mood(cut=0.3, lost=0.2), Mood(limited=0.2, overloaded=0.1, cut=0.1, silent=0.05, lost=0.1),
)  # fmt: skip
NETWORKS = (
    NetworkFaults(slow=0.05, slow_s=6.0), NetworkFaults(late_answer=0.05, slow_s=6.0), NetworkFaults(lost=0.03),
    NetworkFaults(unanswered=0.03), NetworkFaults(silent=0.02), NetworkFaults(orphaned=0.1, slow_s=1.0),
    NetworkFaults(slow=0.02, slow_s=8.0, late_answer=0.02, lost=0.01, unanswered=0.02, silent=0.01),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Publication:
    """One record that a producer writes to the jobs topic."""

    at_s: float
    tenant: str
    id: str
    """Empty: nobody can read it."""
    value: bytes
    away: bool = False
    """It is written to another partition than its tenant's home."""
    letter: str = ""
    """The dead letter, `partition/offset`, that is driven again with it."""


@dataclass(frozen=True, slots=True)
class Trap:
    """The fault `does` happens to the victim, and to its successors, whenever it has sent such a request."""

    request: str
    """A part of its name, or `CALL`."""
    after: bool
    """When it has been handled, or as it arrives."""
    does: str
    """A kind of fault."""
    for_s: float
    times: int = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """Something goes wrong. Whoever it happens to is well again, or back, `for_s` later."""

    at_s: float
    kind: str
    victim: str = ""
    """A process, or a machine."""
    for_s: float = 0.0
    by_s: float = 0.0
    """Of a clock that is set."""
    mood: Mood | None = None
    network: NetworkFaults | None = None
    broker: BrokerFaults | None = None
    """Its errors and habits meanwhile."""
    trap: Trap | None = None

    def __str__(self) -> str:
        parts = [f"{self.at_s:.2f} s {self.kind}", self.victim, f"for {self.for_s:.2f} s" if self.for_s else ""]
        how = self.mood or self.network or self.broker or self.trap
        parts.append(f"({_told(how)})" if how is not None else "")
        parts.append(f"by {self.by_s:g} s" if self.by_s else "")
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Limit:
    """A tenant's hard budget, from the beginning on; it may be raised later."""

    tenant: str
    nanousd: int
    raised_at_s: float | None = None
    raised_to: int = 0
    over_limit: str = "wait"
    id: str = "b"
    window: str = "total"
    """Or `hour`: of the decision's own time."""
    model: str | None = None
    provider: str | None = None
    """It holds for calls of this one alone."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole schedule."""

    seed: int
    size: Size
    jobs: Sequence[Publication]
    limits: Sequence[Limit]
    cancels: Sequence[tuple[float, str, str]]
    """When, tenant, id."""
    faults: Sequence[Fault]
    mood: Mood = field(default_factory=Mood)
    """The provider's, all the time."""
    words: Sequence[Word] = ()
    """What is said on the registry."""

    @property
    def heals_at_s(self) -> float:
        """When the last fault is over."""
        return max((fault.at_s + fault.for_s for fault in self.faults), default=0.0)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.size}", f"{len(self.jobs)} records, limits {[*self.limits]}"]
        return "\n  ".join([*lines, *map(str, self.words), *map(str, self.faults)])


def plan(seed: int) -> Plan:
    """The schedule of a seed."""
    dice = random.Random(seed * 2 + 1)
    small = dice.random() < SMALL_SHARE
    workers, routers = (dice.choice([1, 2, 2]), 1) if small else (dice.choice([1, 2, 2, 3]), dice.choice([1, 1, 2]))
    size = Size(
        workers, routers, partitions=1 if small else dice.choice([1, 2, 2, 3]), machines=dice.choice([1, 1, 2]),
        max_in_flight=dice.choice([2, 4, 8]), session_s=dice.choice([4.0, 6.0]),
    )  # fmt: skip
    length_s = dice.uniform(2.0, 6.0) if small else dice.uniform(4.0, 14.0)
    jobs = _jobs(dice, length_s, dice.randint(4, 12) if small else dice.randint(8, 32))
    limits = _limits(dice)
    cancels = [(one.at_s + dice.uniform(0, 4), one.tenant, one.id) for one in jobs if one.id and dice.random() < 0.05]
    mood = dice.choice([Mood(), Mood(), Mood(limited=0.05, overloaded=0.03, cut=0.02, lost=0.02, silent=0.01)])
    busy_s = [one.at_s for one in jobs]
    faults = _faults(dice, size, busy_s)
    later = random.Random(seed * 2)
    limits = _more_limits(later, limits)
    faults = sorted([*faults, *_more_faults(later, busy_s)], key=lambda one: one.at_s)
    jobs, words = words_of(seed, jobs, TENANTS)
    return Plan(seed, size, jobs, limits, cancels, faults, mood, words)


def _jobs(dice: random.Random, length_s: float, count: int) -> list[Publication]:
    tenants = TENANTS[: dice.randint(1, len(TENANTS))]
    odd = dice.choice([0.0, 0.1, 0.3])
    """How often a record is none of the plain ones."""
    ordered = dice.choice([0.0, 0.0, 0.3, 0.8])
    bursts = [dice.uniform(0, length_s) for _ in range(dice.choice([1, 2, 3]))]
    spread_s = dice.choice([0.05, 1.0, length_s])
    told: list[Publication] = []
    for number in range(count):
        at_s = dice.choice(bursts) + dice.uniform(0, spread_s)
        tenant, id = dice.choice(tenants), f"j{number}"
        job: dict[str, Any] = {
            "id": id, "tenant": tenant, "task": "chat-completion",
            "model": dice.choice([SMALL, SMALL, SMALL, LARGE, "auto"]),
            "input": {
                "messages": [{"role": "user", "content": "What do bees make? " * dice.choice([1, 1, 20])}],
                "max_tokens": dice.choice([8, 16, 32]),
            },
            "timeout_s": dice.choice([20.0, 40.0, 40.0]), "priority": dice.choice(PRIORITIES),
        }  # fmt: skip
        if dice.random() < ordered:
            job["ordering_key"] = dice.choice("kl")
        kind = dice.choice(ODD) if dice.random() < odd else ""
        told += as_published(dice, kind, at_s, job, away=dice.random() < 0.05 and "ordering_key" not in job)
    return sorted(told, key=lambda one: one.at_s)


def as_published(
    dice: random.Random, kind: str, at_s: float, job: dict[str, Any], *, away: bool
) -> list[Publication]:  # fmt: skip
    """A job as it comes to the jobs topic: once, or more often, or as something that is none."""
    tenant, id = job["tenant"], job["id"]
    if kind == "unreadable":
        return [Publication(at_s, tenant, "", dice.choice([b"{", b"[]", b'{"tenant": "ants"}', b"\xff"]))]
    if kind == "hurried":
        job["timeout_s"] = dice.uniform(0.2, 3.0)
    elif kind == "pinned":
        job["provider"] = dice.choice(["groq", "together"])
    elif kind == "cheap":
        job["max_cost_nanousd"] = dice.choice([0, 500_000, 2_000_000])
    elif kind == "streamed":
        job["stream"] = True
    elif kind == "refused":
        job["task"] = "no-such-task"
    told = [Publication(at_s, tenant, id, json.dumps(job).encode(), away)]
    if kind in ("twice", "at_once") and "ordering_key" not in job:
        told.append(replace(told[0], at_s=at_s + (dice.uniform(0, 6) if kind == "twice" else 0.0)))
    elif kind == "conflict":
        other = json.dumps({**job, "metadata": {"again": True}}).encode()
        told.append(Publication(at_s + dice.uniform(0, 6), tenant, id, other))
    return told


ODD = ("hurried", "pinned", "cheap", "streamed", "refused", "unreadable", "twice", "twice", "at_once", "conflict")


def _limits(dice: random.Random) -> list[Limit]:
    limits = []
    for tenant in TENANTS:
        if dice.random() < 0.5:
            continue
        nanousd = dice.choice([0, 3_000_000, 8_000_000, 20_000_000, 10 * DOLLAR])
        raised = dice.random() < 0.4
        limits.append(
            Limit(
                tenant, nanousd, dice.uniform(1, 12) if raised else None, nanousd + 15_000_000 if raised else 0,
                dice.choice(["wait", "wait", "refuse"]),
            )
        )  # fmt: skip
    return limits


def _more_limits(dice: random.Random, limits: Sequence[Limit]) -> list[Limit]:
    """Some of them for each hour; and others beside them, for one model or one provider."""
    told = [replace(one, window="hour") if dice.random() < 0.4 else one for one in limits]
    for tenant in TENANTS:
        if dice.random() < 0.15:
            model, provider = dice.choice([(SMALL, None), (LARGE, None), (None, "groq")])
            over = next((one.over_limit for one in limits if one.tenant == tenant), "wait")
            limit = Limit(tenant, dice.choice([2_000_000, 8_000_000, 30_000_000]), over_limit=over, id="c")
            told.append(replace(limit, model=model, provider=provider, window=dice.choice(["total", "hour"])))
    return told


def _more_faults(dice: random.Random, busy_s: Sequence[float]) -> list[Fault]:
    """A credential that is refused for a while, and dead letters that are driven again, twice or while more come."""
    faults = []
    if dice.random() < 0.15:
        at_s = dice.choice(busy_s) + dice.uniform(0, 1)
        faults.append(Fault(at_s, "refused", for_s=dice.uniform(0.5, 12)))
    if dice.random() < 0.4:
        at_s = max(busy_s) + dice.uniform(0, 6)
        faults += [Fault(at_s, "redrive"), Fault(at_s + dice.choice([0.0, 0.3, 5.0]), "redrive")]
    return faults


def _faults(dice: random.Random, size: Size, busy_s: Sequence[float]) -> list[Fault]:
    """Most of them soon after a job came: what nothing is under way in can hardly break."""
    kinds = [kind for kind in (*PROCESS_FAULTS, *OTHER_FAULTS) if dice.random() < 0.35]
    count = dice.choice([0, 1, 2, 3, 5, 8]) if kinds else 0
    names = [f"router-{number}" for number in range(size.routers)]
    names += [f"worker-{number}" for number in range(size.workers)]
    faults = [
        _fault(dice, dice.choice(kinds), dice.choice(busy_s) + dice.uniform(0, 1.5), size, names) for _ in range(count)
    ]
    return sorted(faults, key=lambda one: one.at_s)


def _fault(dice: random.Random, kind: str, at_s: float, size: Size, names: Sequence[str]) -> Fault:
    short, long = dice.uniform(0.0, 1.5), dice.uniform(1.5, 2.5 * size.session_s)
    fault = Fault(at_s, kind, for_s=dice.choice([short, long]))
    if kind in ("leave", "cut"):
        fault = replace(fault, for_s=long)
    elif kind in ("kill", "terminate", "hurry"):
        fault = replace(fault, for_s=dice.choice([0.0, short, long]))
    elif kind in ("kill_all", "rolling"):
        fault = replace(fault, for_s=dice.choice([0.0, short]))
    elif kind == "network":
        fault = replace(fault, for_s=dice.uniform(1, 8), network=dice.choice(NETWORKS))
    elif kind == "storm":
        fault = replace(fault, for_s=dice.uniform(0.5, 8), mood=dice.choice(STORMS))
    elif kind in ("clock_step", "disk_full", "broker_errors"):
        fault = replace(fault, for_s=dice.uniform(0.5, 8))
    if kind == "clock_step":
        fault = replace(fault, by_s=dice.choice([3600.0, -3600.0, 5.0, -5.0]))
    if kind in ("clock_step", "disk_full"):
        return replace(fault, victim=f"machine-{dice.randrange(size.machines)}")
    return replace(fault, victim=dice.choice(names)) if kind in PROCESS_FAULTS else fault


def _told(how: Any) -> str:
    named = {name: getattr(how, name) for name in how.__dataclass_fields__}
    return ", ".join(f"{name} {value}" for name, value in named.items() if value)
