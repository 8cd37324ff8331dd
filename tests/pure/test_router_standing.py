"""Where a job stands among what was decided of its identity: time, redrives, and any history."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.fold import Entry, UnreadableDecisions, entries_of
from router.memory import Memory
from router.standing import AlreadyDecided, Conflict, Duplicate, Fresh, standing
from runtime.ports import Record
from schemas import codec

DAY = timedelta(hours=24)
DAY_MS = 86_400_000
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


def entry(submission: int, decided_ms: int, digest: str = "d", rejected: bool = False) -> Entry:
    return Entry("t/a", submission, digest, rejected, f"id-{submission}", decided_ms)


@st.composite
def histories(draw: st.DrawFn) -> list[Entry]:
    """Entries of one identity as a lane makes them, newest first: submissions and times grow."""
    times = sorted(draw(st.lists(st.integers(0, 100), max_size=6)))
    made = [
        entry(n, at, draw(st.sampled_from("de")), rejected=draw(st.booleans())) for n, at in enumerate(times, start=1)
    ]
    return made[::-1]


@given(histories(), st.sampled_from("de"), st.integers(0, 101))
def test_what_is_older_than_the_window_is_as_if_it_had_never_been(
    known: list[Entry], digest: str, since_ms: int
) -> None:
    remembered = [one for one in known if one.decided_ms >= since_ms]
    for redriven in (None, 0, 3):
        told = standing(known, digest, "new", since_ms=since_ms, redriven=redriven)
        assert told == standing(remembered, digest, "new", since_ms=0, redriven=redriven)


@given(histories(), st.sampled_from("de"), st.integers(0, 101))
def test_a_new_record_gives_a_new_submission_only_after_none_or_a_rejected_one(
    known: list[Entry], digest: str, since_ms: int
) -> None:
    remembered = [one for one in known if one.decided_ms >= since_ms]
    told = standing(known, digest, "new", since_ms=since_ms)
    assert isinstance(told, Fresh) == (not remembered or remembered[0].rejected)
    if isinstance(told, Fresh):
        assert told.submission == (remembered[0].submission + 1 if remembered else 1)
    else:
        assert told.submission == remembered[0].submission
        assert isinstance(told, Duplicate) == (remembered[0].digest == digest)
        assert isinstance(told, Duplicate | Conflict)


@given(histories(), st.sampled_from("de"), st.integers(0, 101), st.integers(0, 9))
def test_a_redrive_is_a_submission_above_all_that_is_known_and_only_once(
    known: list[Entry], digest: str, since_ms: int, told: int
) -> None:
    first = standing(known, digest, "letter", since_ms=since_ms, redriven=told)
    assert isinstance(first, Fresh)
    remembered = [one.submission for one in known if one.decided_ms >= since_ms]
    assert first.submission == max([told, *remembered]) + 1
    made = Entry("t/a", first.submission, digest, False, "letter", 200)
    again = standing([made, *known], digest, "letter", since_ms=since_ms, redriven=told)
    assert again == AlreadyDecided(first.submission)
    later = Entry("t/a", first.submission + 1, digest, False, "other", 300)
    assert standing([later, made, *known], digest, "letter", since_ms=since_ms, redriven=told) == again


@given(histories().filter(bool), st.data())
def test_a_redelivery_is_told_from_every_other_record_of_its_identity(known: list[Entry], data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(known))
    for redriven in (None, 0):
        assert standing(known, "z", one.decision_id, since_ms=0, redriven=redriven) == AlreadyDecided(one.submission)


# memory


@given(st.lists(st.integers(0, 3 * DAY_MS), max_size=50), st.integers(0, 100), st.integers(10, 60))
def test_only_what_is_too_old_or_too_many_is_deleted(ages: list[int], more: int, most: int) -> None:
    memory = Memory(most, DAY)
    oldest_first = [NOW_MS - age for age in sorted(ages, reverse=True)]
    held = len(oldest_first) + more
    gone = memory.excess(oldest_first, held, NOW_MS)
    assert 0 <= gone <= len(oldest_first)
    late = [decided_ms for decided_ms in oldest_first[:gone] if decided_ms >= memory.since_ms(NOW_MS)]
    assert not late or held - gone >= most, "within the time, only what is over the number"
    kept = oldest_first[gone:]
    assert not kept or kept[0] >= memory.since_ms(NOW_MS)
    if oldest_first and memory.is_over(held, oldest_first[0], NOW_MS):
        assert gone > 0, "whenever it is time to delete, something is"


@pytest.mark.parametrize(
    ("oldest", "forgotten", "since", "bound"),
    [
        (None, 0, None, "all since the beginning"),
        (NOW_MS - 5, 0, NOW - timedelta(milliseconds=5), "all since the beginning"),
        (NOW_MS - DAY_MS - 1, 0, NOW - DAY, "24 h"),
        (NOW_MS - 5, NOW_MS - DAY_MS - 1, NOW - timedelta(milliseconds=5), "24 h"),
        (NOW_MS - 5, NOW_MS - 6, NOW - timedelta(milliseconds=5), "1000 ids"),
    ],
)
def test_the_bound_that_holds_is_the_one_that_forgot_last(
    oldest: int | None, forgotten: int, since: datetime | None, bound: str
) -> None:
    told = Memory(1000, DAY).reach(oldest, forgotten, NOW)
    assert told == {"since": since.isoformat() if since else None, "bound": bound}


def test_hours_are_told_as_they_were_set() -> None:
    assert Memory(1000, timedelta(hours=0.5)).reach(None, 1, NOW)["bound"] == "0.5 h"


# decisions as entries


def decided(**more: object) -> Record:
    one = {"tenant": "t", "job_id": "a", "submission": 1, "digest": "d", "verdict": "assigned", "decision_id": "i"}
    return Record("d", 0, 0, None, codec.encode({"lane": "l", "decisions": [{**one, **more}]}), (), 77)


def test_an_entry_is_as_old_as_its_decision_and_without_a_time_as_its_record() -> None:
    (told,) = entries_of(decided(decided_at="2026-11-22T12:00:00.250Z"))
    (silent,) = entries_of(decided())
    assert (told.decided_ms, silent.decided_ms) == (NOW_MS + 250, 77)


def test_a_decision_with_a_time_that_is_none_stops_the_fold() -> None:
    with pytest.raises(UnreadableDecisions):
        entries_of(decided(decided_at="yesterday"))
