"""A decision made again, from its record, its job's record and the histories that it names. Pure.

What comes out is compared with what stands in the log, byte for byte. A decision that cannot be made again is told
with the reason; none is passed over.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from router.arrival import Arrival
from router.case import Case
from router.decide import Ruling, decide
from router.facts import fact_of, told_published
from router.held import seen_again as at_its_moment
from router.history import NEEDED, Damaged, History, NotReplayable
from router.redrive import MOST_SUBMISSIONS, Redriven
from router.ruling import FAULT, OWN_LIMITS, outwaited, turned_away
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
NOT_FOUND = "its job was sent home, and its record was not found there"
OLD = "decided before decisions could be made again"
DAMAGED = "its record is none that a lane writes"
NO_BATCH = "a record that is no batch of decisions"


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


def batch_of(record: Record) -> Sequence[tuple[Stored, bytes]]:
    """The decisions of one record of the decisions topic, each with its JSON as it stands there.

    A batch that another program wrote in another form gives its decisions with empty bytes: they are told as different.
    None for a record that is no batch.
    """
    try:
        decisions = codec.decode(record.value or b"")["decisions"]
        encoded = [codec.encode(one) for one in decisions]
    except (codec.Undecodable, KeyError, TypeError):
        return ()
    if not all(isinstance(one, dict) for one in decisions):
        return ()
    stands = (record.value or b"").endswith(b'"decisions":[%s]}' % b",".join(encoded))
    return [(one, told if stands else b"") for one, told in zip(decisions, encoded, strict=True)]


def compared(
    stored: Stored, stands: bytes, arrival: "Arrival | Difference | str | None", history: History
) -> Difference | str | None:
    """Decide again, and say what differs: None: nothing; a text: why it could not be decided again.

    `arrival`: the job, or why there is none, in the same words (None: its record is gone).
    """
    if arrival is None:
        return NO_JOB
    if not isinstance(arrival, Arrival):
        return arrival
    try:
        again = decided_again(stored, arrival, history)
    except Damaged as reason:
        return difference(stored, str(reason))
    except NotReplayable as reason:
        return str(reason)
    if again == stands:
        return taken_over(stored, arrival)
    document = codec.parse(again)
    names = sorted({*document, *stored})
    differing = [name for name in names if _told(document, name) != _told(stored, name)]
    return difference(stored, *differing or ("bytes",))


def told_of(reason: NotReplayable) -> str:
    """Why a decision could not be made again, as it is counted."""
    return DAMAGED if isinstance(reason, Damaged) else str(reason)


def difference(stored: Stored, *fields: str) -> Difference:
    """These fields of a decision are not what a lane would have written."""
    submission = stored.get("submission")
    return Difference(
        str(stored.get("tenant")), str(stored.get("job_id")), submission if isinstance(submission, int) else 0,
        str(stored.get("decision_id")), fields,
    )  # fmt: skip


def taken_over(stored: Stored, arrival: Arrival) -> str | None:
    """Why no rule led to this decision: its ruling is the record's own word. None: one did."""
    if stored.get("kind") == FailureKind.INTERNAL and str(stored.get("message")).startswith(FAULT):
        return OWN_FAULT
    if stored.get("kind") == FailureKind.TOO_LARGE and isinstance(arrival.reading, ReadableJob):
        return NO_ROOM
    return None


def _told(document: Stored, name: str) -> bytes:
    """A field as JSON: to Python 0 and False are equal."""
    return codec.encode(document[name]) if name in document else b""


def decided_again(stored: Stored, arrival: Arrival, history: History) -> bytes:
    """The JSON of the decision about this arrival, made again.

    Taken over from the record: who the job is (submission), when it was decided, and what others imposed on it (that it
    was cancelled, that it was a dead letter driven again). Everything else is found again. Raises `NotReplayable`.
    """
    case, view = seen_again(stored, arrival, history)
    try:
        return fact_of(case, ruled_again(stored, case, view), view.versions).encoded
    except OverflowError:
        raise Damaged("decided_at") from None  # its deadlines lie beyond the calendar


def seen_again(stored: Stored, arrival: Arrival, history: History) -> tuple[Case, View]:
    """The job as it lay before the router, and all that it was decided from. Raises `NotReplayable`."""
    versions, held, submission = stored.get("versions"), stored.get("held"), stored.get("submission")
    if not isinstance(versions, dict) or not versions.keys() >= set(NEEDED):
        raise NotReplayable(OLD) if held is None else Damaged("versions")
    if not all(isinstance(one, str) for one in versions.values()):
        raise Damaged("versions")
    if not isinstance(held, dict):
        raise Damaged("held")
    if type(submission) is not int or not 1 <= submission <= MOST_SUBMISSIONS:
        raise Damaged("submission")
    decided_at = _instant(stored.get("decided_at"), "decided_at")
    published = told_published(arrival.received, decided_at)
    if "published" in held:
        published = _instant(held["published"], "held")
        if published > decided_at:
            raise Damaged("held")
    arrival = replace(arrival, published=published)
    lane = LaneId(ROUTER_GROUP, JOBS.name, arrival.home)
    redrive = Redriven(arrival.claim, submission) if arrival.claim else None
    case = Case(arrival, lane, submission, decided_at, decided_at, redrive)
    view = history.view(arrival.reading.tenant, versions, decided_at)
    try:
        return case, at_its_moment(view, held)
    except ValueError:
        raise Damaged("held") from None


def _instant(told: Any, field: str) -> datetime:
    """A time as a lane writes it: in UTC. Raises `Damaged`."""
    try:
        at = datetime.fromisoformat(told)
    except (TypeError, ValueError):
        raise Damaged(field) from None
    if at.utcoffset() != timedelta(0):
        raise Damaged(field)
    return at


def ruled_again(stored: Stored, case: Case, view: View) -> Ruling:
    """The ruling that the lane came to; where no rule led to it (`taken_over`), as the record tells it."""
    reading, now = case.arrival.reading, case.decided_at
    if stored.get("verdict") == "cancelled":
        deadline = case.job.deadline_at(case.arrival.published) if case.job else now
        return Ruling("cancelled", deadline, 0, FailureKind.CANCELLED, "cancelled before it was assigned")
    if taken_over(stored, case.arrival):
        return Ruling("rejected", now, 0, FailureKind(stored["kind"]), stored.get("message"))
    if not isinstance(reading, ReadableJob):
        return Ruling("rejected", now, 0, reading.kind, reading.message)
    ruling = decide(reading.job, view, published=case.arrival.published, now=now)
    limit = next((one for one in OWN_LIMITS if one == stored.get("kind")), None)
    if ruling.verdict == "expired" and limit is not None:
        return outwaited(ruling, limit)  # what it waited for stands in the record alone
    return turned_away(ruling) if ruling.verdict == "waiting" else ruling  # no other of these is ever written
