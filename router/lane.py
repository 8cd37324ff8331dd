"""The router as an application of the lane engine: one handler per partition of the jobs topic.

A record's way, read downwards: read it, send it home, look whether it was decided before, decide, answer.
"""

import sqlite3
from datetime import datetime, timedelta
from typing import Any

import structlog

from router.answers import Answers, Case, Fact, deed
from router.arrival import Arrival, forwarded, read_arrival
from router.catalogue import Catalogue
from router.decide import Ruling, decide
from router.seen import AlreadyDecided, Duplicate, Fresh, NotFolded, Seen, Standing
from router.view import View, view_of
from runtime import telemetry
from runtime.outcome import Abandoned, CannotOpen, Done, GiveUp, Outcome, Publish, RetryAt
from runtime.ports import Clock, Delivery, LaneId, LogReader, Outgoing, Record, Resumed
from runtime.settings import Settings
from schemas import headers
from schemas.audit import AuditEntry
from schemas.failure import FailureKind
from schemas.job import ReadableJob, Unreadable
from schemas.topics import DECISIONS, JOBS, ROUTER_GROUP

CHECKPOINT_EVERY = 20_000
"""Decisions after which the place in the log is noted, so that the next opening reads at most about as many."""


MEND_AGAIN = timedelta(seconds=1)

log = structlog.get_logger("novix.router")


class PartitionMismatch(CannotOpen):
    """The jobs and decisions topics do not have the same number of partitions: a tenant would have two homes."""


class RouterApplication:
    """Decides every job of `inference.jobs.v1`, in order, each exactly once per submission."""

    def __init__(self, settings: Settings, catalogue: Catalogue, clock: Clock) -> None:
        self._settings = settings
        self._view = view_of(settings, catalogue)
        self._clock = clock

    @property
    def group(self) -> str:
        """Consumer group, without prefix."""
        return ROUTER_GROUP

    @property
    def topic(self) -> str:
        """Input topic, without prefix."""
        return JOBS.name

    @property
    def inline(self) -> bool:
        """Jobs are decided one after the other: the second of two equal ids must see the first."""
        return True

    @property
    def custody(self) -> str:
        """A router calls nobody."""
        return ""

    def describe(self) -> dict[str, Any]:
        """Nothing beside the lanes."""
        return {}

    def order_of(self, record: Record) -> None:
        """A lane of a router handles everything in order."""

    async def open_lane(self, lane: LaneId, log: LogReader, resumed: Resumed) -> "RouterLane":
        """Bring the seen identities up to date. Raises `PartitionMismatch`, or what `Seen.open` raises."""
        jobs, decisions = await log.partitions(JOBS.name), await log.partitions(DECISIONS.name)
        if jobs != decisions:
            raise PartitionMismatch(
                f"{JOBS.name} has {jobs} partitions and {DECISIONS.name} has {decisions}; they must be equal"
            )
        name = self._settings.named(DECISIONS.name)
        folder = self._settings.home / "seen"
        seen = await Seen.open(folder, name, lane.partition, log, self._settings.dedup_max)
        return RouterLane(lane, self._view, seen, log, self._clock, jobs, self._settings.topic_prefix)


