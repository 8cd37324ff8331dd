"""One record of the jobs topic as a router lane meets it: what it asks, where it entered, whether it is at home here.

A job that arrives away from its tenant's home partition is written there again, once, by the lane that met it. Two
headers travel with it: `novix-origin` (where it entered) and, for a job that is refused anyway, `novix-refused` (why),
its body cut down to the names. A producer may forge both, and gains nothing: see `_origin` and `_believing`. So it may
`novix-redrive` and `novix-redriven-by`, which are only a `Claim` until `router/redrive.py` has read the dead letter. No
other header of ours is read from a jobs record, and none is copied from it: `novix-identity` is always written anew.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

from runtime import telemetry
from runtime.partitions import home_partition
from runtime.ports import Outgoing, Record
from schemas import codec, headers
from schemas.failure import FailureKind
from schemas.headers import Headers
from schemas.job import ReadableJob, Reading, RefusedJob, Unreadable, published_at, read_job
from schemas.result import Received
from schemas.topics import DLQ, JOBS
from schemas.values import frozen

READ_HERE = telemetry.TRACE_HEADERS | frozenset({headers.ORIGIN, headers.REFUSED, headers.REDRIVE, headers.REDRIVEN_BY})
"""They count for nothing in the limits of what a job may carry, and never travel on as they came: of those of a trace
only what W3C Trace Context allows."""
TELLABLE = frozenset({FailureKind.TOO_LARGE, FailureKind.INVALID_JOB, FailureKind.UNKNOWN_SCHEMA})
"""What `read_job` refuses for: nothing else is believed of a `novix-refused` header."""

MOST_REASON_CHARS = 1_000
LATEST_MS = 10**14
"""The year 5138: a later timestamp is no time."""
MOST_DIGITS = 18
"""Of a number in a header: it fits into 64 bits."""
MOST_WHO_CHARS = 128


@dataclass(frozen=True, slots=True)
class Claim:
    """What a record's headers say of its being driven again. Nothing is believed of it: any producer may write it."""

    partition: int
    offset: int
    by: str
    """Who drove it again: printable, at most 128 characters; empty if nobody is named."""

    @property
    def place(self) -> str:
        """Of the dead letter: `partition/offset`."""
        return f"{self.partition}/{self.offset}"


@frozen
class Arrival:
    """A jobs record that names tenant and id."""

    record: Record
    reading: ReadableJob | RefusedJob
    received: Received
    """The record that its producer wrote."""
    published: datetime
    home: int
    """The partition where the tenant's jobs are decided."""
    decision_id: str
    identity: str
    """`tenant/id`."""
    claim: Claim | None = None
    """It says that it is a dead letter driven again."""

    @property
    def at_home(self) -> bool:
        """Whether it is decided here."""
        return self.home == self.record.partition

    @property
    def digest(self) -> str:
        """Of the job's content; empty for a job that could not be read whole."""
        return self.reading.digest if isinstance(self.reading, ReadableJob) else ""


def read_arrival(record: Record, now: datetime, partitions: int, prefix: str) -> Arrival | Unreadable:
    """Read one record. Total: any bytes and headers give an answer. `prefix` is the installation's topic prefix."""
    own = tuple(one for one in record.headers if one[0] not in READ_HERE)
    reading = _believing(read_job(record.value, own), record)
    if isinstance(reading, Unreadable):
        return reading
    received = _origin(record, partitions)
    home = home_partition(reading.tenant, partitions)
    published = published_at(min(received.timestamp_ms, LATEST_MS), now)
    decision_id = _decision_id(f"{prefix}{record.topic}/{record.partition}/{record.offset}", reading, record)
    identity = f"{reading.tenant}/{reading.id}"
    return Arrival(record, reading, received, published, home, decision_id, identity, _claim(record))


def driven_again(arrival: Arrival, claim: Claim, prefix: str) -> Arrival:
    """The arrival under the id that every redrive of this dead letter has, whatever record brings it.

    For a claim that was found true alone.
    """
    place = f"{prefix}{DLQ.name}/{claim.place}"
    return replace(arrival, decision_id=_decision_id(place, arrival.reading, arrival.record))


def _claim(record: Record) -> Claim | None:
    told = _numbers(headers.first(record.headers, headers.REDRIVE), 2)
    if told is None:
        return None
    partition, offset = told
    return Claim(partition, offset, cleaned(headers.first(record.headers, headers.REDRIVEN_BY) or ""))


