"""Dead letters: what one says of itself, which are wanted, and the job to drive again. Finding them reads; the rest is
pure."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from console.exits import CommandError, Exit
from console.kafka import Log, ends
from runtime.ports import Outgoing, Record
from schemas import codec, headers
from schemas.headers import Headers
from schemas.job import Unreadable, read_job
from schemas.topics import DLQ, JOBS, MODALITY_TOPICS, RETRY_TIERS

Place = tuple[int, int]
"""Partition and offset on the dead letters' topic."""
ASSIGNED = frozenset(topic.name for topic in (*MODALITY_TOPICS.values(), *(tier for _, tier in RETRY_TIERS)))
"""Topics whose records hold a job within its assignment."""
NOT_KEPT = (headers.TRACEPARENT, headers.TRACESTATE)
"""A job that is driven again has a trace of its own; the audit tells which dead letter it comes from."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter."""

    record: Record

    @property
    def place(self) -> str:
        """`partition/offset`, by which commands name it."""
        return f"{self.record.partition}/{self.record.offset}"

    @property
    def reason(self) -> str:
        """`kind: message`, as it was set aside."""
        return headers.first(self.record.headers, headers.DLQ_MESSAGE) or "no reason given"

    @property
    def kind(self) -> str:
        """The failure kind."""
        return self.reason.partition(":")[0]

    @property
    def topic(self) -> str:
        """Where the record was read that this is a copy of."""
        return headers.first(self.record.headers, headers.DLQ_TOPIC) or "unknown"

    @property
    def has_result(self) -> bool:
        """Its job has ended with a result as well."""
        return headers.first(self.record.headers, headers.HAS_RESULT) is not None

    @property
    def kept(self) -> str | None:
        """`N of M bytes` if it is not whole."""
        return headers.first(self.record.headers, headers.KEPT)


@dataclass(frozen=True, slots=True)
class Redrive:
    """A dead letter's job, ready to be published again."""

    tenant: str
    job_id: str
    outgoing: Outgoing


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters a command is about. Empty: all."""

    kind: str | None = None
    tenant: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether the letter is one of them."""
        moment = letter.record.timestamp_ms
        return (
            (self.kind is None or letter.kind == self.kind)
            and (self.since_ms is None or moment >= self.since_ms)
            and (self.until_ms is None or moment < self.until_ms)
            and (self.tenant is None or (identity_of(letter) or ("", ""))[0] == self.tenant)
        )


def identity_of(letter: Letter) -> tuple[str, str] | None:
    """Tenant and id of a letter's job; None if nobody can tell."""
    job = _job_of(letter)
    return job[:2] if isinstance(job, tuple) else None


def redrive(letter: Letter, by: str) -> Redrive | str:
    """The record that has the letter's job done again as its next submission; or why there is none.

    The job's bytes and its producer's headers, with the letter's place and who it was beside them. The router looks at
    the letter itself before it believes that.
    """
    if letter.kept is not None:
        return f"it is cut, {letter.kept} are left"
    job = _job_of(letter)
    if isinstance(job, str):
        return job
    tenant, job_id, value, own = job
    told: Headers = (
        (headers.REDRIVE, letter.place.encode()),
        (headers.REDRIVEN_BY, by.encode(errors="replace")[:128]),
    )
    return Redrive(tenant, job_id, Outgoing(JOBS.name, tenant.encode(), value, (*own, *told)))


def _job_of(letter: Letter) -> tuple[str, str, bytes, Headers] | str:
    """Tenant, id, the job's bytes and its producer's headers; else why it has none."""
    record = letter.record
    value: bytes | None = record.value
    if letter.topic in ASSIGNED:
        try:
            document = codec.decode(value or b"")
        except codec.Undecodable:
            return "it is no assigned job"
        if not isinstance(document, dict) or not isinstance(document.get("job"), dict):
            return "it is no assigned job"
        value = codec.encode(document["job"])
    elif letter.topic != JOBS.name:
        return f"it came from {letter.topic}, where no jobs are"
    own = tuple((name, text) for name, text in record.headers if headers.is_producers(name) and name not in NOT_KEPT)
    reading = read_job(value, own)
    if isinstance(reading, Unreadable):
        return f"it names no tenant and id: {reading.message}"
    return reading.tenant, reading.id, value or b"", own


def place_of(text: str) -> Place:
    """`partition/offset` as numbers. Raises `CommandError`."""
    partition, _, offset = text.partition("/")
    if not (partition.isascii() and partition.isdigit() and offset.isascii() and offset.isdigit()):
        raise CommandError(f"{text!r} is no dead letter's place; write PARTITION/OFFSET, as in 0/12", Exit.USAGE)
    return int(partition), int(offset)


async def one(log: Log, place: Place) -> Letter:
    """The dead letter at a place. Raises `CommandError` if there is none."""
    partition, offset = place
    reader = log.reader()
    known = await ends(log, DLQ.name)
    if partition in known:
        first, end = await reader.bounds(DLQ.name, partition)
        if first <= offset < end:
            async for record in reader.read(DLQ.name, partition, offset, offset + 1):
                if record.offset == offset:
                    return Letter(record)
    raise CommandError(f"there is no dead letter at {partition}/{offset}; look with: novix dlq list", Exit.NOT_MET)


async def some(
    log: Log, wanted: Wanted, places: Sequence[Place] = (), until: dict[int, int] | None = None
) -> AsyncIterator[Letter]:
    """The wanted dead letters that there are now (or were at the ends `until`), partition by partition, or those at
    `places`. One is in memory at a time."""
    for place in places:
        letter = await one(log, place)
        if wanted.takes(letter):
            yield letter
    if places:
        return
    reader = log.reader()
    for partition, end in (until if until is not None else await ends(log, DLQ.name)).items():
        start, _ = await reader.bounds(DLQ.name, partition)
        if wanted.since_ms is not None:
            start = max(start, await log.find_since(DLQ.name, partition, wanted.since_ms))
        async for record in reader.read(DLQ.name, partition, start, end):
            letter = Letter(record)
            if wanted.takes(letter):
                yield letter


def described(letter: Letter) -> dict[str, Any]:
    """A letter as JSON tells it: everything but its value."""
    record, identity = letter.record, identity_of(letter)
    return {
        "place": letter.place,
        "timestamp_ms": record.timestamp_ms,
        "kind": letter.kind,
        "reason": letter.reason,
        "topic": letter.topic,
        "from": f"{letter.topic}/{_told(record, headers.DLQ_PARTITION)}/{_told(record, headers.DLQ_OFFSET)}",
        "group": headers.first(record.headers, headers.DLQ_GROUP),
        "tenant": identity[0] if identity else None,
        "job_id": identity[1] if identity else None,
        "has_result": letter.has_result,
        "kept": letter.kept,
        "key_bytes": len(record.key or b""),
        "value_bytes": len(record.value or b""),
        "headers": len(record.headers),
    }


def _told(record: Record, name: str) -> str:
    return headers.first(record.headers, name) or "?"
