"""The hash chain of a lane's audit batches: made by the lane, checked by anybody."""

import hashlib
from collections.abc import Sequence

from runtime.ports import Outgoing
from schemas import codec
from schemas.audit import AuditBatch, AuditEntry
from schemas.topics import AUDIT


def link(lane: str, sequence: int, previous: str, entries: Sequence[AuditEntry]) -> AuditBatch:
    """The batch that follows the one with hash `previous`."""
    told = [entry.model_dump(mode="json", exclude_none=True) for entry in entries]
    return AuditBatch(
        lane=lane,
        sequence=sequence,
        previous=previous,
        hash=_hash(lane, sequence, previous, told),
        entries=list(entries),
    )


def verify(batch: AuditBatch | bytes) -> bool:
    """Whether a batch's hash is that of its content. The chain holds if each `previous` is the hash before it.

    Given a record's value as it was read, it holds also for entries with fields that only a newer writer knows.
    """
    try:
        told = codec.decode(batch if isinstance(batch, bytes) else record(batch).value or b"")
        given = _hash(told["lane"], told["sequence"], told["previous"], told["entries"])
        return bool(told["hash"] == given and _is_hash(told["previous"]))
    except (ValueError, TypeError, KeyError):
        return False


def _is_hash(text: str) -> bool:
    return bytes.fromhex(text).hex() == text and len(text) == 64


def record(batch: AuditBatch) -> Outgoing:
    """The batch as a record, keyed by lane."""
    value = batch.model_dump_json(exclude_none=True).encode()
    return Outgoing(AUDIT.name, batch.lane.encode(), value)


def _hash(lane: str, sequence: int, previous: str, entries: list[dict[str, object]]) -> str:
    content = codec.canonical({"lane": lane, "sequence": sequence, "entries": entries})
    return hashlib.sha256(bytes.fromhex(previous) + content).hexdigest()