class RouterLane:
    """One partition's handler. What it decides from is the fold of committed decisions plus its open transaction."""

    def __init__(
        self, lane: LaneId, view: View, seen: Seen, log: LogReader, clock: Clock, partitions: int, prefix: str
    ) -> None:
        self._lane = lane
        self._view = view
        self._seen = seen
        self._log = log
        self._clock = clock
        self._partitions = partitions
        self._prefix = prefix
        self._closed = False

    async def handle(self, delivery: Delivery) -> Outcome:
        """Decide one record of the jobs topic. Raises `Abandoned` after `close`."""
        self._still_open()
        now = self._clock.now()
        arrival = read_arrival(delivery.record, now, self._partitions, self._prefix)
        if isinstance(arrival, Unreadable):
            return self._unreadable(delivery.record, arrival, now)
        if not arrival.at_home:
            return self._forward(arrival, now)
        await self._checkpoint()
        try:  # from here on nothing waits: two equal ids cannot both be new
            standing = self._standing(arrival)
        except (sqlite3.DatabaseError, NotFolded) as damage:
            return await self._mend(damage, delivery.attempt)
        if not isinstance(standing, Fresh):
            return self._decided_before(arrival, standing, delivery, now)
        case = Case(arrival, self._lane, standing.submission, delivery.arrived_at, now)
        return self._answer(case, self._rule(arrival, now))

    def fault(self, delivery: Delivery, error: Exception) -> Done:
        """A fault of ours: the job ends as `failed/internal` where somebody can be told, with a copy for replay."""
        now, name = self._clock.now(), type(error).__name__
        message = f"the router failed with {name}"
        arrival = read_arrival(delivery.record, now, self._partitions, self._prefix)
        if isinstance(arrival, Unreadable):
            return GiveUp(FailureKind.INTERNAL, message, error_type=name)
        if not arrival.at_home:
            return self._forward(arrival, now)
        standing = self._standing(arrival)
        if not isinstance(standing, Fresh):
            return self._decided_before(arrival, standing, delivery, now)
        case = Case(arrival, self._lane, standing.submission, delivery.arrived_at, now)
        ruling = Ruling("rejected", now, 0, FailureKind.INTERNAL, message)
        answers = Answers(case, ruling, self._view.versions)
        fact = answers.fact()
        self._seen.note(fact.entry)
        return GiveUp(
            FailureKind.INTERNAL, message, (answers.refused("failed"),), (answers.audit(),), (answers.span(),), (fact,),
            error_type=name,
        )  # fmt: skip

    def postpone(self, delivery: Delivery, retry: RetryAt) -> None:
        """A decision waits in memory: those behind it must see it."""

    def seal(self, facts: list[Any], limit_bytes: int) -> list[Outgoing]:
        """The transaction's decisions as batches (`DecisionBatch`), at the lane's own partition."""
        head = b'{"lane":"%s","decisions":[' % str(self._lane).encode()
        batches: list[list[bytes]] = []
        room = 0
        for fact in facts:
            if not batches or len(fact.encoded) + 1 > room:
                batches.append([])
                room = limit_bytes - len(head) - 2
            batches[-1].append(fact.encoded)
            room -= len(fact.encoded) + 1
        key = str(self._lane.partition).encode()
        return [
            Outgoing(DECISIONS.name, key, b"".join((head, b",".join(batch), b"]}")), partition=self._lane.partition)
            for batch in batches
        ]

    def committed(self, facts: list[Any]) -> None:
        """Fold the transaction's decisions into what the lane has seen."""
        if facts:
            self._seen.committed([fact.entry for fact in facts])

    async def close(self) -> None:
        """Release the cache; what was not committed is forgotten."""
        self._closed = True
        self._seen.close()

    async def _checkpoint(self) -> None:
        await self._seen.checkpoint(self._lane.partition, self._log, CHECKPOINT_EVERY)
        self._still_open()

    async def _mend(self, damage: Exception, attempt: int) -> RetryAt:
        """The cache of seen identities is damaged: fold the log again, then come back with the record."""
        log.warning("seen.rebuilt", lane=str(self._lane), error=type(damage).__name__)
        wait = MEND_AGAIN if attempt > 1 else timedelta(0)
        try:
            await self._seen.rebuild(self._lane.partition, self._log)
        except Exception as error:
            log.warning("seen.not_rebuilt", lane=str(self._lane), error=type(error).__name__)
            wait = MEND_AGAIN
        self._still_open()
        return RetryAt(self._clock.now() + wait, FailureKind.INTERNAL)

    def _still_open(self) -> None:
        """A lane that was closed while its handler waited decides nothing any more: its successor reads the record."""
        if self._closed:
            self._seen.close()
            raise Abandoned

    def _standing(self, arrival: Arrival) -> Standing:
        return self._seen.lookup(arrival.identity, arrival.digest, arrival.decision_id)

    def _rule(self, arrival: Arrival, now: datetime) -> Ruling:
        reading = arrival.reading
        if isinstance(reading, ReadableJob):
            return decide(reading.job, self._view, published=arrival.published, now=now)
        return Ruling("rejected", now, 0, reading.kind, reading.message)

    def _answer(self, case: Case, ruling: Ruling) -> Done:
        """Publish a ruling, and remember it for the records that follow in the same transaction."""
        answers = Answers(case, ruling, self._view.versions)
        fact: Fact = answers.fact()
        self._seen.note(fact.entry)
        rest = ((answers.audit(),), (answers.span(),), (fact,))
        if ruling.verdict == "assigned":
            return Publish((answers.assigned(),), *rest, shrunk=lambda size: self._too_large(case, size))
        return Publish((answers.refused("expired" if ruling.verdict == "expired" else "rejected"),), *rest)

    def _too_large(self, case: Case, size_bytes: int) -> Done:
        """The broker takes no record of the assigned job's size: the job ends with a result that says so."""
        message = f"the job with its assignment is {size_bytes} bytes, more than its topic takes"
        return self._answer(case, Ruling("rejected", case.decided_at, 0, FailureKind.TOO_LARGE, message))

    def _decided_before(self, arrival: Arrival, standing: Standing, delivery: Delivery, now: datetime) -> Done:
        """An identity that came again: never a second result."""
        if isinstance(standing, AlreadyDecided | Fresh):
            return Publish()
        case = Case(arrival, self._lane, standing.submission, delivery.arrived_at, now)
        detail: dict[str, Any] = {"decision_id": arrival.decision_id, "received": arrival.received.model_dump()}
        if isinstance(standing, Duplicate):
            return Publish(audit=(deed(case, "job.duplicate", detail),))
        message = f"the id was used before with other content (submission {standing.submission})"
        reading = arrival.reading
        if not isinstance(reading, ReadableJob):
            message += f"; this one is refused besides: {reading.kind}"
        return GiveUp(FailureKind.CONFLICT, message, audit=(deed(case, "job.conflict", detail),))

    def _forward(self, arrival: Arrival, now: datetime) -> Done:
        record = arrival.record
        given = headers.first(record.headers, headers.TRACEPARENT)
        entry = AuditEntry(
            at=now,
            action="job.forwarded",
            tenant=arrival.reading.tenant,
            job_id=arrival.reading.id,
            # Without a producer's trace the id is made from the submission, and only the home lane knows that.
            trace_id=telemetry.trace_of(record.headers, arrival.identity).trace_id if given else None,
            detail={"from": f"{record.partition}/{record.offset}", "to": arrival.home},
        )
        return Publish((forwarded(arrival),), (entry,))

    def _unreadable(self, record: Record, reading: Unreadable, now: datetime) -> Done:
        where = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "kind": reading.kind}
        entry = AuditEntry(at=now, action="record.dead_lettered", detail={**where, "message": reading.message})
        return GiveUp(reading.kind, reading.message, audit=(entry,))
