"""The router as an application of the lane engine: one handler per partition of the jobs topic.

A record's way, read downwards: read it, send it home, look whether it was decided before, decide, answer. What is
answered where nothing is decided stands in `router/repeats.py`, a decision as it is written in `router/facts.py`, and
what else answers it in `router/answers.py`.
"""

import sqlite3
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog

from router.answers import Answers
from router.arrival import Arrival, cleaned, driven_again, read_arrival
from router.case import Case
from router.catalogue import Catalogue
from router.decide import Ruling, decide
from router.facts import fact_of, sealed
from router.letters import Letters
from router.memory import Memory
from router.redrive import Redriven
from router.repeats import repeated, sent_home, unreadable
from router.seen import NotFolded, Seen
from router.standing import Fresh, Standing
from router.view import View, view_of
from runtime.cancels import Cancels
from runtime.outcome import Abandoned, CannotOpen, Done, GiveUp, Outcome, Publish, RetryAt
from runtime.ports import Clock, Delivery, LaneId, LogReader, Outgoing, Record, Resumed
from runtime.settings import Settings
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

    def __init__(self, settings: Settings, catalogue: Catalogue, clock: Clock, cancels: Cancels | None = None) -> None:
        self._settings = settings
        self._view = view_of(settings, catalogue)
        self._clock = clock
        self._cancels = Cancels() if cancels is None else cancels
        self._memory = Memory(settings.dedup_max, timedelta(hours=settings.dedup_hours))
        self._lanes: dict[int, RouterLane] = {}

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
        """`dedup`: of each open lane its partition, how many identities it remembers, `since` when it remembers all,
        and which bound holds: `24 h`, `1000000 ids`, `all since the beginning`."""
        return {"dedup": [lane.describe() for _, lane in sorted(self._lanes.items()) if not lane.closed]}

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
        seen = await Seen.open(folder, name, lane.partition, log, self._memory, self._clock.now())
        opened = RouterLane(lane, self._view, seen, log, self._clock, self._cancels, jobs, self._settings.topic_prefix)
        self._lanes[lane.partition] = opened
        return opened


