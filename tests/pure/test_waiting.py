"""Whose turn it is: class by class, with a floor for the lowest, and a bounded number of places."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.waiting import FLOOR, PRIORITIES, Queues, Ration, Turns, has_place

CLASSES = st.sampled_from(PRIORITIES)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=200))
def test_a_batch_waiter_that_could_start_is_served_by_the_tenth_grant_whoever_comes_before(others):
    """Whatever has gone before, from the moment on at which it could start."""
    turns = Turns()
    for interactive, normal in others:
        turns.next([interactive, normal, not (interactive or normal)])

    served = [turns.next([True, True, True]) for _ in range(FLOOR)]

    assert 2 in served


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=FLOOR, max_size=200))
def test_of_every_ten_grants_that_a_batch_waiter_could_have_had_one_is_its_own(others):
    turns = Turns()
    served = [turns.next([interactive, normal, True]) for interactive, normal in others]

    for start in range(len(served) - FLOOR + 1):
        assert 2 in served[start : start + FLOOR]


@given(st.lists(st.booleans(), min_size=FLOOR + 1, max_size=200))
def test_a_normal_waiter_that_could_start_is_served_by_the_eleventh(batch_waits):
    turns = Turns()
    served = [turns.next([True, True, batch]) for batch in batch_waits]

    for start in range(len(served) - FLOOR):
        assert 1 in served[start : start + FLOOR + 1]


def test_the_highest_class_has_eight_of_ten_when_all_three_always_wait():
    turns = Turns()
    served = Counter(turns.next([True, True, True]) for _ in range(1_000))

    assert served[0] == pytest.approx(800, abs=20)
    assert served[1] == pytest.approx(100, abs=10)
    assert served[2] == pytest.approx(100, abs=10)


def taken(arrivals, places: int) -> Counter[str]:
    """How many of each class wait after these arrivals, each of a key of its own."""
    waiting: Counter[str] = Counter()
    for name in arrivals:
        counts = [waiting[one] for one in PRIORITIES]
        if has_place(name, counts, of_key=0, places=places):
            waiting[name] += 1
    return waiting


def test_batch_has_half_of_the_places_batch_and_normal_three_quarters_and_a_tenth_is_kept_for_each():
    assert taken(["batch"] * 100, 20) == {"batch": 10}
    assert taken(["normal"] * 100, 20) == {"normal": 15 - 2}
    assert taken(["interactive"] * 100, 20) == {"interactive": 20 - 2 - 2}
    assert taken(["interactive", "normal", "batch"] * 100, 20) == {"interactive": 7, "normal": 7, "batch": 6}


@given(st.lists(CLASSES, max_size=300), st.integers(0, 100))
def test_the_places_are_never_exceeded_and_a_lower_class_always_finds_its_tenth(arrivals, places):
    waiting = taken(arrivals, places)

    assert waiting.total() <= places
    for name in ("normal", "batch"):
        if waiting[name] < places // 10:
            assert has_place(name, [waiting[one] for one in PRIORITIES], of_key=0, places=places)


def test_one_key_has_at_most_half_of_the_places():
    assert has_place("interactive", [4, 0, 0], of_key=4, places=10)
    assert not has_place("interactive", [5, 0, 0], of_key=5, places=10)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), CLASSES, st.booleans()), max_size=100),
    st.sets(st.sampled_from("abc")),
)
def test_within_a_class_who_came_first_among_those_that_could_start_is_served_first(arrivals, closed):
    queues: Queues[str, int] = Queues()
    for number, (key, name, leaves) in enumerate(arrivals):
        place = queues.add(key, name, number)
        if leaves:
            queues.remove(key, place)
            queues.remove(key, place)
    stays = [(number, *one[:2]) for number, one in enumerate(arrivals) if not one[2]]

    served = []
    while (found := queues.next(lambda key: key not in closed)) is not None:
        served.append(found[1])

    for name in PRIORITIES:
        assert [number for number in served if arrivals[number][1] == name] == [
            number for number, key, own in stays if own == name and key not in closed
        ]
    assert {key: queues.waiting(key) for key in queues.keys()} == Counter(  # noqa: SIM118 - no mapping
        key for _, key, _ in stays if key in closed
    )
    assert sum(queues.by_class) == sum(key in closed for _, key, _ in stays)


def test_finding_the_next_does_not_look_at_everybody_who_waits():
    """Ten thousand of one key, whose queue is asked for its head alone."""
    queues: Queues[str, int] = Queues()
    for number in range(10_000):
        queues.add("a", "normal", number)
    asked = 0

    def could_start(key: str) -> bool:
        nonlocal asked
        asked += 1
        return True

    assert [queues.next(could_start) for _ in range(3)] == [("a", 0), ("a", 1), ("a", 2)]
    assert asked == 3


def test_a_ration_is_so_many_at_once_and_then_so_many_a_second():
    ration = Ration(10)
    assert [ration.take(100.0) for _ in range(11)] == [True] * 10 + [False]
    assert [ration.take(100.2) for _ in range(3)] == [True, True, False]
