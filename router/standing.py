"""Where a job stands among what was decided of its identity before. Pure."""

from collections.abc import Sequence

from router.fold import Entry
from schemas.values import frozen


@frozen
class AlreadyDecided:
    """This very record, or this very dead letter, was decided before: it was delivered or driven again."""

    submission: int


@frozen
class Duplicate:
    """The identity was decided before, for the same content."""

    submission: int


@frozen
class Conflict:
    """The identity was decided before, for other content."""

    submission: int


@frozen
class Fresh:
    """A new submission: the first, the one after a rejected one, or that of a dead letter driven again."""

    submission: int


Standing = AlreadyDecided | Duplicate | Conflict | Fresh


def standing(
    newest_first: Sequence[Entry], digest: str, decision_id: str, *, since_ms: int, redriven: int | None = None
) -> Standing:
    """Where a job stands among the entries of its identity. What was decided before `since_ms` is forgotten.

    `redriven` is for a dead letter driven again, whose claim was found true: the submission that it tells, 0 if none.
    Such a job is always a new submission, above all that is known; only not twice.
    """
    remembered = [entry for entry in newest_first if entry.decided_ms >= since_ms]
    for entry in remembered:
        if entry.decision_id == decision_id:
            return AlreadyDecided(entry.submission)
    last = remembered[0] if remembered else None
    if redriven is not None:
        return Fresh(max(redriven, last.submission if last else 0) + 1)
    if last is None:
        return Fresh(1)
    if last.rejected:
        return Fresh(last.submission + 1)
    return Duplicate(last.submission) if last.digest == digest else Conflict(last.submission)
