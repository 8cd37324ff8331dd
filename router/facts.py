"""Decisions as a lane writes them, for the decisions topic and for its own memory. Pure.

Written without the contract's models, which would validate our own values again (a tenth of a router's time); a test
reads them back with `DecisionBatch`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from router.case import Case
from router.decide import Ruling
from router.fold import Entry, milliseconds
from router.redrive import Redriven
from runtime.ports import LaneId, Outgoing
from schemas import codec
from schemas.assignment import Candidate, Price
from schemas.decision import Exclusion
from schemas.result import Received
from schemas.topics import DECISIONS
from schemas.values import frozen

PRICE_FIELDS = tuple(Price.model_fields)


@frozen
class Fact:
    """A decision on its way into the lane's transaction: what is remembered of it, and its JSON."""

    entry: Entry
    encoded: bytes


def fact_of(case: Case, ruling: Ruling, versions: Mapping[str, str]) -> Fact:
    """The decision (`Decision`) about a case, made from the `versions` of what decides."""
    arrival = case.arrival
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
        "complexity": ruling.complexity,
        "candidates": [_told(one) for one in ruling.candidates],
        "exclusions": [_why_not(one) for one in ruling.exclusions],
        "parameters": ruling.parameters,
        "bound_by": ruling.bound_by,
        "max_cost_nanousd": ruling.max_cost_nanousd,
        "deadline": ruling.deadline,
        "kind": ruling.kind,
        "message": ruling.message,
        "metadata": case.job.metadata if case.job else {},
        "received": place(arrival.received),
        "redriven_from": case.redrive.claim.place if isinstance(case.redrive, Redriven) else None,
        "trace_id": case.context.trace_id,
        "decided_at": case.decided_at,
    }
    rejected = ruling.verdict == "rejected"
    decided_ms = milliseconds(case.decided_at)
    redriven = isinstance(case.redrive, Redriven)
    entry = Entry(
        arrival.identity, case.submission, arrival.digest, rejected, arrival.decision_id, decided_ms, redriven=redriven
    )
    return Fact(entry, codec.encode(decision))


def sealed(lane: LaneId, facts: Sequence[Fact], limit_bytes: int) -> list[Outgoing]:
    """The decisions of one transaction as batches (`DecisionBatch`), at the lane's own partition."""
    head = b'{"lane":"%s","decisions":[' % str(lane).encode()
    batches: list[list[bytes]] = []
    room = 0
    for fact in facts:
        if not batches or len(fact.encoded) + 1 > room:
            batches.append([])
            room = limit_bytes - len(head) - 2
        batches[-1].append(fact.encoded)
        room -= len(fact.encoded) + 1
    key = str(lane.partition).encode()
    return [
        Outgoing(DECISIONS.name, key, b"".join((head, b",".join(batch), b"]}")), partition=lane.partition)
        for batch in batches
    ]


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
