"""Spans as the file keeps them: those of one job in one record together, packed. Pure."""

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from console.index.postings import of_spans
from console.index.rows import Chunk, Key, Posting
from console.index.spans import INT64, Span
from runtime import telemetry
from schemas import codec
from schemas.base import MAX_ID_CHARS, MAX_TENANT_CHARS
from schemas.topics import TOPICS

MOST_STEPS_UP = 64
"""From a span to the one that names its job."""
MAX_SUBMISSION = 2**20 - 1
SPAN_FIELDS = tuple(Span.__dataclass_fields__)
_TOPIC_NAMES = {topic.name for topic in TOPICS}

Place = tuple[str, int, int]


def chunks_of(spans: Sequence[Span], at_ms: int) -> Iterator[tuple[Chunk, list[Posting], set[Place]]]:
    """One record's spans by the job that they belong to, or by their trace, with what can be searched of them and the
    records that they name."""
    by_id = {(span.trace_id, span.span_id): span for span in spans}
    groups: dict[tuple[str, Key], list[Span]] = defaultdict(list)
    for span in spans:
        groups[span.trace_id, owner_of(span, by_id)].append(span)
    for (trace_id, key), group in groups.items():
        group.sort(key=lambda span: (span.start_ns, span.span_id))
        body = codec.encode(packed(group))
        digest = hashlib.blake2b(f"{key}\0".encode(errors="replace") + body, digest_size=8).digest()
        chunk = Chunk(
            key,
            bytes.fromhex(trace_id),
            int.from_bytes(digest, "big", signed=True),
            at_ms,
            len(group),
            zlib.compress(body, 1),
        )
        postings = [Posting(key, number) for number in of_spans(group)]
        yield chunk, postings, {place for span in group if key[0] and (place := _place_of(span)) is not None}


def owner_of(span: Span, by_id: dict[tuple[str, str], Span]) -> Key:
    """The job that a span or one above it names; else its trace."""
    for _ in range(MOST_STEPS_UP):
        told = span.attributes
        tenant, job_id = told.get(telemetry.TENANT), told.get(telemetry.JOB_ID)
        if isinstance(tenant, str) and isinstance(job_id, str) and tenant and job_id:
            if len(tenant) <= MAX_TENANT_CHARS and len(job_id) <= MAX_ID_CHARS:
                submission = told.get(telemetry.SUBMISSION)
                known = isinstance(submission, int) and 1 <= submission <= MAX_SUBMISSION
                return tenant, job_id, submission if known else 1  # type: ignore[return-value]
            break
        above = by_id.get((span.trace_id, span.parent_id or ""))
        if above is None or above is span:
            break
        span = above
    return "", span.trace_id, 0


def _place_of(span: Span) -> Place | None:
    told = span.attributes
    topic, offset = told.get(telemetry.DESTINATION), told.get(telemetry.OFFSET)
    partition = str(told.get(telemetry.PARTITION, ""))
    if told.get(telemetry.OPERATION) != "process" or topic not in _TOPIC_NAMES:
        return None
    if not isinstance(offset, int) or not 0 <= offset <= INT64 or not (partition.isascii() and partition.isdecimal()):
        return None
    return str(topic), min(int(partition[:10]), 2**31 - 1), offset


def packed(spans: Sequence[Span]) -> dict[str, Any]:
    """Spans as JSON; a resource that several have stands once."""
    resources: list[dict[str, Any]] = []
    rows = []
    for span in spans:
        if span.resource not in resources:
            resources.append(span.resource)
        values = [getattr(span, name) for name in SPAN_FIELDS]
        values[-1] = resources.index(span.resource)
        rows.append(values)
    return {"resources": resources, "spans": rows}


def unpacked(body: bytes) -> list[Span]:
    """The spans of a chunk's body."""
    document = codec.parse(zlib.decompress(body))
    resources = document["resources"]
    return [
        Span(**dict(zip(SPAN_FIELDS, (*values[:-1], resources[values[-1]]), strict=True)))
        for values in document["spans"]
    ]


def shown(span: Span) -> dict[str, Any]:
    """A span as the pages take it."""
    return asdict(span)
