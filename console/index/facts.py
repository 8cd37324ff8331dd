"""What one record tells the index: rows for its tables. Pure and total: any bytes give rows or none."""

from collections import Counter
from collections.abc import Callable

from console import letters
from console.index import cells, deeds_told, jobs_told
from console.index.cells import SHOWN_CHARS
from console.index.chunks import chunks_of
from console.index.deeds_told import MAX_DETAIL_BYTES
from console.index.record import TOPIC_NUMBERS, Reading
from console.index.rows import AlertRow, BrokenRow, Facts, LetterRow, RecordRow, StateRow
from console.index.spans import decoded
from runtime.ports import Record
from schemas import codec, headers
from schemas.headers import Headers
from schemas.topics import (
    ALERTS,
    AUDIT,
    BREAKERS,
    CONTROL,
    DECISIONS,
    DLQ,
    JOBS,
    LEDGER,
    MODALITY_TOPICS,
    PRICES,
    RESULTS,
    RETRY_TIERS,
    SPANS,
)  # fmt: skip


def facts_of(
    topic: str, partition: int, offset: int, timestamp_ms: int, value: bytes | None, key: bytes | None = None,
    record_headers: Headers = (), *, capture: bool = False,
) -> Facts:  # fmt: skip
    """The rows of one record. `topic` is the logical name, without prefix.

    Unless `capture`, outputs are replaced by their size and sha256, and so nothing here holds one, or an input.
    """
    facts = Facts(timestamp_ms)
    reader = _READERS.get(topic)
    if reader is not None:
        record = Record(topic, partition, offset, key, value, record_headers, timestamp_ms)
        reader(Reading(record, facts, capture))
        number = TOPIC_NUMBERS[topic]
        facts.broken_rows = [
            BrokenRow(number, partition, offset, kind, timestamp_ms, count) for kind, count in facts.broken.items()
        ]
    return facts


def not_read(topic: str, partition: int, offset: int, timestamp_ms: int) -> Facts:
    """What is left of a record that cannot be read through a fault of ours."""
    row = BrokenRow(TOPIC_NUMBERS[topic], partition, offset, "fault", timestamp_ms, 1)
    return Facts(timestamp_ms, broken=Counter(fault=1), broken_rows=[row])


def _spans(reading: Reading) -> None:
    record, facts = reading.record, reading.facts
    told = decoded(record.value or b"", timestamp_ms=record.timestamp_ms, capture=reading.capture)
    facts.broken.update(told.broken)
    for chunk, postings, places in chunks_of(told.spans, record.timestamp_ms):
        facts.chunks.append(chunk)
        facts.postings.update(postings)
        for topic, partition, offset in places:
            facts.records.append(RecordRow(chunk.job, TOPIC_NUMBERS[topic], partition, offset, None, None, None, None))
        if chunk.job[0]:
            reading.place(chunk.job, whole=False)


def _letter(reading: Reading) -> None:
    record = reading.record
    letter = letters.Letter(record)
    identity = letters.identity_of(letter)
    body = {
        **letters.described(letter),
        "headers": cells.shown_headers(record.headers),
        "key": cells.shown(record.key) if record.key is not None else None,
        "deliveries": headers.first(record.headers, headers.DLQ_DELIVERIES),
        "error_type": headers.first(record.headers, headers.DLQ_EXCEPTION),
    }
    reading.facts.letters.append(
        LetterRow(
            record.partition,
            record.offset,
            record.timestamp_ms,
            letter.kind[:SHOWN_CHARS],
            letter.topic[:SHOWN_CHARS],
            codec.encode(
                {name: cells.text(one) if isinstance(one, str) else one for name, one in body.items()}
            ).decode(),
        )
    )
    named = cells.named(*identity, 0) if identity is not None else None
    if named is not None:
        reading.place(named)


def _control(reading: Reading) -> None:
    document = reading.document()
    if document:
        named = cells.named(document.get("tenant"), document.get("job_id"), cells.submission(document))
        if named is not None:
            reading.place(named)


def _alert(reading: Reading) -> None:
    record, document = reading.record, reading.document()
    body = codec.encode(document).decode()
    if document and len(body) <= MAX_DETAIL_BYTES:
        reading.facts.alerts.append(AlertRow(record.partition, record.offset, record.timestamp_ms, body))


def _state(kind: str) -> Callable[[Reading], None]:
    def read(reading: Reading) -> None:
        record = reading.record
        body = None
        if record.value is not None:
            document = reading.document()
            if not document:
                return
            body = codec.encode(document).decode()
        key = cells.shown(record.key or b"")
        if key and len(body or "") <= MAX_DETAIL_BYTES:
            reading.facts.states.append(StateRow(kind, key, reading.stamp, body))

    return read


_READERS: dict[str, Callable[[Reading], None]] = {
    JOBS.name: jobs_told.job,
    DECISIONS.name: jobs_told.decisions,
    RESULTS.name: jobs_told.result,
    SPANS.name: _spans,
    LEDGER.name: deeds_told.ledger,
    AUDIT.name: deeds_told.audit,
    DLQ.name: _letter,
    CONTROL.name: _control,
    ALERTS.name: _alert,
    BREAKERS.name: _state("breaker"),
    PRICES.name: _state("price"),
    **{topic.name: jobs_told.assigned for topic in (*MODALITY_TOPICS.values(), *(tier for _, tier in RETRY_TIERS))},
}
SOURCES = tuple(_READERS)
"""The topics that the index reads."""
