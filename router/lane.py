"""The router as an application of the lane engine: one handler per partition of the jobs topic.

A record's way, read downwards: read it, send it home, look whether it was decided before, decide, answer or wait. What
is answered where nothing is decided stands in `router/repeats.py`, a decision as it is written in `router/facts.py`,
what else answers it in `router/answers.py`, who waits for what in `router/admission.py`; `router/pump.py` brings those
who wait back here.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from router.admission import Admission, Started, destination_of, queue_of
from router.answers import Answers
from router.arrival import Arrival, cleaned, driven_again, read_arrival
from router.case import Case
from router.decide import Ruling, decide
from router.facts import Fact, fact_of, sealed
from router.letters import Letters
from router.money.books import Books
from router.redrive import Redriven
from router.repeats import repeated, sent_home, unreadable
from router.room import Waiter
from router.ruled import Ruled
from router.ruling import failed, outwaited, turned_away
from router.seen import NotFolded, Seen
from router.standing import Conflict, Duplicate, Fresh, Standing
from router.state import State
from router.view import View
from runtime.cancels import Cancels
from runtime.metrics.routing import RoutingMeter
from runtime.outcome import Abandoned, CallsNobody, Done, GiveUp, Hold, Outcome, Publish, RetryAt
from runtime.ports import Clock, Delivery, LaneId, LogReader, Outgoing
from schemas.failure import FailureKind
from schemas.job import InferenceJob, ReadableJob, Unreadable

CHECKPOINT_EVERY = 20_000
"""Decisions after which the place in the log is noted, so that the next opening reads at most about as many."""
CHECKPOINT_S = 5.0
"""For that: the lane's records wait meanwhile."""
MOST_RULED_ON = 2_000
"""Jobs that wait and whose ruling is kept, some kilobytes each: enough for all that begin within a second or two. Those
behind them are decided anew in their turn."""
MEND_AGAIN = timedelta(seconds=1)
HELD_FOR = {FailureKind.OVER_RATE: "rate", FailureKind.OVER_BUDGET: "money"}
"""What a job waits for (`telemetry.WAITS`), by the limit that it is over; within all of them it waits for its turn."""

log = structlog.get_logger("novix.router")


