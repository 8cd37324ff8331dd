"""Which jobs a wish to cancel is for: by identity, and by when the job was published."""

from datetime import UTC, datetime, timedelta

import pytest

from runtime.cancels import Cancels
from runtime.ports import Lease, Record
from schemas.control import ControlEvent
from schemas.topics import CONTROL

JOB = ("acme", "a/1", 1)
AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = timedelta(hours=24)


def wish(by: str = "mira", at: datetime = AT, submission: int = 1) -> Record:
    event = ControlEvent(action="cancel", tenant=JOB[0], job_id=JOB[1], submission=submission, at=at, by=by)
    return Record(CONTROL.name, 0, 0, b"acme/a/1", event.encode(), (), 0)


@pytest.mark.parametrize("after", [timedelta(days=-30), timedelta(0), timedelta(hours=23), DAY])
def test_a_wish_counts_for_a_job_published_before_it_or_within_the_window_after_it(after: timedelta) -> None:
    cancels = Cancels(DAY)
    cancels.fold(wish())

    assert cancels.of(JOB, AT + after) is not None


def test_an_id_that_is_used_again_after_the_window_is_another_job() -> None:
    cancels = Cancels(DAY)
    cancels.fold(wish("long-ago"))
    later = AT + DAY + timedelta(milliseconds=1)

    assert cancels.of(JOB, later) is None

    cancels.fold(wish("of-this-one", at=later + timedelta(minutes=1)))
    found = cancels.of(JOB, later)
    assert found is not None
    assert found.by == "of-this-one"


def test_another_submission_is_not_cancelled() -> None:
    cancels = Cancels(DAY)
    cancels.fold(wish(submission=2))

    assert cancels.of(JOB, AT) is None


def test_a_wish_interrupts_who_holds_the_job_and_nobody_else() -> None:
    cancels, here, elsewhere, done = Cancels(DAY), Lease(), Lease(), Lease()
    cancels.hold(JOB, here, AT)
    cancels.hold(("acme", "b", 1), elsewhere, AT)
    cancels.hold(JOB, done, AT)
    cancels.release(done)

    cancels.fold(wish())

    assert (here.interrupted, elsewhere.interrupted, done.interrupted) == (True, False, False)


def test_a_wish_that_does_not_count_interrupts_nobody_and_does_not_stand_before_one_that_does() -> None:
    """It is folded again when the topic is read anew, while another job of that id is called."""
    cancels, later_job = Cancels(DAY), Lease()
    cancels.hold(JOB, later_job, AT + DAY + timedelta(hours=1))
    cancels.fold(wish())
    assert not later_job.interrupted

    cancels.fold(wish("of-this-one", at=AT + timedelta(hours=2)))
    cancels.fold(wish())
    assert later_job.interrupted
    found = cancels.of(JOB, AT + DAY + timedelta(hours=1))
    assert found is not None
    assert found.by == "of-this-one"


def test_whoever_forgot_its_lease_is_forgotten_and_the_others_are_still_told() -> None:
    cancels, kept = Cancels(DAY), Lease()
    cancels.hold(JOB, kept, AT)
    for number in range(5_000):
        cancels.hold(("acme", f"gone-{number}", 1), Lease(), AT)

    cancels.fold(wish())

    assert kept.interrupted
    assert len(cancels._by) < 2_000
