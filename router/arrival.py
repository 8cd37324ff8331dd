"""One record of the jobs topic as a router lane meets it: what it asks, where it entered, whether it is at home here.

A job that arrives away from its tenant's home partition is written there again, once, by the lane that met it. Two
headers travel with it: `novix-origin` (where it entered) and, for a job that is refused anyway, `novix-refused` (why),
its body cut down to the names. A producer may forge both, and gains nothing: see `_origin` and `_believing`. No other
header of ours is read from a jobs record, and none is copied from it: `novix-identity` is always written anew.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

from runtime.partitions import home_partition
from runtime.ports import Outgoing, Record
from schemas import codec, headers
from schemas.failure import FailureKind
from schemas.headers import Headers
from schemas.job import ReadableJob, Reading, RefusedJob, Unreadable, published_at, read_job
from schemas.result import Received
from schemas.topics import JOBS

FORWARDING = frozenset({headers.ORIGIN, headers.REFUSED})
KEPT_OF_REFUSED = frozenset({headers.TRACEPARENT, headers.TRACESTATE})
TELLABLE = frozenset({FailureKind.TOO_LARGE, FailureKind.INVALID_JOB, FailureKind.UNKNOWN_SCHEMA})
"""What `read_job` refuses for: nothing else is believed of a `novix-refused` header."""

MOST_REASON_CHARS = 1_000
LATEST_MS = 10**14
"""The year 5138: a later timestamp is no time."""


@dataclass(frozen=True, slots=True)
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

    @property
    def at_home(self) -> bool:
        """Whether it is decided here."""
        return self.home == self.record.partition

    @property
    def identity(self) -> str:
        """`tenant/id`."""
        return f"{self.reading.tenant}/{self.reading.id}"

    @property
    def digest(self) -> str:
        """Of the job's content; empty for a job that could not be read whole."""
        return self.reading.digest if isinstance(self.reading, ReadableJob) else ""


def read_arrival(record: Record, now: datetime, partitions: int, prefix: str) -> Arrival | Unreadable:
    """Read one record. Total: any bytes and headers give an answer. `prefix` is the installation's topic prefix."""
    own = tuple(one for one in record.headers if one[0] not in FORWARDING)
    reading = _believing(read_job(record.value, own), record)
    if isinstance(reading, Unreadable):
        return reading
    received = _origin(record, partitions)
    home = home_partition(reading.tenant, partitions)
    published = published_at(min(received.timestamp_ms, LATEST_MS), now)
    return Arrival(record, reading, received, published, home, _decision_id(reading, record, prefix))


def _origin(record: Record, partitions: int) -> Received:
    """Where the job entered: its `novix-origin`, if that can be true, else the record itself.

    A forged one harms nobody but the forger: the place is told in the forger's own result, and the time counts for the
    forger's own deadline, as the record's timestamp does, which a producer sets as well. Nothing is decided by it.
    """
    here = Received(
        topic=JOBS.name, partition=record.partition, offset=record.offset, timestamp_ms=max(0, record.timestamp_ms)
    )
    told = headers.first(record.headers, headers.ORIGIN)
    parts = told.split("/") if told else []
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        return here
    partition, offset, timestamp_ms = (int(part) for part in parts)
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


def _decision_id(reading: ReadableJob | RefusedJob, record: Record, prefix: str) -> str:
    """The id of the decision that answers this record: a redelivery gets the same one, no other record does.

    The first 32 hex digits of a sha256 over the place of the record that is decided on, its job's identity and content.
    The place is the record's own, at home, not what `novix-origin` says: a header can be forged, or copied by whoever
    sends a dead letter again. The content is in it because places come again when a topic is made anew.
    """
    content = reading.digest if isinstance(reading, ReadableJob) else hashlib.sha256(record.value or b"").hexdigest()
    place = f"{prefix}{record.topic}/{record.partition}/{record.offset}"
    parts = "\0".join((place, reading.tenant, reading.id, content))
    return hashlib.sha256(parts.encode(errors="replace")).hexdigest()[:32]


def forwarded(arrival: Arrival) -> Outgoing:
    """The record that takes a job home: key, value, headers and timestamp as they were, and where it entered.

    A refused job goes as its names alone, whatever its size was, so that it always fits.
    """
    record = arrival.record
    entered = f"{record.partition}/{record.offset}/{max(0, record.timestamp_ms)}"
    kept: Headers = tuple(one for one in record.headers if one[0] not in FORWARDING)
    value = record.value
    told: Headers = ((headers.ORIGIN, entered.encode()),)
    if isinstance(arrival.reading, RefusedJob):
        refused = arrival.reading
        kept = tuple(one for one in kept if one[0] in KEPT_OF_REFUSED)[:2]
        value = codec.encode(_names(refused))
        reason = codec.encode({"kind": refused.kind, "message": refused.message[:MOST_REASON_CHARS]})
        told = (*told, (headers.REFUSED, reason))
    timestamp_ms = record.timestamp_ms if record.timestamp_ms > 0 else None
    return Outgoing(JOBS.name, record.key, value, (*kept, *told), arrival.home, timestamp_ms)


def _names(refused: RefusedJob) -> dict[str, str]:
    named = {"id": refused.id, "tenant": refused.tenant, "model": refused.model, "provider": refused.provider}
    return named if refused.task is None else {**named, "task": refused.task}
