"""Decisions as a lane writes them, for the decisions topic and for its own memory. Pure.

Written without the contract's models, which would validate our own values again (a tenth of a router's time); a test
reads them back with `DecisionBatch`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from router.arrival import LATEST_MS
from router.case import Case
from router.decide import Ruling
from router.fold import Entry, milliseconds
from router.redrive import Redriven
from runtime.grouping import by_size
from runtime.ports import LaneId, Outgoing
from schemas import codec
from schemas.assignment import Candidate, Price
from schemas.base import contents
from schemas.decision import Exclusion
from schemas.job import published_at
from schemas.result import Received
from schemas.topics import DECISIONS
from schemas.values import frozen

PRICE_FIELDS = tuple(Price.model_fields)


@frozen
class Fact:
    """A decision on its way into the lane's transaction: what is remembered of it, and its JSON."""

    entry: Entry
    encoded: bytes
    document: Mapping[str, Any]
    """What was encoded."""


def fact_of(case: Case, ruling: Ruling, versions: Mapping[str, str]) -> Fact:
    """The decision (`Decision`) about a case, made from the `versions` of what decides."""
    arrival, job = case.arrival, case.job
    decision = {
        "decision_id": arrival.decision_id,
        "tenant": arrival.reading.tenant,
        "job_id": arrival.reading.id,
        "submission": case.submission,
        "digest": arrival.digest,
        "verdict": ruling.verdict,
        "task": case.task,
        "modality": ruling.modality,
        "policy": versions["policy"],
        "versions": dict(versions),
        "held": _held(case, ruling),
        "complexity": ruling.complexity,
        "candidates": [_told(one) for one in ruling.candidates],
        "exclusions": [_why_not(one) for one in ruling.exclusions],
        "parameters": ruling.parameters,
        "bound_by": ruling.bound_by,
        "max_cost_nanousd": ruling.max_cost_nanousd,
        "reserve": ruling.reserve,
        "team": job.team if job else None,
        "key_id": job.key_id if job else None,
        "deadline": ruling.deadline,
        "kind": ruling.kind,
        "message": ruling.message,
        "metadata": job.metadata if job else {},
        "received": place(arrival.received),
        "redriven_from": case.redrive.claim.place if isinstance(case.redrive, Redriven) else None,
        "trace_id": case.context.trace_id,
        "decided_at": case.decided_at,
    }
    if "registry" in versions:  # decisions that were made before there was one have no such field
        decision["resolved"] = ruling.resolved
    rejected = ruling.verdict == "rejected"
    decided_ms = milliseconds(case.decided_at)
    redriven = isinstance(case.redrive, Redriven)
    entry = Entry(
        arrival.identity, case.submission, arrival.digest, rejected, arrival.decision_id, decided_ms, redriven=redriven
    )
    return Fact(entry, codec.encode(decision, contents), decision)


class Numbering(Protocol):
    """Who counts the lane's batches: `router.money.books.Books`."""

    def sealed(self, decision_ids: Collection[str], batches: int) -> int:
        """These decisions go into the present transaction, in so many batches; the number of the first."""
        ...


def sealed(lane: LaneId, facts: Sequence[Fact], limit_bytes: int, numbering: Numbering) -> list[Outgoing]:
    """The decisions of one transaction as batches (`DecisionBatch`), at the lane's own partition, numbered."""
    head = b'{"lane":"%s","sequence":%d,"decisions":['
    longest = len(head) + len(str(lane)) + 20
    encoded = [fact.encoded for fact in facts]
    batches = by_size(encoded, [len(one) + 1 for one in encoded], limit_bytes - longest - 2)
    if not batches:
        return []
    key, name = str(lane.partition).encode(), str(lane).encode()
    first = numbering.sealed([fact.entry.decision_id for fact in facts], len(batches))
    return [
        Outgoing(
            DECISIONS.name, key, b"".join((head % (name, number), b",".join(batch), b"]}")), partition=lane.partition
        )
        for number, batch in enumerate(batches, first)
    ]  # fmt: skip


def _held(case: Case, ruling: Ruling) -> dict[str, Any]:
    """What the decision was made from and has no version; also when the job was published, where its record does not
    tell it: a producer's clock may be ahead."""
    arrival = case.arrival
    if arrival.published == told_published(arrival.received, case.decided_at):
        return ruling.held
    return {**ruling.held, "published": arrival.published}


def told_published(received: Received, decided_at: datetime) -> datetime:
    """When a job was published, as its record and its decision tell it."""
    return published_at(min(received.timestamp_ms, LATEST_MS), decided_at)


def place(received: Received) -> dict[str, Any]:
    """Where the job entered, as JSON."""
    return {
        "topic": received.topic,
        "partition": received.partition,
        "offset": received.offset,
        "timestamp_ms": received.timestamp_ms,
    }


def _told(candidate: Candidate) -> dict[str, Any]:
    """A candidate as the decision keeps it: who, at what price from which source, expected and at most. Units that are
    not charged are not told."""
    price = candidate.price
    return {
        "model": candidate.model,
        "provider": candidate.provider,
        "price": {name: told for name in PRICE_FIELDS if (told := getattr(price, name))},
        "estimate_nanousd": candidate.estimate_nanousd,
        "ceiling_nanousd": candidate.ceiling_nanousd,
    }


def _why_not(one: Exclusion) -> dict[str, Any]:
    return {"model": one.model, "provider": one.provider, "reason": one.reason, "detail": one.detail}
