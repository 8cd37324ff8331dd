"""Queues behind a key, against a naive model: for each key, the offsets that have not ended."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runtime.ordering import Backlog, Queues

MOST, MOST_BYTES = 6, 500


class QueuesMachine(RuleBasedStateMachine):
    """Two lanes share a backlog: records enter in their order, those under way end in any order, lanes begin anew."""

    @initialize()
    def open(self) -> None:
        self.backlog = Backlog(MOST, MOST_BYTES)
        self.lanes: list[Queues[int]] = [Queues(self.backlog), Queues(self.backlog)]
        self.left: list[dict[str, list[int]]] = [{}, {}]
        self.sizes: dict[int, int] = {}
        self.next = 0

    @rule(lane=st.integers(0, 1), key=st.sampled_from("abc"), size=st.integers(0, 200))
    def enter(self, lane: int, key: str, size: int) -> None:
        offset = self.next = self.next + 1
        self.sizes[offset] = size
        before = self.left[lane].setdefault(key, [])
        assert self.lanes[lane].enter(key, offset, offset, size) is (not before)
        before.append(offset)

    @precondition(lambda self: any(self.left[0].values()) or any(self.left[1].values()))
    @rule(data=st.data())
    def the_one_under_way_ends_and_the_next_is_the_one_behind_it(self, data: st.DataObject) -> None:
        found = [(lane, key) for lane in (0, 1) for key, left in self.left[lane].items() if left]
        lane, key = data.draw(st.sampled_from(found))
        offset, *behind = self.left[lane][key]
        assert self.lanes[lane].leave(key, offset) == (behind[0] if behind else None)
        self.left[lane][key] = behind

    @rule(lane=st.integers(0, 1), key=st.sampled_from("abc"), offset=st.integers(0, 40))
    def what_is_not_under_way_moves_nobody(self, lane: int, key: str, offset: int) -> None:
        if offset not in self.left[lane].get(key, [])[:1]:
            assert self.lanes[lane].leave(key, offset) is None

    @rule(lane=st.integers(0, 1))
    def rebuild_and_read_again(self, lane: int) -> None:
        """What was under way goes on, what waited is read again; in the order of the offsets."""
        self.lanes[lane].clear()
        assert self.lanes[lane].waiting == 0
        self.lanes[lane] = Queues(self.backlog)
        again = sorted((offset, key) for key, left in self.left[lane].items() for offset in left)
        for offset, key in again:
            if offset == self.left[lane][key][0]:
                self.lanes[lane].resume(key, offset)
            else:
                assert not self.lanes[lane].enter(key, offset, offset, self.sizes[offset])

    @invariant()
    def the_backlog_is_what_waits(self) -> None:
        if not hasattr(self, "lanes"):
            return
        behind = [[offset for left in lane.values() for offset in left[1:]] for lane in self.left]
        both = behind[0] + behind[1]
        assert [queues.waiting for queues in self.lanes] == [len(one) for one in behind]
        assert (self.backlog.waiting, self.backlog.waiting_bytes) == (len(both), sum(self.sizes[n] for n in both))
        full = len(both) >= MOST or sum(self.sizes[n] for n in both) >= MOST_BYTES
        assert [queues.full for queues in self.lanes] == [full and bool(one) for one in behind]


TestQueues = QueuesMachine.TestCase
TestQueues.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_an_offset_that_comes_after_a_higher_one_of_its_key_is_refused():
    queues: Queues[str] = Queues(Backlog(10, 10))
    queues.enter("a", 5, "five", 1)
    queues.enter("a", 8, "eight", 1)

    with pytest.raises(ValueError, match="offset 7 came after 8"):
        queues.enter("a", 7, "seven", 1)


def test_a_lane_in_which_nothing_waits_reads_on_however_full_the_others_make_the_backlog():
    backlog = Backlog(1, 1_000)
    busy: Queues[str] = Queues(backlog)
    idle: Queues[str] = Queues(backlog)
    for offset in range(5):
        busy.enter("hot", offset, "", 1)

    assert busy.full
    assert not idle.full
