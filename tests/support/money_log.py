"""Decisions and ledger entries as lanes write them, for whoever reads money."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from runtime.partitions import home_partition
from runtime.ports import Outgoing
from schemas.accounts import AccountRecord
from schemas.decision import Decision, DecisionBatch
from schemas.ledger import Charge, LedgerBatch, LedgerEntry
from schemas.topics import BUDGETS, DECISIONS, LEDGER

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SMALL, LARGE = ("org/small", "groq"), ("org/large", "together")


def decided(
    job_id: str = "a1",
    nanousd: int = 5_000,
    *,
    tenant: str = "acme",
    submission: int = 1,
    at: datetime = NOON,
    team: str | None = None,
    key_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    places: Sequence[tuple[str, str]] = (SMALL,),
    accounts: int = 0,
    deadline: datetime | None = None,
    **more: Any,
) -> Decision:
    """An assigned job with its reserve."""
    return Decision.model_validate(
        {
            "decision_id": f"d-{tenant}-{job_id}-{submission}",
            "tenant": tenant,
            "job_id": job_id,
            "submission": submission,
            "digest": "0" * 64,
            "verdict": "assigned",
            "task": "chat-completion",
            "modality": "text",
            "policy": "brief/1",
            "versions": {"accounts": str(accounts)},
            "candidates": [
                {"model": model, "provider": provider, "estimate_nanousd": 900, "ceiling_nanousd": nanousd}
                for model, provider in places
            ],
            "reserve": {"nanousd": nanousd, "expected_nanousd": 900},
            "team": team,
            "key_id": key_id,
            "metadata": dict(metadata or {}),
            "deadline": (deadline or at + timedelta(minutes=10)).isoformat(),
            "received": {"topic": "inference.jobs.v1", "partition": 0, "offset": 0, "timestamp_ms": 0},
            "decided_at": at.isoformat(),
            **more,
        }
    )


def charge(nanousd: int = 1_200, place: tuple[str, str] = SMALL, *, attempt: int = 1, **more: Any) -> Charge:
    """What one call cost."""
    told = {"model": place[0], "provider": place[1], "nanousd": nanousd, "source": "computed", "attempt": attempt}
    return Charge.model_validate({**told, **more})


def ended(decision: Decision, *charges: Charge, after: timedelta = timedelta(seconds=2), **more: Any) -> LedgerEntry:
    """The end of a decision's reservation: a settle if anything was charged."""
    told = {
        "kind": "settle" if charges else "release",
        "tenant": decision.tenant,
        "job_id": decision.job_id,
        "submission": decision.submission,
        "decision_id": decision.decision_id,
        "reserved_nanousd": decision.reserve.nanousd if decision.reserve else 0,
        "cost_nanousd": sum(one.nanousd for one in charges),
        "cost_source": "computed" if charges else "none",
        "charges": [one.model_dump() for one in charges],
        "task": decision.task,
        "status": "succeeded" if charges else "failed",
        "called_ms": 300,
        "at": decision.decided_at + after,
    }
    return LedgerEntry.model_validate({**told, **more})


def outgoing_decision(decision: Decision, partitions: int, *, sequence: int = 0) -> Outgoing:
    """A batch of one decision at its home."""
    home = home_partition(decision.tenant, partitions)
    batch = DecisionBatch(lane=f"novix-router.inference.jobs.v1.{home}", sequence=sequence, decisions=[decision])
    return Outgoing(DECISIONS.name, None, batch.encode(), partition=home, timestamp_ms=ms(decision.decided_at))


def outgoing_end(entry: LedgerEntry, partitions: int) -> Outgoing:
    """A batch of one entry at its home."""
    home = home_partition(entry.tenant, partitions)
    batch = LedgerBatch(lane="novix-worker-text.inference.text.v1.0", entries=[entry])
    return Outgoing(LEDGER.name, str(home).encode(), batch.encode(), partition=home, timestamp_ms=ms(entry.at))


def account(event: Any) -> Outgoing:
    """An event of `novix.budgets.v1`."""
    return Outgoing(BUDGETS.name, b"key", AccountRecord.model_validate({"event": event}).encode(), partition=0)


def ms(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return int(moment.timestamp() * 1_000)