class RouterLane:
    """One partition's handler. What it decides from is the fold of committed decisions plus its open transaction."""

    def __init__(
        self, lane: LaneId, view: View, seen: Seen, log: LogReader, clock: Clock, cancels: Cancels, partitions: int,
        prefix: str,
    ) -> None:  # fmt: skip
        self._lane = lane
        self._view = view
        self._seen = seen
        self._log = log
        self._clock = clock
        self._cancels = cancels
        self._partitions = partitions
        self._prefix = prefix
        self._letters = Letters(log, clock)
        self.closed = False

    async def handle(self, delivery: Delivery) -> Outcome:
        """Decide one record of the jobs topic. Raises `Abandoned` after `close`."""
        self._still_open()
        now = self._clock.now()
        arrival = read_arrival(delivery.record, now, self._partitions, self._prefix)
        if isinstance(arrival, Unreadable):
            return unreadable(delivery.record, arrival, now)
        if not arrival.at_home:
            return sent_home(arrival, now)
        await self._checkpoint()
        if arrival.claim is not None:
            known = await self._letters.look(arrival, arrival.claim, delivery.attempt)
            self._still_open()
            if not known:
                return RetryAt(self._clock.now() + MEND_AGAIN, FailureKind.INTERNAL)
        try:  # from here on nothing waits: two equal ids cannot both be new
            case, standing = self._case(arrival, delivery)
        except (sqlite3.DatabaseError, NotFolded) as damage:
            return await self._mend(damage, delivery.attempt)
        if not isinstance(standing, Fresh):
            return repeated(case, standing)
        return self._answer(*self._rule(case))

    def fault(self, delivery: Delivery, error: Exception) -> Done:
        """A fault of ours: the job ends as `failed/internal` where somebody can be told, with a copy for replay."""
        now, name = self._clock.now(), type(error).__name__
        message = f"the router failed with {name}"
        arrival = read_arrival(delivery.record, now, self._partitions, self._prefix)
        if isinstance(arrival, Unreadable):
            return GiveUp(FailureKind.INTERNAL, message, error_type=name)
        if not arrival.at_home:
            return sent_home(arrival, now)
        case, standing = self._case(arrival, delivery)
        if not isinstance(standing, Fresh):
            return repeated(case, standing)
        ruling = Ruling("rejected", now, 0, FailureKind.INTERNAL, message)
        answers = Answers(case, ruling, self._view.versions)
        fact = fact_of(case, ruling, self._view.versions)
        self._seen.note(fact.entry)
        return GiveUp(
            FailureKind.INTERNAL, message, (answers.refused("failed"),), answers.audit(), (answers.span(),), (fact,),
            error_type=name,
        )  # fmt: skip

    def postpone(self, delivery: Delivery, retry: RetryAt) -> None:
        """A decision waits in memory: those behind it must see it."""

    def seal(self, facts: list[Any], limit_bytes: int) -> list[Outgoing]:
        """The transaction's decisions as batches (`DecisionBatch`), at the lane's own partition."""
        return sealed(self._lane, facts, limit_bytes)

    def committed(self, facts: list[Any]) -> None:
        """Fold the transaction's decisions into what the lane has seen."""
        if facts:
            self._seen.committed([fact.entry for fact in facts])

    def owed(self, base: int) -> str:
        """A router calls nobody."""
        return ""

    async def close(self) -> None:
        """Release the cache; what was not committed is forgotten."""
        self.closed = True
        self._seen.close()

    def describe(self) -> dict[str, Any]:
        """What it remembers, for /healthz."""
        try:
            told = self._seen.describe(self._clock.now())
        except sqlite3.DatabaseError:  # the next job mends it
            told = {"identities": None, "since": None, "bound": None}
        return {"partition": self._lane.partition, **told}

    async def _checkpoint(self) -> None:
        await self._seen.checkpoint(self._lane.partition, self._log, CHECKPOINT_EVERY)
        self._still_open()

    async def _mend(self, damage: Exception, attempt: int) -> RetryAt:
        """The cache of seen identities is damaged: fold the log again, then come back with the record."""
        log.warning("seen.rebuilt", lane=str(self._lane), error=type(damage).__name__)
        wait = MEND_AGAIN if attempt > 1 else timedelta(0)
        try:
            await self._seen.rebuild(self._lane.partition, self._log, self._clock.now())
        except Exception as error:
            log.warning("seen.not_rebuilt", lane=str(self._lane), error=type(error).__name__)
            wait = MEND_AGAIN
        self._still_open()
        return RetryAt(self._clock.now() + wait, FailureKind.INTERNAL)

    def _still_open(self) -> None:
        """A lane that was closed while its handler waited decides nothing any more: its successor reads the record."""
        if self.closed:
            self._seen.close()
            raise Abandoned

    def _case(self, arrival: Arrival, delivery: Delivery) -> tuple[Case, Standing]:
        """The job with everything that its answers name, and where it stands. Raises what `Seen.lookup` raises."""
        now, redrive, told = self._clock.now(), self._letters.found(delivery.record), None
        if isinstance(redrive, Redriven):
            arrival, told = driven_again(arrival, redrive.claim, self._prefix), redrive.submission
        standing = self._seen.lookup(arrival.identity, arrival.digest, arrival.decision_id, now, told)
        return Case(arrival, self._lane, standing.submission, delivery.arrived_at, now, redrive), standing

    def _rule(self, case: Case) -> tuple[Case, Ruling]:
        """Decide, unless somebody cancelled this submission before."""
        arrival, now, reading = case.arrival, case.decided_at, case.arrival.reading
        job = reading.job if isinstance(reading, ReadableJob) else None
        wish = self._cancels.of((reading.tenant, reading.id, case.submission), arrival.published)
        if wish is not None:
            deadline = job.deadline_at(arrival.published) if job else now
            ruling = Ruling("cancelled", deadline, 0, FailureKind.CANCELLED, "cancelled before it was assigned")
            return replace(case, cancelled_by=cleaned(wish.by)), ruling
        if isinstance(reading, ReadableJob):
            return case, decide(reading.job, self._view, published=arrival.published, now=now)
        return case, Ruling("rejected", now, 0, reading.kind, reading.message)

    def _answer(self, case: Case, ruling: Ruling) -> Done:
        """Publish a ruling, and remember it for the records that follow in the same transaction."""
        answers = Answers(case, ruling, self._view.versions)
        fact = fact_of(case, ruling, self._view.versions)
        self._seen.note(fact.entry)
        rest = (answers.audit(), (answers.span(),), (fact,))
        if ruling.verdict == "assigned":
            return Publish((answers.assigned(),), *rest, shrunk=lambda size: self._too_large(case, size))
        return Publish((answers.refused("rejected" if ruling.verdict == "waiting" else ruling.verdict),), *rest)

    def _too_large(self, case: Case, size_bytes: int) -> Done:
        """The broker takes no record of the assigned job's size: the job ends with a result that says so."""
        message = f"the job with its assignment is {size_bytes} bytes, more than its topic takes"
        return self._answer(case, Ruling("rejected", case.decided_at, 0, FailureKind.TOO_LARGE, message))