def cleaned(who: str) -> str:
    """Somebody's name as the audit may tell it: short, and without control characters."""
    return "".join(char if char.isprintable() else "?" for char in who[:MOST_WHO_CHARS])


def _numbers(text: str | None, count: int) -> tuple[int, ...] | None:
    """`count` natural numbers with slashes between them; None for any other text."""
    parts = text.split("/") if text else []
    if len(parts) != count or not all(part.isascii() and part.isdigit() and len(part) <= MOST_DIGITS for part in parts):
        return None
    return tuple(map(int, parts))


def _origin(record: Record, partitions: int) -> Received:
    """Where the job entered: its `novix-origin`, if that can be true, else the record itself.

    A forged one harms nobody but the forger: the place is told in the forger's own result, and the time counts for the
    forger's own deadline, as the record's timestamp does, which a producer sets as well. Nothing is decided by it.
    """
    here = Received(
        topic=JOBS.name, partition=record.partition, offset=record.offset, timestamp_ms=max(0, record.timestamp_ms)
    )
    told = _numbers(headers.first(record.headers, headers.ORIGIN), 3)
    if told is None:
        return here
    partition, offset, timestamp_ms = told
    if partition >= partitions or partition == record.partition or timestamp_ms > LATEST_MS:
        return here
    return Received(topic=JOBS.name, partition=partition, offset=offset, timestamp_ms=timestamp_ms)


def _believing(reading: Reading, record: Record) -> Reading:
    """A refused job with the refusal that the lane which met it first wrote down.

    A forged one changes nothing: it is looked at only where the job is refused as it stands, so at most it words the
    refusal of the forger's own job.
    """
    told = headers.first(record.headers, headers.REFUSED)
    if not isinstance(reading, RefusedJob) or told is None:
        return reading
    try:
        document = codec.decode(told.encode())
        kind, message = FailureKind(document["kind"]), document["message"]
    except (ValueError, KeyError, TypeError):
        return reading
    if kind not in TELLABLE or not isinstance(message, str) or not message.isprintable():
        return reading
    return replace(reading, kind=kind, message=message[:MOST_REASON_CHARS])


def _decision_id(place: str, reading: ReadableJob | RefusedJob, record: Record) -> str:
    """The id of the decision that answers this record: a redelivery gets the same one, no other record does.

    The first 32 hex digits of a sha256 over the place of the record that is decided on, its job's identity and content.
    The place is the record's own, at home, not what `novix-origin` says: a header can be forged, or copied by whoever
    sends a dead letter again. For a dead letter driven again it is the dead letter's own, once that was looked at: it
    is decided once, however often it is driven. The content is in it because places come again when a topic is made
    anew.
    """
    content = reading.digest if isinstance(reading, ReadableJob) else hashlib.sha256(record.value or b"").hexdigest()
    parts = "\0".join((place, reading.tenant, reading.id, content))
    return hashlib.sha256(parts.encode(errors="replace")).hexdigest()[:32]


def forwarded(arrival: Arrival) -> Outgoing:
    """The record that takes a job home: key, value, timestamp and its own headers as they were, and where it entered.

    A refused job goes as its names alone, whatever its size was, so that it always fits. Of the headers of ours that it
    brought only the claim of a redrive goes with it, written anew.
    """
    record = arrival.record
    entered = f"{record.partition}/{record.offset}/{max(0, record.timestamp_ms)}"
    kept = telemetry.capped(tuple(one for one in record.headers if headers.is_producers(one[0])))
    value = record.value
    told: Headers = ((headers.ORIGIN, entered.encode()), *_told_again(arrival.claim))
    if isinstance(arrival.reading, RefusedJob):
        refused = arrival.reading
        kept = tuple(one for one in kept if one[0] in telemetry.TRACE_HEADERS)
        value = codec.encode(_names(refused))
        reason = codec.encode({"kind": refused.kind, "message": refused.message[:MOST_REASON_CHARS]})
        told = (*told, (headers.REFUSED, reason))
    timestamp_ms = record.timestamp_ms if record.timestamp_ms > 0 else None
    return Outgoing(JOBS.name, record.key, value, (*kept, *told), arrival.home, timestamp_ms)


def _told_again(claim: Claim | None) -> Headers:
    if claim is None:
        return ()
    return ((headers.REDRIVE, claim.place.encode()), (headers.REDRIVEN_BY, claim.by.encode(errors="replace")))


def _names(refused: RefusedJob) -> dict[str, str]:
    named = {"id": refused.id, "tenant": refused.tenant, "model": refused.model, "provider": refused.provider}
    return named if refused.task is None else {**named, "task": refused.task}
