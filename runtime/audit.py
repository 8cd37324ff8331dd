"""The hash chain of a lane's audit batches: made by the lane, checked by anybody."""

import hashlib
from collections.abc import Sequence
from typing import Any

from runtime.ports import Outgoing
from schemas import codec
from schemas.audit import AuditBatch, AuditEntry
from schemas.failure import FailureKind
from schemas.topics import AUDIT

_PLAIN = frozenset({str, int, bool, float, type(None), FailureKind})


def link(lane: str, sequence: int, previous: str, entries: Sequence[AuditEntry]) -> AuditBatch:
    """The batch that follows the one with hash `previous`."""
    told = [_told(entry) for entry in entries]
    return AuditBatch.made(
        lane=lane,
        sequence=sequence,
        previous=previous,
        hash=_hash(lane, sequence, previous, told),
        entries=list(entries),
    )


def size_of(entry: AuditEntry) -> int:
    """Bytes of the entry in its batch."""
    return len(codec.encode(_told(entry)))


def _told(entry: AuditEntry) -> dict[str, Any]:
    """The entry as it stands in the record: without the fields that say nothing, and fit to be written as JSON.

    What nearly all of them hold is so already: pydantic is asked only for the rest.
    """
    if all(type(value) in _PLAIN for value in entry.detail.values()):
        return {name: value for name, value in entry.__dict__.items() if value is not None}
    return entry.model_dump(mode="json", exclude_none=True)


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
    value = codec.encode({**batch.__dict__, "entries": [_told(entry) for entry in batch.entries]})
    return Outgoing(AUDIT.name, batch.lane.encode(), value)


def _hash(lane: str, sequence: int, previous: str, entries: list[dict[str, object]]) -> str:
    content = codec.canonical({"lane": lane, "sequence": sequence, "entries": entries})
    return hashlib.sha256(bytes.fromhex(previous) + content).hexdigest()
