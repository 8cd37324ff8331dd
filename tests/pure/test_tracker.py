"""The tracker against a naive model: sets of what was received and what is finished."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runtime.progress import WINDOW, Progress, decode, encode
from runtime.tracker import Tracker


class TrackerMachine(RuleBasedStateMachine):
    """Receives records with gaps, finishes them in any order, and reopens from what was committed."""

    @initialize(base=st.integers(0, 50), finished=st.sets(st.integers(1, 30)))
    def open(self, base: int, finished: set[int]) -> None:
        self.done = {base + ahead for ahead in finished}
        self.tracker = Tracker(base, self.done)
        self.base = base
        self.next = base
        self.opened: set[int] = set()
        self.received: set[int] = set()
        self.committed = base

    @rule(gap=st.integers(0, 5))
    def receive_the_next_record_behind_a_gap(self, gap: int) -> None:
        offset = self.next + gap
        self.next = offset + 1
        self.received.add(offset)

        assert self.tracker.admit(offset) is (offset not in self.done)
        if offset not in self.done:
            self.opened.add(offset)

    @precondition(lambda self: self.received)
    @rule(data=st.data())
    def receive_a_record_once_more(self, data: st.DataObject) -> None:
        assert self.tracker.admit(data.draw(st.sampled_from(sorted(self.received)))) is False

    @precondition(lambda self: self.opened)
    @rule(data=st.data())
    def finish_an_open_record(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.opened)))
        self.tracker.finish(offset)
        self.opened.remove(offset)
        self.done.add(offset)

    @rule()
    def reopen_from_what_was_committed(self) -> None:
        base = self.tracker.committable()
        told = decode(base, encode(base, Progress(finished=self.tracker.finished)))
        self.tracker = Tracker(base, told.finished)
        self.next, self.opened, self.received = base, set(), set()

    @invariant()
    def agrees_with_the_model(self) -> None:
        if not hasattr(self, "tracker"):
            return
        committable = self.tracker.committable()
        assert committable == min(self.opened, default=max(self.base, self.next, self.committed))
        assert committable >= self.committed, "never backwards"
        assert self.tracker.finished == {offset for offset in self.done if offset >= committable}
        assert self.tracker.open == len(self.opened)
        assert all(self.tracker.is_open(offset) for offset in self.opened)
        assert self.tracker.received == self.next
        assert self.tracker.ahead == self.next - committable
        self.committed = committable


TestTracker = TrackerMachine.TestCase
TestTracker.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_slow_record_holds_the_commit_back_but_not_its_neighbours():
    """Offsets 5 and 7 are finished and 6 is open: the group may commit 6, no further."""
    tracker = Tracker(5)
    for offset in (5, 6, 7):
        tracker.admit(offset)

    tracker.finish(7)
    tracker.finish(5)

    assert tracker.committable() == 6
    assert tracker.finished == {7}


def test_a_record_that_was_finished_before_is_not_worked_on_again():
    tracker = Tracker(5, {7})

    assert [tracker.admit(offset) for offset in (5, 6, 7, 8)] == [True, True, False, True]


def test_a_finished_record_that_the_log_has_lost_is_forgotten_once_the_commit_is_past_it():
    tracker = Tracker(5, {7})

    tracker.admit(9)

    assert (tracker.committable(), tracker.finished) == (9, frozenset())


def test_the_window_is_full_when_the_lowest_open_record_is_too_far_behind_and_free_when_it_is_done():
    tracker = Tracker(0)
    tracker.admit(0)
    tracker.admit(WINDOW - 2)
    assert not tracker.full

    tracker.admit(WINDOW - 1)
    assert tracker.full

    tracker.finish(0)
    assert not tracker.full


def test_only_an_open_record_can_be_finished():
    tracker = Tracker(0)
    tracker.admit(0)
    tracker.finish(0)

    with pytest.raises(KeyError):
        tracker.finish(0)


def test_a_log_that_runs_backwards_is_refused():
    tracker = Tracker(0)
    tracker.admit(0)
    tracker.admit(5)

    with pytest.raises(ValueError, match="offset 3 came after 5"):
        tracker.admit(3)


def test_what_was_handed_out_without_a_record_is_committed_past_once_nothing_is_open():
    """Offsets 2 to 5 are markers behind the open record 1."""
    tracker = Tracker(0)
    tracker.admit(0)
    tracker.admit(1)
    tracker.finish(0)

    tracker.reach(6)
    assert tracker.committable() == 1

    tracker.finish(1)
    assert tracker.committable() == 6
    assert tracker.finished == frozenset()

    tracker.reach(3)
    assert tracker.committable() == 6, "never back"
    assert tracker.admit(6)
