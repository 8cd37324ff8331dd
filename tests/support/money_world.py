"""A provider that is dear, a budget, and an audit of what was spent, from the topics and the bill alone.

The audit shares no code with the rooms that it judges, as `verdict` has it.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stranger import Found, Stranger
from system import MODEL
from verdict import called_for

DECISIONS, LEDGER, RESULTS, BUDGETS, POLICIES = (
    "inference.decisions.v1", "inference.ledger.v1", "inference.results.v1", "novix.budgets.v1", "novix.policies.v1",
)  # fmt: skip
DOLLAR = 1_000_000_000
INPUT_NANOUSD, OUTPUT_NANOUSD = 1_000, 100_000
"""Of one token: the stub's answer of 12 words to a prompt of 12 tokens costs 1,212,000 nano-dollars, and at most
1,800,000 or so by what the router can know before the call."""
COST_NANOUSD = 1_212_000
PRICE = {
    "input_nanousd_per_million_tokens": INPUT_NANOUSD * 1_000_000,
    "output_nanousd_per_million_tokens": OUTPUT_NANOUSD * 1_000_000,
    "source": "test",
    "as_of": "2026-11-22",
}


def dear_catalogue(folder: Path, *providers: str) -> Path:
    """A catalogue of the stub's model at these providers, one after the other dearer by nothing."""
    offers = [
        {
            "provider": provider, "provider_model": MODEL, "dialect": "hf-router", "base": "huggingface",
            "tasks": ["chat-completion"], "context_tokens": 131_072, "max_in_flight": 64, "licence": "llama3.1",
            "price": PRICE,
        }
        for provider in providers
    ]  # fmt: skip
    path = folder / "dear.json"
    models = [{"model": MODEL, "tier": "small", "offers": offers}]
    known = {name: ["chat-completion"] for name in providers}
    path.write_text(json.dumps({"origin": "invented", "models": models, "aliases": {}, "providers": known}))
    return path


def say(stranger: Stranger, topic: str, **event: Any) -> None:
    """An event of who pays, or of a rule, as an operator writes it."""
    document = {"event": {"at": datetime.now(UTC).isoformat(), **event}}
    stranger.write([(b"key", json.dumps(document).encode(), [])], topic=topic, partition=0)


@dataclass(frozen=True, slots=True)
class Audit:
    """What a run spent, as each of the three tells it: the ledger, the results, the provider."""

    limit: int
    ledger: int
    results: int
    billed: int
    ambiguous: Counter[str]
    """Calls that may have been paid without an answer, by `tenant/id`, as the ledger lists them."""
    ambiguous_nanousd: int
    complaints: list[str]

    def __str__(self) -> str:
        return (
            f"of {self.limit}: ledger {self.ledger}, results {self.results}, billed {self.billed}, "
            f"{self.ambiguous.total()} ambiguous of {self.ambiguous_nanousd}; {self.complaints[:10]}"
        )


def is_spent(records: Sequence[Found], limit: int) -> bool:
    """Whether nothing is open any more and no job like those that were reserved for fits into the limit."""
    reserves = [
        one["reserve"]["nanousd"]
        for found in records if found.topic == DECISIONS
        for one in found.json["decisions"] if one.get("reserve")
    ]  # fmt: skip
    entries = [entry for found in records if found.topic == LEDGER for entry in found.json["entries"]]
    spent = sum(entry["cost_nanousd"] for entry in entries)
    return len(entries) == len(reserves) > 0 and spent + min(reserves) > limit


def audited(records: Sequence[Found], bill: Sequence[Sequence[Any]], *, limit: int) -> Audit:
    """Every reservation ends once, every result and ledger entry say the same, and both say what the provider charged.

    `bill`: (trace, model, input tokens, output tokens) of each answer that was charged, whoever still waited for it.
    """
    decisions = {
        one["decision_id"]: one
        for found in records if found.topic == DECISIONS
        for one in found.json["decisions"]
    }  # fmt: skip
    reserved = {name: one["reserve"]["nanousd"] for name, one in decisions.items() if one.get("reserve")}
    entries = [entry for found in records if found.topic == LEDGER for entry in found.json["entries"]]
    results = [found.json for found in records if found.topic == RESULTS]
    due: Counter[str] = Counter()
    for trace, _, used_in, used_out in bill:
        due[trace] += used_in * INPUT_NANOUSD + used_out * OUTPUT_NANOUSD
    doubtful = [(called_for(entry), charge) for entry in entries for charge in entry["charges"] if charge["ambiguous"]]
    return Audit(
        limit=limit,
        ledger=sum(entry["cost_nanousd"] for entry in entries),
        results=sum(result["cost_nanousd"] for result in results),
        billed=due.total(),
        ambiguous=Counter(trace for trace, _ in doubtful),
        ambiguous_nanousd=sum(charge["nanousd"] for _, charge in doubtful),
        complaints=[
            *_each_ends(reserved, entries),
            *_adds_up(entries, reserved),
            *_same(entries, results),
            *_as_billed(results, due),
        ],
    )


def _each_ends(reserved: dict[str, int], entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    ended = Counter(entry["decision_id"] for entry in entries)
    if leaked := sorted(set(reserved) - set(ended)):
        yield f"{len(leaked)} reservations never ended: {leaked[:3]}"
    if strange := sorted(set(ended) - set(reserved)):
        yield f"{len(strange)} ends of what was never reserved: {strange[:3]}"
    if doubled := {name: count for name, count in ended.items() if count > 1}:
        yield f"{len(doubled)} reservations ended more than once: {list(doubled)[:3]}"


def _adds_up(entries: Sequence[dict[str, Any]], reserved: dict[str, int]) -> Iterator[str]:
    for entry in entries:
        name, charges = called_for(entry), sum(charge["nanousd"] for charge in entry["charges"])
        if charges != entry["cost_nanousd"]:
            yield f"{name} cost {entry['cost_nanousd']} and its charges are {charges}"
        if entry["reserved_nanousd"] != reserved.get(entry["decision_id"], entry["reserved_nanousd"]):
            yield f"{name} ends another reserve than was taken"
        if entry["cost_nanousd"] > entry["reserved_nanousd"]:
            yield f"{name} cost {entry['cost_nanousd']}, more than its reserve {entry['reserved_nanousd']}"
        if (entry["kind"] == "settle") != bool(entry["charges"]):
            yield f"{name} is a {entry['kind']} of {len(entry['charges'])} charges"


def _same(entries: Sequence[dict[str, Any]], results: Sequence[dict[str, Any]]) -> Iterator[str]:
    told = {(called_for(entry), entry["submission"]): entry["cost_nanousd"] for entry in entries}
    for result in results:
        name = called_for(result), result["submission"]
        if result["cost_nanousd"] != told.get(name, 0):
            yield f"{name}: its result says {result['cost_nanousd']}, the ledger {told.get(name, 0)}"


def _as_billed(results: Sequence[dict[str, Any]], due: Counter[str]) -> Iterator[str]:
    for result in results:
        name, cost = called_for(result), result["cost_nanousd"]
        doubtful = any(attempt["ambiguous"] for attempt in result["attempts"])
        if cost < due[name] or (cost != due[name] and not doubtful):
            yield f"{name} says {cost}, the provider charges {due[name]}"
    strangers = set(due) - {called_for(result) for result in results}
    if strangers:
        yield f"{len(strangers)} jobs without a result were charged for: {sorted(strangers)[:3]}"
