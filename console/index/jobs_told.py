"""What a job's own records tell: its arrival, its assignment, its decision, its result. Pure."""

import hashlib
import zlib
from typing import Any

from console.index import cells
from console.index.cells import SHOWN_CHARS
from console.index.postings import TAG, number_of
from console.index.record import Reading
from console.index.rows import (
    DECIDED,
    QUEUED,
    TERMINAL,
    Arrived,
    Decided,
    Document,
    Key,
    Placed,
    Posting,
    Stands,
    level_of,
)  # fmt: skip
from router.money.scope import tag_text
from runtime import telemetry
from schemas import cloudevents, codec, headers
from schemas.headers import Headers
from schemas.job import DEFAULT_TENANT, Unreadable, identity_of

ASKED = ("provider", "priority", "key_id", "team")
"""Words of a job's own record that neither its decision nor its result repeats, or not before it is decided."""
MOST_SECONDS = 1e9


def job(reading: Reading) -> None:
    record = reading.record
    job = reading.document()
    if not job:
        return None
    if cloudevents.is_envelope(record.headers):
        job = cloudevents.names_within(job)
    elif "id" not in job and record.headers:
        job, _ = cloudevents.completed(job, record.value or b"", record.headers)
    told = identity_of(job)
    if isinstance(told, Unreadable):
        return reading.unnamed()  # it will be a dead letter
    named = (*told, 0)
    asked = cells.text(job.get("model")) or "auto"
    reading.place(named, asked_model=asked, asked=_asked(job))
    reading.facts.arrived.append(
        Arrived(
            named,
            level_of(QUEUED, reading.stamp),
            record.timestamp_ms,
            record.timestamp_ms,
            asked,
            cells.text(job.get("task")),
            record.partition,
            record.offset,
            _producers_trace(job, record.headers),
        )
    )
    return None


def _producers_trace(job: dict[str, Any], told: Headers) -> str | None:
    """The trace that the router will find it in (`router.case.Case.context`), where its producer told one."""
    if job.get("priority") == "batch" or headers.first(told, headers.REDRIVE) is not None:
        return None
    context = telemetry.told_trace(told)
    return context.trace_id if context is not None else None


def _asked(job: dict[str, Any]) -> str | None:
    """What a job's story tells of its own record beside task and model; None where it names none of it."""
    texts = {name: told for name in ASKED if (told := cells.text(job.get(name)))}
    seconds = job.get("timeout_s")
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds < MOST_SECONDS:
        return codec.encode({**texts, "timeout_s": seconds}).decode()
    return codec.encode(texts).decode() if texts else None


def assigned(reading: Reading) -> None:
    told = headers.first(reading.record.headers, headers.IDENTITY)
    named = None
    if told is not None:
        identity, _, submission = told.rpartition("/")
        tenant, _, job_id = identity.partition("/")
        known = submission.isascii() and submission.isdecimal() and len(submission) < 8
        named = cells.named(tenant, job_id, int(submission) if known else 1)
    else:
        document = reading.document()
        job = cells.mapping(document.get("job"))
        if document:
            named = cells.named(job.get("tenant", DEFAULT_TENANT), job.get("id"), cells.submission(document))
    if named is None:
        return reading.unnamed()
    reading.place(named)
    return None


def decisions(reading: Reading) -> None:
    for decision in reading.listed("decisions"):
        named = cells.named(decision.get("tenant"), decision.get("job_id"), cells.submission(decision))
        if named is None:
            reading.unnamed()
        else:
            _one(reading, named, decision)


def _one(reading: Reading, named: Key, decision: dict[str, Any]) -> None:
    facts, stamp = reading.facts, reading.stamp
    decided_ms = cells.milliseconds(decision.get("decided_at"))
    reserve, labels = cells.mapping(decision.get("reserve")), cells.mapping(decision.get("metadata"))
    tags = {str(name)[:SHOWN_CHARS]: tag_text(value)[:SHOWN_CHARS] for name, value in labels.items()}
    facts.stands.append(Stands(named, level_of(DECIDED, stamp), "routed", decided_ms or reading.record.timestamp_ms))
    facts.placed.append(_placed(named, level_of(DECIDED, stamp), decision))
    facts.decided.append(
        Decided(
            named,
            stamp,
            decided_ms,
            cells.text(decision.get("team")),
            codec.canonical(tags).decode() if tags else None,
            cells.whole(reserve.get("quoted_nanousd")),
            cells.whole(reserve.get("nanousd")),
        )
    )
    facts.documents.append(Document(named, False, stamp, zlib.compress(codec.encode(decision), 1)))
    facts.postings |= {Posting(named, number_of(TAG + name, value)) for name, value in tags.items()}
    reading.place(named, whole=False)


def result(reading: Reading) -> None:
    result = reading.document()
    if not result:
        return None
    status = cells.text(result.get("status"))
    named = cells.named(result.get("tenant"), result.get("job_id"), cells.submission(result))
    if named is None or status is None:
        return reading.unnamed()
    served, timing, attempts = (
        cells.mapping(result.get("served")),
        cells.mapping(result.get("timing_ms")),
        result.get("attempts"),
    )
    level = level_of(TERMINAL, reading.stamp)
    waits = [cells.whole(timing.get(name)) for name in ("queued", "routed", "waiting")]
    reading.facts.stands.append(
        Stands(
            named,
            level,
            status,
            cells.milliseconds(result.get("completed_at")) or reading.record.timestamp_ms,
            cells.text(cells.mapping(result.get("asked")).get("model")),
            cells.text(served.get("model")),
            cells.text(served.get("provider")),
            cells.whole(result.get("cost_nanousd")) or 0,
            cells.whole(timing.get("total")),
            None if all(wait is None for wait in waits) else min(sum(max(0, wait or 0) for wait in waits), 2**62),
            cells.whole(timing.get("calling")),
            len(attempts) if isinstance(attempts, list) else 0,
            cells.text(cells.mapping(result.get("error")).get("kind")),
            reading.record.timestamp_ms,
        )
    )
    if isinstance(result.get("received"), dict):
        reading.facts.placed.append(_placed(named, level, result))
    if not reading.capture:
        result["output"] = _hidden(result.get("output"))
    body = zlib.compress(codec.encode(result), 1)
    reading.facts.documents.append(Document(named, True, reading.stamp, body))
    reading.place(named)
    return None


def _placed(named: Key, level: int, told: dict[str, Any]) -> Placed:
    received = cells.mapping(told.get("received"))
    return Placed(
        named,
        level,
        cells.whole(received.get("timestamp_ms")),
        cells.whole(received.get("partition")),
        cells.whole(received.get("offset")),
        cells.text(told.get("trace_id")),
        cells.text(told.get("task")),
    )


def _hidden(output: Any) -> dict[str, Any] | None:
    """What stands for an output: `{"hidden": {"size_bytes", "sha256"}}`, of its compact JSON."""
    if output is None:
        return None
    written = codec.encode(output)
    return {"hidden": {"size_bytes": len(written), "sha256": hashlib.sha256(written).hexdigest()}}
