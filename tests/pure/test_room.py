"""The waiting room, one claim at a time: order, classes, sleepers, places, deadlines."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import NOON, RECORD, S, job, room_of, served, turns

from router.room import Waiter, WaitingRoom
from runtime.ports import Delivery
from runtime.waiting import FLOOR, PRIORITIES

# order


def test_within_a_tenant_and_class_who_came_first_is_first():
    assert served(room_of(*(job(str(n)) for n in range(50)))) == [str(n) for n in range(50)]


def test_an_empty_room_has_no_next_and_nothing_to_wake_for():
    room = WaitingRoom()
    assert (room.next(NOON), room.wakes_at(NOON), room.expired(NOON), len(room)) == (None, None, [], 0)


def test_a_tenant_that_may_not_begin_keeps_nobody_else_back():
    room = room_of(*(job(f"a{n}", "a") for n in range(100)), *(job(f"b{n}", "b") for n in range(3)))

    assert served(room, may=lambda one: one.tenant != "a") == ["b0", "b1", "b2"]
    assert len(room) == 100


def test_a_queue_that_is_full_keeps_back_only_who_goes_there():
    room = room_of(*(job(f"i{n}", queue="image") for n in range(9)), job("t0", queue="text"), job("t1", queue="text"))

    assert served(room, may=lambda one: one.queue != "image") == ["t0", "t1"]


def test_the_floor_of_the_lower_classes_holds_and_the_rest_is_the_highest_ones():
    room = room_of(*(job(f"{p}{n}", p, p) for p in PRIORITIES for n in range(300)))
    first = [name.rstrip("0123456789") for name in (room.next(NOON).identity for _ in range(300))]  # type: ignore[union-attr]

    for start in range(300 - FLOOR):
        assert {"batch", "normal"} <= set(first[start : start + FLOOR + 1])
    assert Counter(first)["interactive"] >= 300 * 0.79


def test_jobs_of_one_key_begin_in_their_order_whatever_their_priorities():
    room = room_of(
        job("1", priority="batch", ordering_key="k"), job("2", priority="interactive", ordering_key="k"),
        job("3", priority="normal", ordering_key="k"), job("free", priority="interactive"),
        job("other", "b", "interactive", ordering_key="k"),
    )  # fmt: skip
    order = served(room)

    assert [name for name in order if name in "123"] == ["1", "2", "3"]
    assert order[:2] == ["free", "other"]


def test_who_is_put_back_keeps_its_place_and_its_key():
    room = room_of(job("1", ordering_key="k"), job("2", ordering_key="k"), job("3"))
    first = room.next(NOON)
    assert first is not None
    room.put_back(first)

    assert served(room) == ["1", "2", "3"]


def test_who_is_put_back_late_still_begins_before_those_of_its_key_that_have_not():
    room = room_of(*(job(str(n), ordering_key="k") for n in range(4)))
    first, second = room.next(NOON), room.next(NOON)
    assert first is not None
    assert second is not None
    room.put_back(second)

    assert served(room) == ["1", "2", "3"]


def test_who_is_put_back_after_the_next_of_its_key_stood_up_is_before_it_again():
    room = room_of(job("1", priority="batch", ordering_key="k"), job("2", priority="interactive", ordering_key="k"))
    first = room.next(NOON)
    assert first is not None
    room.expired(NOON)  # who follows stands where it stood
    room.put_back(replace(first, not_before=NOON + S))

    assert served(room) == []
    assert served(room, NOON + S) == ["1", "2"]


def test_a_turn_that_came_to_nothing_is_still_the_tenants_own():
    room = room_of(*(job(f"{tenant}{n}", tenant) for n in range(100) for tenant in "ab"))
    for _ in range(20):
        taken = room.next(NOON)
        assert taken is not None
        assert taken.identity == "a0"
        room.put_back(taken)


def test_a_key_goes_on_when_its_first_is_cancelled_or_late():
    first, second = job("1", ordering_key="k"), job("2", ordering_key="k", deadline=NOON + S)
    room = room_of(first, second, job("3", ordering_key="k"))
    assert room.remove(first)
    assert not room.remove(first)
    assert [one.identity for one in room.expired(NOON + S)] == ["2"]

    assert served(room) == ["3"]


# waits


def test_who_may_not_begin_before_an_instant_is_not_asked_until_then():
    asked: list[str] = []

    def may(waiter: Waiter) -> bool:
        asked.append(waiter.identity)
        return True

    room = room_of(*(job(f"a{n}", "a", not_before=NOON + 60 * S) for n in range(100)), job("b", "b"))

    assert served(room, may=may) == ["b"]
    assert set(asked) == {"b"}
    assert room.wakes_at(NOON) == NOON + 60 * S
    assert served(room, NOON + 59 * S) == []
    assert served(room, NOON + 60 * S) == [f"a{n}" for n in range(100)]
    assert room.wakes_at(NOON) is None


def test_who_needs_money_is_asked_again_when_a_reservation_of_its_tenant_ends():
    room = room_of(job("a", "a", needs_settle=True), job("b", "b", needs_settle=True, not_before=NOON + S))
    assert served(room) == []
    room.enter(job("a2", "a"))
    assert served(room) == [], "it came later"
    room.settled("c")
    assert served(room) == []
    room.settled("a")
    room.enter(job("a3", "a"))

    assert served(room) == ["a", "a2", "a3"]
    assert served(room, NOON + S) == ["b"], "its time has come"


def test_who_is_put_back_to_wait_for_longer_sleeps_until_then_before_those_behind_it():
    room = room_of(job("1", not_before=NOON + S), job("2"))
    for at in (1, 2, 3):
        waiter = room.next(NOON + at * S)
        assert waiter is not None
        assert waiter.identity == "1"
        room.put_back(replace(waiter, not_before=NOON + (at + 1) * S))
        assert room.next(NOON + at * S) is None
        assert room.wakes_at(NOON + at * S) == NOON + (at + 1) * S

    assert served(room, NOON + 4 * S) == ["1", "2"]


def test_each_is_expired_at_its_deadline_and_once():
    room = room_of(*(job(str(n), deadline=NOON + n * S) for n in (5, 1, 3)))
    assert room.wakes_at(NOON) == NOON + S

    assert [one.identity for one in room.expired(NOON + 3 * S)] == ["1", "3"]
    assert room.expired(NOON + 3 * S) == []
    assert served(room) == ["5"]
    assert room.expired(NOON + 600 * S) == []


def test_who_is_so_far_behind_that_the_lane_would_stop_is_taken_out_the_lowest_first():
    waiters = [
        replace(job(str(n), needs_settle=n in (2, 3)), delivery=Delivery(replace(RECORD, offset=n * 10), NOON))
        for n in (1, 2, 3, 4)
    ]
    room = room_of(*waiters)
    assert room.overtaken(30) == [], "the lowest has its turn, and the lane goes on then"
    assert room.next(NOON) is waiters[0]

    assert room.overtaken(19) == []
    assert room.overtaken(30) == waiters[1:3]
    assert room.overtaken(30) == []
    assert served(room) == ["4"]


def test_money_that_came_while_another_stood_before_it_was_its_news_as_well():
    """It was asked, and then one of a key that came earlier stood before it: it does not wait for a second end."""
    room = room_of(job("k0", priority="interactive", ordering_key="k"), job("k1", ordering_key="k"), job("b"))
    assert room.next(NOON, lambda one: one.identity == "b") is not None
    room.put_back(job("b", needs_settle=True))
    k0, k1 = room.next(NOON), room.next(NOON)
    assert k0 is not None
    assert k1 is not None
    assert (k0.identity, k1.identity) == ("k0", "k1")
    room.put_back(replace(k1, needs_settle=True))

    room.settled("acme")

    assert served(room) == ["k1", "b"]


# who is here


def test_who_waits_is_known_by_identity_and_counted():
    room = room_of(job("a/1", "a", "batch"), job("a/2", "a"), job("b/1", "b"))
    found = room.waiting("a/1")

    assert found is not None
    assert found.priority == "batch"
    assert room.waiting("a/3") is None
    assert [one.identity for one in room] == ["a/1", "a/2", "b/1"]
    assert room.describe() == {
        "jobs": 3, "tenants": 2, "most_of_one": 2, "interactive": 0, "normal": 2, "batch": 1,
    }  # fmt: skip
    room.next(NOON)
    assert len(room) == 2


# anything that may happen

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "enter", "enter", "next", "back", "remove", "settled", "later"]),
        st.sampled_from("abc"),
        st.sampled_from(PRIORITIES),
        st.sampled_from([None, None, "k", "l"]),
        st.integers(0, 5),
        st.sampled_from(["", "image"]),
    ),
    max_size=120,
)


class Story:
    """A room, and beside it a plain list of who is here. One tenant's images may not begin."""

    def __init__(self) -> None:
        self.room, self.now, self.last = WaitingRoom(), NOON, None
        self.here: dict[str, Waiter] = {}
        self.began: list[Waiter] = []

    @staticmethod
    def may(waiter: Waiter) -> bool:
        return (waiter.tenant, waiter.queue) != ("c", "image")

    def enter(self, number: int, tenant: str, priority: Any, key: str | None, wait: int, queue: str) -> None:
        waiter = job(
            str(number), tenant, priority, ordering_key=key, not_before=NOON + wait * S if wait > 2 else None,
            needs_settle=wait == 5, deadline=NOON + (wait + 1) * 10 * S, cost_nanousd=wait * 70_000, queue=queue,
        )  # fmt: skip
        self.room.enter(waiter)
        self.here[waiter.identity] = waiter

    def next(self, *_: object) -> None:
        self.last = taken = self.room.next(self.now, self.may)
        if taken is None:
            free = [one for one in self.here.values() if self.may(one) and one.not_before is None]
            assert not [one for one in free if is_first(one, self.here)], "somebody could have begun"
            return
        del self.here[taken.identity]
        self.began.append(taken)
        assert self.may(taken)
        assert taken.needs_settle or taken.not_before is None or taken.not_before <= self.now

    def back(self, *_: object) -> None:
        if self.last is not None:
            self.room.put_back(self.last)
            self.here[self.last.identity] = self.began.pop()
            self.last = None

    def remove(self, number: int, *_: object) -> None:
        if self.here:
            assert self.room.remove(self.here.pop(sorted(self.here)[number % len(self.here)]))

    def settled(self, number: int, tenant: str, *_: object) -> None:
        self.room.settled(tenant)

    def later(self, number: int, *_: object) -> None:
        self.now += number % 7 * S
        for late in self.room.expired(self.now):
            assert self.here.pop(late.identity).deadline <= self.now


