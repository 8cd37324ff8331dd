"""Where a job's time went: each wait by its name, summed. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from console.telling.evidence import Deed, Evidence, Spell, began, dicts, milliseconds, number
from console.words import count, span
from runtime.telemetry import DESTINATION, QUEUED_MS
from schemas.failure import FailureKind
from schemas.topics import JOBS

NAMES = {
    "slot": "for a free slot: calls at once at that provider have a limit",
    "breaker": "for the provider's breaker to let a call through",
    "retry": "for the next attempt: the provider's Retry-After, else a backoff",
    "budget": "for the retry budget: retries are a bounded share of all calls",
    "suspect": "behind other records that were out when a process died",
    "intent": "until the call could be noted",
    "ready": "for what the call needs: payloads, the model's name, a credential",
}
WAITING = "waiting"
SLOW_MS = 1_000
"""Of a job that took less, nobody asks what took so long."""
LEAST_MS = 0.5
"""Parts that are shorter are none."""
ROUTER_LONG_MS = 100
"""A job that stays longer in the router waits there for its turn."""
EDGE_MS = 1_000
"""Spans of one submission begin and end within its own time, so much aside."""


@dataclass(frozen=True, slots=True)
class Spent:
    """One part of the time."""

    ms: float
    words: str


@dataclass(frozen=True, slots=True)
class Times:
    """The time of one submission, in milliseconds."""

    total: float | None
    parts: list[Spent] = field(default_factory=list)
    """In the order in which they passed; with the rest they make the total."""
    waits: list[Spent] = field(default_factory=list)
    """Of the part `waiting`, the longest first."""
    passages: list[str] = field(default_factory=list)
    """Through retry topics, in words."""
    commit: float | None = None
    """From the end of the work until the result's record was written: after the total."""


def times_of(found: Evidence, submission: int) -> Times:
    """Where the time of this submission went, as far as result, spans and audit tell."""
    result = found.result(submission) or {}
    timing = {name: value for name, value in _timing(result).items() if isinstance(value, int)}
    spells = _spells(found, result)
    total = timing.get("total")
    parts = [Spent(ms, words) for words, ms in _parts(timing, spells) if ms >= LEAST_MS]
    if total is not None and (rest := total - sum(part.ms for part in parts)) >= 1:
        died = any(one.get("kind") == FailureKind.INTERRUPTED for one in dicts(result.get("attempts")))
        parts.append(Spent(rest, "lost with a process that died, until another went on" if died else "for the rest"))
    ended, written = milliseconds(result.get("completed_at")), found.written_ms.get(submission)
    commit = written - ended if ended is not None and written is not None and written >= ended else None
    return Times(total, parts, _waits(timing, spells), _passages(found.deeds_of(submission)), commit)


def mostly(times: Times, *, least_ms: float) -> str | None:
    """What took more than half of a time of at least `least_ms`; None where nothing did."""
    if times.total is None or times.total < least_ms or not times.parts:
        return None
    part = max(times.parts, key=lambda one: one.ms)
    if part.ms <= times.total / 2:
        return None
    if part.words == WAITING and times.waits:
        wait = times.waits[0]
        return (
            f"most of it, {span(min(wait.ms, part.ms))}, {WAITING} {wait.words}" if wait.ms > times.total / 2 else None
        )
    return f"most of it, {span(part.ms)}, {part.words}"


def _timing(result: dict[str, Any]) -> dict[str, Any]:
    told = result.get("timing_ms")
    return told if isinstance(told, dict) else {}


def _spells(found: Evidence, result: dict[str, Any]) -> list[Spell]:
    since, until = began(result), milliseconds(result.get("completed_at"))
    if since is None or until is None:
        return found.spells
    return [one for one in found.spells if since - EDGE_MS <= one.start_ms <= until + EDGE_MS]


def _parts(timing: dict[str, int], spells: list[Spell]) -> list[tuple[str, float]]:
    routers = [one for one in spells if one.name.endswith(JOBS.name) and one.attributes.get(DESTINATION) == JOBS.name]
    parts: list[tuple[str, float]] = []
    if "queued" in timing:
        queued = float(timing["queued"])
        if routers:
            before = min(queued, max(number(one.attributes.get(QUEUED_MS)) for one in routers))
            inside = max(one.length_ms for one in routers)
            turn = "in the router, for its turn" if inside > ROUTER_LONG_MS else "in the router"
            parts += [("queued for the router", before), (turn, inside)]
        else:
            parts.append(("until it was routed" if "routed" in timing else "queued for the router", queued))
    if "routed" in timing:
        parts.append(("queued for the worker", timing["routed"]))
    if timing.get("waiting"):
        parts.append((WAITING, timing["waiting"]))
    if "calling" in timing:
        parts.append(("in calls", timing["calling"]))
    return parts


def _waits(timing: dict[str, int], spells: list[Spell]) -> list[Spent]:
    sums: Counter[str] = Counter()
    for one in spells:
        if one.name.startswith("wait "):
            sums[one.name.removeprefix("wait ")] += round(one.length_ms)
    waits = [Spent(ms, NAMES.get(name, f"for {name}")) for name, ms in sums.most_common() if ms > 0]
    told = sum(wait.ms for wait in waits)
    if (rest := timing.get("waiting", 0) - told) > max(5, 0.02 * told):
        waits.append(Spent(rest, "in waits that no span tells apart" if waits else "for slot, breaker or next attempt"))
    return waits


def _passages(deeds: list[Deed]) -> list[str]:
    """Each way through a retry topic is told when it begins and when it ends."""
    by_tier: dict[str, list[float]] = {}
    causes: dict[str, Counter[str]] = {}
    left: Deed | None = None
    for deed in deeds:
        if deed.action == "job.postponed":
            left = left or deed
            tier = str(deed.detail.get("tier") or deed.detail.get("to") or "a retry topic")
            by_tier.setdefault(tier, [])
            causes.setdefault(tier, Counter())[str(deed.detail.get("cause") or "unknown")] += 1
        elif deed.action == "job.returned":
            tier = str(deed.detail.get("from") or "a retry topic")
            rested = max(0, deed.at_ms - left.at_ms) if left is not None else number(deed.detail.get("rested_ms"))
            by_tier.setdefault(tier, []).append(rested)
            left = None
    return [
        f"{span(sum(rests))} in {tier} ({count(max(len(rests), 1), 'time')}"
        + (f"; {', '.join(cause for cause, _ in causes[tier].most_common(3))}" if tier in causes else "")
        + (")" if rests else ", not back yet)")
        for tier, rests in by_tier.items()
    ]
