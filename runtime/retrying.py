"""The lanes of the retry topics: each record rests in memory until it is due, then goes back to where it came from.

Generic: a record's headers say all that is needed (`runtime/later.py` writes them), its value is never looked at.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from runtime import later, telemetry
from runtime.cancels import Cancels, Identity
from runtime.outcome import CallsNobody, Done, GiveUp, Outcome, Publish, RetryAt
from runtime.ports import Clock, Delivery, LaneId, LogReader, Outgoing, Record, Resumed
from runtime.telemetry import SpanDraft, TraceContext
from schemas import headers
from schemas.audit import AuditEntry
from schemas.failure import FailureKind
from schemas.topics import MODALITY_TOPICS, RETRY_TIERS, Topic, retry_group

WINDOW = 2_000
"""Records of one tier that rest in one process. A record behind that many others which wait longer is late by at most
its tier's length."""
_BACK_TO = frozenset(topic.name for topic in MODALITY_TOPICS.values())
_CAUSES = frozenset(map(str, FailureKind))
_LENGTHS = {topic.name: timedelta(milliseconds=longest_ms) for longest_ms, topic in RETRY_TIERS}


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a record of a retry topic says of itself."""

    not_before: datetime
    back_to: str
    attempt: int
    cause: str
    identity: Identity | None
    """Whose job it is; None if that cannot be read: it cannot be cancelled here, and waits all the same."""
    since: datetime | None = None
    """When the wait was decided; None: its writer does not tell."""


def read_waiting(record: Record) -> Waiting | str:
    """The headers of `runtime.later.postponed`; else why the record is none of ours, without its content. Total."""
    not_before = later.instant_of(headers.first(record.headers, headers.NOT_BEFORE))
    if not_before is None:
        return f"{headers.NOT_BEFORE} gives no milliseconds since 1970"
    back_to = headers.first(record.headers, headers.RETURN_TO)
    if back_to not in _BACK_TO:
        return f"{headers.RETURN_TO} names no topic that records wait for; there are {', '.join(sorted(_BACK_TO))}"
    attempt = headers.first(record.headers, headers.ATTEMPT) or ""
    calls = int(attempt) if attempt.isascii() and attempt.isdigit() and len(attempt) < 10 else 0
    cause = headers.first(record.headers, headers.CAUSE) or ""
    return Waiting(
        not_before,
        back_to,
        calls,
        cause if cause in _CAUSES else "",
        identity_of(headers.first(record.headers, headers.IDENTITY)),
        later.instant_of(headers.first(record.headers, headers.WAITS_SINCE)),
    )


def identity_of(text: str | None) -> Identity | None:
    """`tenant/id/submission`, of which only the id may hold slashes; None for anything else."""
    tenant, _, rest = (text or "").partition("/")
    job_id, _, submission = rest.rpartition("/")
    if not tenant or not job_id or not (submission.isascii() and submission.isdigit()) or len(submission) > 9:
        return None
    return tenant, job_id, int(submission)


def rest_of(waiting: Waiting, written: datetime, length: timedelta, now: datetime) -> timedelta:
    """How long a record that was `written` to a tier of `length` rests from `now` on; never longer than the tier.

    Until it is due, or until the tier's length is over: whatever a clock does that is set back, the record is not held
    for longer.
    """
    until = min(waiting.not_before, (waiting.since or written) + length)
    return min(max(timedelta(0), until - now), length)


def still_to_wait(waiting: Waiting, written: datetime, length: timedelta, now: datetime) -> datetime | None:
    """After its rest in a tier: until when a record must wait on, in the next tier; None: it goes back.

    What goes beyond the tier's length since that was decided, or at least `written`, is still to come, and no more than
    that if the clock was set back.
    """
    beyond = waiting.not_before - (waiting.since or written) - length
    if now >= waiting.not_before or beyond <= timedelta(0):
        return None
    return min(waiting.not_before, now + beyond)


class RetryApplication:
    """Moves the records of one retry topic back when they are due. A cancelled job's record goes back at once: only
    the lane that it came from may end the job."""

    inline = False
    custody = ""

    def __init__(self, topic: Topic, clock: Clock, cancels: Cancels) -> None:
        self._topic = topic
        self._clock = clock
        self._cancels = cancels

    @property
    def group(self) -> str:
        """Consumer group of this tier, without prefix."""
        return retry_group(self._topic)

    @property
    def topic(self) -> str:
        """The retry topic, without prefix."""
        return self._topic.name

    def describe(self) -> dict[str, Any]:
        """Nothing beside the lanes."""
        return {}

    def order_of(self, record: Record) -> None:
        """Records wait beside each other; those whose order counts do not come here."""

    async def open_lane(self, lane: LaneId, log: LogReader, resumed: Resumed) -> "RetryLane":
        """Nothing to make ready."""
        return RetryLane(lane, _LENGTHS[self._topic.name], self._clock, self._cancels)


class RetryLane(CallsNobody):
    """The handler of one partition of a retry topic."""

    def __init__(self, lane: LaneId, length: timedelta, clock: Clock, cancels: Cancels) -> None:
        self._lane = lane
        self._length = length
        self._clock = clock
        self._cancels = cancels

    async def handle(self, delivery: Delivery) -> Outcome:
        """Rest, go back, or wait on in the next tier. A record that is none of ours becomes a dead letter."""
        record, now = delivery.record, self._clock.now()
        waiting = read_waiting(record)
        if isinstance(waiting, str):
            return GiveUp(FailureKind.UNDECODABLE, waiting)
        written = later.instant(max(0, record.timestamp_ms))
        # Its job was published before it was written: a wish that counts for the later instant counts for the job.
        cancelled = waiting.identity is not None and self._cancels.of(waiting.identity, written) is not None
        rest = timedelta(0) if cancelled else rest_of(waiting, written, self._length, now)
        over = delivery.memo  # by the monotonic clock, which nobody sets
        if rest and not (isinstance(over, float) and self._clock.monotonic() >= over):
            if waiting.identity is not None:
                self._cancels.hold(waiting.identity, delivery.lease, written)
            over = self._clock.monotonic() + rest.total_seconds()
            return RetryAt(now + rest, FailureKind(waiting.cause or FailureKind.OVERLOADED), over)
        self._cancels.release(delivery.lease)
        on = None if cancelled else still_to_wait(waiting, written, self._length, now)
        if on is not None:
            moved = later.postponed(
                record, record.value or b"", not_before=on, now=now, attempt=waiting.attempt, cause=waiting.cause,
                back_to=waiting.back_to,
            )  # fmt: skip
            return self._moved(delivery, waiting, "job.postponed", moved, now)
        back = later.returned(record, waiting.back_to)
        return self._moved(delivery, waiting, "job.returned", back, now, cancelled=cancelled)

    def _moved(
        self, delivery: Delivery, waiting: Waiting, action: str, record: Outgoing, now: datetime, *,
        cancelled: bool = False,
    ) -> Publish:  # fmt: skip
        tenant, job_id, submission = waiting.identity or (None, None, None)
        rested = now - delivery.arrived_at
        detail = {
            "from": self._lane.topic,
            "to": record.topic,
            "cause": waiting.cause,
            "calls": waiting.attempt,
            "rested_ms": max(0, rested // timedelta(milliseconds=1)),
            **({"cancelled": True} if cancelled else {}),
        }
        trace = telemetry.trace_of(delivery.record.headers, *(waiting.identity or ()))
        entry = AuditEntry(
            at=now, action=action, tenant=tenant, job_id=job_id, submission=submission, trace_id=trace.trace_id,
            span_id=trace.parent_id, detail=detail, authority="operator" if cancelled else f"rule:{waiting.cause}",
        )  # fmt: skip
        return Publish((record,), (entry,), (self._span(delivery, waiting, trace, now),))

    def _span(self, delivery: Delivery, waiting: Waiting, trace: TraceContext, now: datetime) -> SpanDraft:
        record, (tenant, job_id, submission) = delivery.record, waiting.identity or (None, None, None)
        place = record.topic, record.partition, record.offset
        return SpanDraft(
            trace,
            telemetry.span_id(trace, "process", *place),
            f"process {record.topic}",
            telemetry.CONSUMER,
            delivery.arrived_at,
            now,
            {
                telemetry.SYSTEM: "kafka",
                telemetry.OPERATION: "process",
                telemetry.OPERATION_TYPE: "process",
                telemetry.DESTINATION: record.topic,
                telemetry.PARTITION: str(record.partition),
                telemetry.OFFSET: record.offset,
                telemetry.GROUP: self._lane.group,
                telemetry.JOB_ID: job_id,
                telemetry.TENANT: tenant,
                telemetry.SUBMISSION: submission,
                telemetry.CAUSE: waiting.cause or None,
            },
            links=((trace.trace_id, trace.parent_id),) if trace.parent_id else (),
        )

    def fault(self, delivery: Delivery, error: Exception) -> Done:
        """A fault of ours: the record is set aside whole."""
        self._cancels.release(delivery.lease)
        name = type(error).__name__
        return GiveUp(FailureKind.INTERNAL, f"the retry lane failed with {name}", error_type=name)

    def postpone(self, delivery: Delivery, retry: RetryAt) -> None:
        """It waits elsewhere already."""

    def seal(self, facts: list[Any], limit_bytes: int) -> list[Outgoing]:
        """No shared records."""
        return []

    def committed(self, facts: list[Any]) -> None:
        """Nothing is decided from what is committed."""

    async def close(self) -> None:
        """Nothing was opened; what rests goes on to do so if the lane is rebuilt."""