@settings(deadline=None, max_examples=200)
@given(STEPS)
def test_whatever_happens_each_begins_once_none_early_and_keys_keep_their_order(steps):
    story = Story()
    for number, (what, *rest) in enumerate(steps):
        getattr(story, what)(number, *rest)
        assert sorted(one.identity for one in story.room) == sorted(story.here)
    rest = list(turns(story.room, NOON + 10_000 * S, lambda one: True))
    began = story.began + rest

    assert sorted(one.identity for one in rest) == sorted(story.here), "nobody is forgotten"
    of_key: dict[tuple[str, str], list[int]] = {}
    of_flow: dict[tuple[str, str, str], list[int]] = {}
    for one in began:
        if one.ordering_key is not None:
            of_key.setdefault((one.tenant, one.ordering_key), []).append(int(one.identity))
        else:
            of_flow.setdefault((one.tenant, one.priority, one.queue), []).append(int(one.identity))
    for numbers in [*of_key.values(), *of_flow.values()]:
        assert numbers == sorted(numbers)


def is_first(waiter: Waiter, here: dict[str, Waiter]) -> bool:
    """Nobody came before it in its flow or of its key."""
    same = [
        one
        for one in here.values()
        if one.tenant == waiter.tenant
        and (
            (one.priority, one.queue) == (waiter.priority, waiter.queue)
            or (one.ordering_key is not None and one.ordering_key == waiter.ordering_key)
        )
    ]
    return all(int(one.identity) >= int(waiter.identity) for one in same)


@pytest.mark.parametrize("tenants", [1, 500])
def test_finding_the_next_asks_few_however_many_wait(tenants: int):
    room = room_of(*(job(str(n), str(n % tenants)) for n in range(10_000)))
    asked = Counter[str]()

    def may(waiter: Waiter) -> bool:
        asked[waiter.tenant] += 1
        return True

    for _ in range(1_000):
        assert room.next(NOON, may) is not None
    assert asked.total() <= 3_000