class RouterLane(CallsNobody):
    """One partition's handler. What it decides from is the fold of committed decisions plus its open transaction."""

    def __init__(
        self, lane: LaneId, state: State, seen: Seen, books: Books, admission: Admission, reader: LogReader,
        clock: Clock, cancels: Cancels, *, partitions: int, prefix: str, snapshot_every: int,
        meter: RoutingMeter | None = None,
    ) -> None:  # fmt: skip
        self._lane = lane
        self._state = state
        self._seen = seen
        self._books = books
        self._admission = admission
        self._log = reader
        self._clock = clock
        self._cancels = cancels
        self._partitions = partitions
        self._prefix = prefix
        self._snapshot_every = snapshot_every
        self._meter = meter or RoutingMeter()
        self._letters = Letters(reader, clock)
        self._held: dict[str, Case] = {}
        """Jobs that wait, by identity."""
        self._ruled_on: dict[str, Ruled] = {}
        """Of some of them, at most `MOST_RULED_ON`, what was decided when they came."""
        self._limited: dict[str, tuple[FailureKind, datetime]] = {}
        """By tenant: which of its own limits a job of it was last told to wait for, and when; while anybody waits."""
        self.blocked: str | None = None
        """Why nothing is taken in: the cache of seen identities can neither be used nor made anew."""
        self.closed = False
        self.reached = -1
        """The last offset that was handed over."""
        self.on_news: Callable[[], None] = lambda: None
        """Told when a job begins to wait, or what another waits for may be there."""
        self.on_close: Callable[[], None] = lambda: None

    async def handle(self, delivery: Delivery) -> Outcome:
        """Decide one record of the jobs topic. Raises `Abandoned` after `close`, or without memory to read it."""
        self._still_open()
        self.reached, now = delivery.record.offset, self._clock.now()
        try:
            arrival = read_arrival(delivery.record, now, self._partitions, self._prefix)
        except MemoryError:
            raise Abandoned from None
        if isinstance(arrival, Unreadable):
            return unreadable(delivery.record, arrival, now)
        if not arrival.at_home:
            return sent_home(arrival, now)
        if self._seen.wants_checkpoint(CHECKPOINT_EVERY) or self._books.wants_mark(self._snapshot_every):
            await self._checkpoint()
        known = not self._state.stopped
        if known and arrival.claim is not None:
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
        return self._ruled(case, delivery)

    def fault(self, delivery: Delivery, error: Exception) -> Done:
        """A fault of ours: the job ends as `failed/internal` where somebody can be told, with a copy for replay."""
        now, name = self._clock.now(), type(error).__name__
        arrival = read_arrival(delivery.record, now, self._partitions, self._prefix)
        if isinstance(arrival, Unreadable):
            return GiveUp(FailureKind.INTERNAL, failed(name), error_type=name)
        if not arrival.at_home:
            return sent_home(arrival, now)
        case, standing = self._case(arrival, delivery)
        return self._failed(case, name) if isinstance(standing, Fresh) else repeated(case, standing)

    def _failed(self, case: Case, name: str) -> GiveUp:
        """A new submission, at which we failed with an exception of this name."""
        message = failed(name)
        view = self._state.view(case.arrival.reading.tenant)
        ruling = Ruling("rejected", case.decided_at, 0, FailureKind.INTERNAL, message)
        answers = Answers(case, ruling, view)
        fact = fact_of(case, ruling, view.versions)
        told = (answers.refused("failed"),), answers.audit(fact.encoded), answers.spans()
        self._note(fact, case, ruling, view)
        return GiveUp(FailureKind.INTERNAL, message, *told, (fact,), error_type=name)

    def postpone(self, delivery: Delivery, retry: RetryAt) -> None:
        """A decision waits in memory: those behind it must see it."""

    def seal(self, facts: list[Fact], limit_bytes: int) -> list[Outgoing]:
        """The transaction's decisions as batches (`DecisionBatch`), at the lane's own partition; now and then a
        snapshot of what the lane knows of money."""
        batches = sealed(self._lane, facts, limit_bytes, self._books)
        if self._books.due(self._snapshot_every):
            batches += self._books.snapshot(self._lane, self._clock.now(), limit_bytes)
        return batches

    def committed(self, facts: list[Fact]) -> None:
        """Fold the transaction's decisions into what the lane has seen."""
        if facts:
            self._seen.committed([fact.entry for fact in facts])
        for fact in facts:
            decided, reserve = fact.document, fact.document["reserve"]
            self._meter.decided(decided["verdict"], decided["kind"], decided["task"], reserve.nanousd if reserve else 0)

    async def close(self) -> None:
        """Release the cache; what was not committed is forgotten, and so is who waits: their records are read again."""
        self.closed = True
        self._seen.close()
        for waiter in self._admission.everybody():
            self._cancels.release(waiter.delivery.lease)
        self._held.clear()
        self._ruled_on.clear()
        self.on_close()

    def describe(self) -> dict[str, object]:
        """What it remembers, for /healthz."""
        try:
            told = self._seen.describe(self._clock.now())
        except sqlite3.DatabaseError:  # the next job mends it
            told = {"identities": None, "since": None, "bound": None}
        blocked = self._state.stopped or self.blocked
        return {"partition": self._lane.partition, **told, **({"blocked": blocked} if blocked else {})}

    @property
    def partition(self) -> int:
        """Of the jobs topic, and of everything at home."""
        return self._lane.partition

    @property
    def waiting_bytes(self) -> int:
        """Of the records of those that wait."""
        return self._admission.bytes

    def money(self) -> dict[str, object]:
        """Budgets, reservations and who waits, for /healthz."""
        told = {"partition": self.partition, **self._admission.describe(), **self._books.describe()}
        return told | {"overdrawn": len(self._books.overdrawn(self._clock.now()))}

    # who waits

    def again(self, waiter: Waiter, *, wait: bool = True) -> None:
        """Decide a job that has waited: it ends, or goes on waiting, if it may."""
        case = self._held.get(waiter.identity)
        if case is None or self.closed or self._state.stopped:
            return
        lease = waiter.delivery.lease
        try:
            ruled = self._rule(replace(case, decided_at=self._clock.now()), self._ruled_on.get(waiter.identity))
            case, ruling, view = ruled.case, ruled.ruling, ruled.view
            if ruling.verdict == "waiting" and wait:
                self._admission.wait_on(waiter, for_money=view.turn.allowed, until=ruling.until)
                return
            elsewhere = self._elsewhere(case, ruling, waiter)
            if elsewhere is not None and wait:
                self._admission.wait_on(elsewhere, for_money=False, until=None)
                return
            ruling = turned_away(ruling) if ruling.verdict == "waiting" else ruling
            self._forget(waiter)
            lease.end(self._answered(case, ruling, view))
        except Exception as error:
            name = type(error).__name__
            log.error("router.fault", lane=str(self._lane), error=name, trace_id=case.context.trace_id)
            self._forget(waiter)
            try:
                lease.end(self._failed(case, name))
            except Exception as second:
                lease.end(second)

    def _elsewhere(self, case: Case, ruling: Ruling, waiter: Waiter) -> Waiter | None:
        """The waiter, if it goes to another queue than it waited for, and that has no room now."""
        if ruling.verdict != "assigned" or case.job is None:
            return None
        destination = _destination(case.job, ruling)
        if destination == waiter.destination or self._admission.has_room(destination, case.decided_at):
            return None
        return replace(waiter, destination=destination)

    def _forget(self, waiter: Waiter) -> None:
        self._held.pop(waiter.identity, None)
        self._ruled_on.pop(waiter.identity, None)
        if not self._held:
            self._limited.clear()
        self._cancels.release(waiter.delivery.lease)

    def _hold(self, ruled: Ruled, delivery: Delivery) -> Hold:
        case, ruling, view = ruled.case, ruled.ruling, ruled.view
        arrival, job = case.arrival, case.job
        if job is None or ruling.modality is None:
            raise ValueError("only a job that was read whole can wait")
        destination = _destination(job, ruling)
        waiter = Waiter(  # what it waits for is told when it stands first: until then it waits for those before it
            delivery=delivery,
            tenant=job.tenant,
            priority=job.priority,
            identity=arrival.identity,
            digest=arrival.digest,
            deadline=ruling.deadline,
            cost_nanousd=ruling.candidates[0].estimate_nanousd if ruling.candidates else 0,
            weight=view.terms.weight,
            ordering_key=job.ordering_key,
            destination=destination,
            queue=queue_of(destination, view.purse),
        )
        waits_for = HELD_FOR.get(ruling.kind, "turn") if ruling.kind and ruling.verdict == "waiting" else "turn"
        self._held[arrival.identity] = replace(case, held_at=case.decided_at, held_for=waits_for)
        if ruling.sure_until is not None and len(self._ruled_on) < MOST_RULED_ON:
            self._ruled_on[arrival.identity] = ruled
        self._cancels.hold((job.tenant, job.id, case.submission), delivery.lease, arrival.published)
        self._admission.wait(waiter)
        self.on_news()
        return Hold()

    # decide

    async def _checkpoint(self) -> None:
        """Only a successor's reading grows where the log cannot be asked: no job fails for that."""
        try:
            async with asyncio.timeout(CHECKPOINT_S):
                await self._seen.checkpoint(self._lane.partition, self._log, CHECKPOINT_EVERY)
                await self._books.mark(self._lane.partition, self._log, self._snapshot_every)
        except Exception as error:
            log.warning("router.no_checkpoint", lane=str(self._lane), error=type(error).__name__)
        self._still_open()

    async def _mend(self, damage: Exception, attempt: int) -> RetryAt:
        """The cache of seen identities is damaged: fold the log again, then come back with the record."""
        log.warning("seen.rebuilt", lane=str(self._lane), error=type(damage).__name__)
        wait = MEND_AGAIN if attempt > 1 else timedelta(0)
        try:
            await self._seen.rebuild(self._lane.partition, self._log)
            self.blocked = None
        except Exception as error:
            self.blocked = f"the cache of seen identities: {type(error).__name__}: {str(error)[:200]}"
            log.warning("seen.not_rebuilt", lane=str(self._lane), reason=self.blocked)
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
        waits = self._held.get(arrival.identity)
        if waits is not None and waits.arrival.record.offset != arrival.record.offset:
            same = waits.arrival.digest == arrival.digest
            standing = Duplicate(waits.submission) if same else Conflict(waits.submission)
        return Case(arrival, self._lane, standing.submission, delivery.arrived_at, now, redrive), standing

    def _ruled(self, case: Case, delivery: Delivery) -> Done | Hold:
        """Decide; a job that is over a limit, or whose turn it is not, waits."""
        ruled = self._rule(case)
        case, ruling = ruled.case, ruled.ruling
        waits = ruling.verdict == "waiting"
        if ruling.verdict == "assigned" and case.job is not None:
            waits = not self._admission.may_start(case.job.tenant, _destination(case.job, ruling), case.decided_at)
        return self._hold(ruled, delivery) if waits else self._answered(case, ruling, ruled.view)

    def _rule(self, case: Case, before: Ruled | None = None) -> Ruled:
        """Decide, unless somebody cancelled this submission before. A job that has waited in vain for its turn, and for
        nothing else, is decided as it was `before`."""
        arrival, now, reading = case.arrival, case.decided_at, case.arrival.reading
        job = reading.job if isinstance(reading, ReadableJob) else None
        view = self._state.view(reading.tenant, now)
        wish = self._cancels.of((reading.tenant, reading.id, case.submission), arrival.published)
        if wish is not None:
            deadline = job.deadline_at(arrival.published) if job else now
            ruling = Ruling("cancelled", deadline, 0, FailureKind.CANCELLED, "cancelled before it was assigned")
            return Ruled(replace(case, cancelled_by=cleaned(wish.by)), ruling, view)
        if job is None:
            kind, message = _refusal(case)
            return Ruled(case, Ruling("rejected", now, 0, kind, message), view)
        view = view.at(
            self._books.purse(job, now),
            self._admission.turn(view.terms, now),
            self._state.health.shut(now),
            self._state.lessons(job.task, arrival.decision_id, now),
        )
        if before is not None and before.still_holds(view, now):
            return Ruled(case, before.ruling, view)
        ruling = decide(job, view, published=arrival.published, now=now)
        if ruling.verdict == "waiting" and ruling.kind is not None:
            self._limited[job.tenant] = ruling.kind, now
        limit, told_at = self._limited.get(job.tenant, (None, now))
        if ruling.verdict == "expired" and limit is not None and told_at >= case.arrived_at:
            ruling = outwaited(ruling, limit)
        return Ruled(case, ruling, view)

    def _answered(self, case: Case, ruling: Ruling, view: View) -> Done:
        """Publish a ruling, and remember it for the records that follow in the same transaction. Whatever may raise
        does so before it is remembered."""
        if ruling.verdict == "waiting":
            raise ValueError("a job that waits has no answer yet")
        answers = Answers(case, ruling, view)
        shrunk: Callable[[int], Done] | None = None
        if ruling.verdict == "assigned":
            told = answers.assigned(self._lane.partition)
            shrunk = partial(self._too_large, case, view)
        else:
            told = answers.refused(ruling.verdict)
        fact = fact_of(case, ruling, view.versions)
        audit, spans = answers.audit(fact.encoded), answers.spans()
        self._note(fact, case, ruling, view)
        return Publish((told,), audit, spans, (fact,), shrunk)

    def _note(self, fact: Fact, case: Case, ruling: Ruling, view: View) -> None:
        """The decision is known from now on: its money is reserved, its turn taken, its identity seen."""
        identity, tenant = case.arrival.identity, case.arrival.reading.tenant
        self._books.reserve(fact.document)
        if ruling.verdict == "assigned" and ruling.modality is not None:
            expected = {(one.provider, one.model): one.estimate_nanousd for one in ruling.candidates}
            first = ruling.candidates[0]
            started = Started(destination_of(ruling.modality, first.provider, first.model), expected)
            self._admission.assigned(identity, case.submission, started, view.terms, case.decided_at)
        elif self._admission.unassigned(identity, case.submission, tenant, case.decided_at):
            self.on_news()
        self._seen.note(fact.entry)

    def _too_large(self, case: Case, view: View, size_bytes: int) -> Done:
        """The broker takes no record of the assigned job's size: the job ends with a result that says so."""
        message = f"the job with its assignment is {size_bytes} bytes, more than its topic takes"
        return self._answered(case, Ruling("rejected", case.decided_at, 0, FailureKind.TOO_LARGE, message), view)


def _destination(job: InferenceJob, ruling: Ruling) -> str:
    """Whose queue the job goes to; of one that waits for money and has no candidate yet, what it asks for."""
    first = ruling.candidates[0] if ruling.candidates else job
    return destination_of(ruling.modality or "", first.provider, first.model)


def _refusal(case: Case) -> tuple[FailureKind, str]:
    reading = case.arrival.reading
    if isinstance(reading, ReadableJob):
        raise ValueError("the job was read whole")
    return reading.kind, reading.message
