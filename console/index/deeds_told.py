"""What the ledger and the audit tell of jobs. Pure."""

from typing import Any

from console.index import cells
from console.index.record import Reading
from console.index.rows import LEDGERED, AuditRow, Batch, LedgerRow, Stands, level_of
from schemas import codec

MAX_DETAIL_BYTES = 16_384


def ledger(reading: Reading) -> None:
    for n, entry in enumerate(reading.listed("entries")):
        named = cells.named(entry.get("tenant"), entry.get("job_id"), cells.submission(entry))
        if named is None:
            reading.unnamed()
            continue
        record, listed = reading.record, entry.get("charges")
        charges = [_charge(one) for one in listed if isinstance(one, dict)][:1_000] if isinstance(listed, list) else []
        at_ms, cost = cells.milliseconds(entry.get("at")), cells.whole(entry.get("cost_nanousd")) or 0
        reading.facts.ledger.append(
            LedgerRow(
                named,
                record.partition,
                record.offset,
                n,
                cells.text(entry.get("decision_id")) or "",
                cells.text(entry.get("kind")) or "",
                at_ms,
                cells.whole(entry.get("reserved_nanousd")) or 0,
                cost,
                sum(one["nanousd"] for one in charges if one["ambiguous"]),
                codec.encode(charges).decode() if charges else None,
                cells.text(entry.get("by")),
            )
        )
        calls = entry.get("calls")
        reading.facts.stands.append(
            Stands(
                named,
                level_of(LEDGERED, reading.stamp),
                cells.text(entry.get("status")) or "unknown",
                at_ms or record.timestamp_ms,
                cost_nanousd=cost,
                wait_ms=cells.whole(entry.get("waited_ms")),
                call_ms=cells.whole(entry.get("called_ms")),
                attempts=len(calls) if isinstance(calls, list) else 0,
            )
        )
        reading.place(named, whole=False)


def _charge(told: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": cells.text(told.get("model")) or "",
        "provider": cells.text(told.get("provider")) or "",
        "nanousd": min(cells.whole(told.get("nanousd")) or 0, 10**15),
        "source": cells.text(told.get("source")),
        "ambiguous": told.get("ambiguous") is True,
        "attempt": cells.whole(told.get("attempt")),
        "request_id": cells.text(told.get("request_id")),
    }


def audit(reading: Reading) -> None:
    batch, record = reading.document(), reading.record
    if not batch:
        return
    lane, digest = cells.text(batch.get("lane")) or "", cells.text(batch.get("hash"))
    reading.facts.batches.append(
        Batch(record.partition, record.offset, record.timestamp_ms, lane, cells.whole(batch.get("sequence")), digest)
    )
    entries = batch.get("entries")
    for n, entry in enumerate(entries if isinstance(entries, list) else ()):
        told = cells.mapping(entry)
        submission = cells.submission(told) if told.get("submission") is not None else 0
        named = cells.named(told.get("tenant"), told.get("job_id"), submission)
        if named is None:
            continue  # a lane's own deed
        detail = codec.encode({name: value for name, value in told.items() if name not in _TOLD_APART}).decode()
        if len(detail) > MAX_DETAIL_BYTES:
            reading.facts.broken["text_cut"] += 1
            detail = "{}"
        reading.facts.audit.append(
            AuditRow(
                named,
                record.partition,
                record.offset,
                n,
                cells.milliseconds(told.get("at")),
                cells.text(told.get("action")) or "",
                detail,
                cells.text(told.get("span_id")),
            )
        )
        reading.place(named, whole=False)


_TOLD_APART = frozenset({"at", "action", "tenant", "job_id", "submission", "trace_id", "span_id"})
