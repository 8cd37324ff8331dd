"""A decision made again, from its record, its job's record and the histories that it names. Pure.

What comes out is compared with what stands in the log, byte for byte. A decision that cannot be made again is told
with the reason; none is passed over.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from router.arrival import Arrival
from router.case import Case
from router.decide import Ruling, decide
from router.facts import fact_of, told_published
from router.held import seen_again as at_its_moment
from router.history import History, NotReplayable
from router.redrive import Redriven
from router.ruling import turned_away
from router.view import View
from runtime.ports import LaneId, Record
from schemas import codec
from schemas.failure import FailureKind
from schemas.job import ReadableJob
from schemas.topics import JOBS, ROUTER_GROUP
from schemas.values import frozen

Stored = Mapping[str, Any]
"""A decision's document (`schemas.decision.Decision`), as it was decoded."""
MOST_DIFFERENCES = 100
"""Told one by one; the rest is counted."""

OWN_FAULT = "a fault of the router itself"
NO_ROOM = "the broker took no record of its size"
NO_JOB = "its job's record is gone by retention"
OLD = "decided before decisions could be made again"


@frozen
class Difference:
    """A decision that comes out otherwise than it stands in the log."""

    tenant: str
    job_id: str
    submission: int
    decision_id: str
    fields: tuple[str, ...]
    """Which of its fields differ; `bytes`: all are equal and were written otherwise."""


@dataclass(slots=True)
class Replayed:
    """What came of a replay so far."""

    decisions: int = 0
    same: int = 0
    differences: list[Difference] = field(default_factory=list)
    different: int = 0
    """All differences; the list holds the first ones."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Those that could not be decided again, by reason."""

    def note(self, told: Difference | str | None) -> None:
        """Count one decision: it differs, could not be decided again for a reason, or (None) is the same."""
        self.decisions += 1
        if told is None:
            self.same += 1
        elif isinstance(told, str):
            self.skipped[told] += 1
        else:
            self.different += 1
            if len(self.differences) < MOST_DIFFERENCES:
                self.differences.append(told)


def batch_of(record: Record) -> Iterator[tuple[Stored, bytes]]:
    """The decisions of one record of the decisions topic, each with its JSON as it stands there.

    A batch that another program wrote in another form gives its decisions with empty bytes: they are told as different.
    Nothing for a record that is no batch.
    """
    try:
        document = codec.decode(record.value or b"")
        decisions = document["decisions"]
        encoded = [codec.encode(one) for one in decisions]
    except (codec.Undecodable, KeyError, TypeError):
        return
    stands = (record.value or b"").endswith(b'"decisions":[%s]}' % b",".join(encoded))
    for one, told in zip(decisions, encoded, strict=True):
        if isinstance(one, dict):
            yield one, told if stands else b""


def compared(stored: Stored, stands: bytes, arrival: Arrival | None, history: History) -> Difference | str | None:
    """Decide again, and say what differs: None: nothing; a text: why it could not be decided again."""
    if arrival is None:
        return NO_JOB
    try:
        again = decided_again(stored, arrival, history)
    except NotReplayable as reason:
        return str(reason)
    if again == stands:
        return None
    document = codec.parse(again)
    names = sorted({*document, *stored})
    differing = [name for name in names if _told(document, name) != _told(stored, name)]
    return Difference(
        str(stored.get("tenant")), str(stored.get("job_id")), int(stored["submission"]),
        str(stored.get("decision_id")), tuple(differing) or ("bytes",),
    )  # fmt: skip


def _told(document: Stored, name: str) -> bytes:
    """A field as JSON: to Python 0 and False are equal."""
    return codec.encode(document[name]) if name in document else b""


def decided_again(stored: Stored, arrival: Arrival, history: History) -> bytes:
    """The JSON of the decision about this arrival, made again.

    Taken over from the record: who the job is (submission), when it was decided, and what others imposed on it (that it
    was cancelled, that it was a dead letter driven again). Everything else is found again. Raises `NotReplayable`.
    """
    case, view = seen_again(stored, arrival, history)
    return fact_of(case, ruled_again(stored, case, view), view.versions).encoded


def seen_again(stored: Stored, arrival: Arrival, history: History) -> tuple[Case, View]:
    """The job as it lay before the router, and all that it was decided from. Raises `NotReplayable`."""
    try:
        decided_at = datetime.fromisoformat(stored["decided_at"])
        versions, held, submission = stored["versions"], dict(stored["held"]), int(stored["submission"])
        published = held.pop("published", None)
        told = datetime.fromisoformat(published) if published else told_published(arrival.received, decided_at)
        if (
            decided_at.tzinfo is None
            or told.tzinfo is None
            or not all(isinstance(one, str) for one in versions.values())
        ):
            raise ValueError("not as a lane writes it")
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise NotReplayable(OLD) from None
    arrival = replace(arrival, published=told)
    lane = LaneId(ROUTER_GROUP, JOBS.name, arrival.home)
    redrive = Redriven(arrival.claim, submission) if stored.get("redriven_from") and arrival.claim else None
    case = Case(arrival, lane, submission, decided_at, decided_at, redrive)
    view = history.view(arrival.reading.tenant, versions, decided_at)
    try:
        return case, at_its_moment(view, held)
    except ValueError:
        raise NotReplayable("what it holds is of another form") from None


def ruled_again(stored: Stored, case: Case, view: View) -> Ruling:
    """The ruling that the lane came to. Raises `NotReplayable` for one that no rule led to."""
    reading, now = case.arrival.reading, case.decided_at
    if stored.get("verdict") == "cancelled":
        deadline = case.job.deadline_at(case.arrival.published) if case.job else now
        return Ruling("cancelled", deadline, 0, FailureKind.CANCELLED, "cancelled before it was assigned")
    if stored.get("kind") == FailureKind.INTERNAL:
        raise NotReplayable(OWN_FAULT)
    if not isinstance(reading, ReadableJob):
        return Ruling("rejected", now, 0, reading.kind, reading.message)
    if stored.get("kind") == FailureKind.TOO_LARGE:
        raise NotReplayable(NO_ROOM)
    ruling = decide(reading.job, view, published=case.arrival.published, now=now)
    return turned_away(ruling) if ruling.verdict == "waiting" else ruling  # no other of these is ever written
