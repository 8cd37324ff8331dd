"""How much work stands in the workers' queues: enough, not more, and back again."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.fair_pipeline import Workers, jobs, played
from router.ahead import FORGOTTEN_AFTER_S, LEAST, START, Ahead, start_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
S = timedelta(seconds=1)


def filled(ahead: Ahead, now: datetime, name: str = "j") -> list[str]:
    """As many as may be assigned, by identity."""
    names: list[str] = []
    while ahead.may(now):
        names.append(f"{name}{len(names)}")
        ahead.assigned(names[-1], now)
    return names


def a_round(ahead: Ahead, now: datetime, waited_ms: int, took: timedelta, name: str) -> datetime:
    """All that may be assigned end after `took`, each having waited so long."""
    names = filled(ahead, now, name)
    for identity in names:
        ahead.ended(identity, waited_ms, now + took)
    return now + took


def test_so_many_are_assigned_at_first_and_no_more_until_one_ends():
    ahead = Ahead()
    names = filled(ahead, NOON)

    assert len(names) == START == ahead.describe()["under_way"]
    ahead.ended(names[0], 10, NOON)
    assert ahead.free(NOON) == 1


def test_the_limit_doubles_while_nobody_waits_and_comes_to_its_most():
    ahead, now, limits = Ahead(most=1_000), NOON, []
    for number in range(6):
        now = a_round(ahead, now, 20, S, str(number))
        limits.append(ahead.limit)

    assert limits == [128, 256, 512, 1_000, 1_000, 1_000]


def test_a_round_is_one_time_under_way_even_if_others_were_under_way_when_it_began():
    """60 that were assigned under the limit of 64 stand beside the 68 for which the new one has room: these are all."""
    ahead = Ahead()
    first = filled(ahead, NOON, "a")
    for identity in first[:60]:
        ahead.ended(identity, 20, NOON + S)
    before = filled(ahead, NOON + S, "b")
    for identity in first[60:]:
        ahead.ended(identity, 20, NOON + S)
    assert (len(before), ahead.limit) == (60, 128)
    after = filled(ahead, NOON + S, "c")
    for identity in before:
        ahead.ended(identity, 20, NOON + 2 * S)
    filled(ahead, NOON + 2 * S, "d")
    assert (len(after), ahead.limit) == (68, 128)
    for identity in after:
        ahead.ended(identity, 20, NOON + 2 * S)

    assert ahead.limit == 256


@pytest.mark.parametrize(("window", "lanes", "start"), [(64, 6, START), (1_000, 6, 166), (1_000, 1, 1_000)])
def test_all_lanes_together_begin_with_a_workers_window(window: int, lanes: int, start: int):
    assert start_of(window, lanes) == start


def test_the_limit_shrinks_to_what_the_wait_says():
    """64 under way, each 7 s in the queue and 1 s in a call: 8 a second. A wait of 1 s needs 16 of them."""
    ahead = Ahead()
    a_round(ahead, NOON, 7_000, 8 * S, "j")

    assert ahead.limit == pytest.approx(64 * (1 + 1) / (min(7, 2 * (1 + 1)) + 1), abs=1), "a third of the way at a time"
    for number in range(5):
        waited = max(0.0, ahead.limit / 8 - 1)
        a_round(ahead, NOON, round(waited * 1_000), (waited + 1) * S, str(number))
    assert ahead.limit == pytest.approx(16, abs=4)


def test_it_does_not_shrink_below_its_least():
    ahead, now = Ahead(), NOON
    for number in range(10):
        now = a_round(ahead, now, 100_000 - 20_000 * number, 100 * S, str(number))
        assert ahead.limit >= LEAST


def test_what_was_not_the_limits_doing_does_not_raise_it():
    ahead = Ahead()
    for number in range(1_000):
        ahead.may(NOON)
        ahead.assigned(str(number), NOON)
        ahead.ended(str(number), 5, NOON + S)

    assert ahead.limit == START


def test_one_model_that_is_ill_does_not_shrink_it_for_the_others():
    ahead, now = Ahead(most=1_000), NOON
    for step in range(8):
        names = filled(ahead, now, f"{step}.")
        for index, identity in enumerate(names):
            ahead.ended(identity, 300_000 if index % 10 == 0 else 50, now + S)
        now += S

    assert ahead.limit > START


@pytest.mark.parametrize("hop_s", [1.1, 1.5, 3.0])
def test_a_slow_broker_is_no_queue_and_does_not_starve_the_workers(hop_s: float):
    """Each assignment is so long on its way, however little is under way."""
    workers = Workers(64, 0.2, hop_s=hop_s, spread=0.5)
    stories = played([(0.0, jobs("a", 4_000))], workers, ahead := Ahead())

    assert len(stories) == 4_000
    assert ahead.limit >= workers.rate * hop_s


def test_who_was_never_called_tells_of_no_queue_and_makes_room():
    ahead = Ahead()
    for identity in filled(ahead, NOON):
        ahead.ended(identity, None, NOON)

    assert (ahead.limit, len(ahead)) == (START, 0)


def test_who_has_not_ended_for_a_minute_is_in_nobodys_way():
    ahead = Ahead()
    lost = filled(ahead, NOON)

    assert not ahead.may(NOON + (FORGOTTEN_AFTER_S - 1) * S)
    assert ahead.free(NOON + (FORGOTTEN_AFTER_S + 1) * S) == START
    for identity in lost:
        ahead.ended(identity, 70_000, NOON + 90 * S)
    assert ahead.forgotten_after > 300 * S, "jobs take long here: those after them count for longer"


@pytest.mark.parametrize("step_s", [-3_600, -1.5, -0.1])
def test_a_clock_that_is_set_back_makes_nobody_count_for_longer(step_s: float):
    ahead = Ahead()
    filled(ahead, NOON)
    back = NOON + step_s * S
    ahead.may(back)

    assert ahead.free(back + (FORGOTTEN_AFTER_S + 2) * S) == START


def test_who_is_assigned_twice_counts_once():
    ahead = Ahead()
    ahead.assigned("a", NOON)
    ahead.assigned("a", NOON + S)
    ahead.ended("unknown", 7, NOON)

    assert len(ahead) == 1
    ahead.ended("a", 5, NOON + S)
    ahead.ended("a", 5, NOON + S)
    assert ahead.free(NOON) == START


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 400), st.one_of(st.none(), st.integers(0, 10**7)), st.integers(-5, 99)),
        max_size=150,
    ),
    st.integers(1, 500),
)
def test_whatever_is_told_the_limit_stays_between_its_least_and_its_most(steps, most: int):
    ahead, now = Ahead(most=most), NOON
    for begins, number, waited_ms, seconds in steps:
        now += seconds * S
        if begins:
            for one in range(number):
                if ahead.may(now):
                    ahead.assigned(f"{number}.{one}", now)
        else:
            for one in range(number):
                ahead.ended(f"{number}.{one}", waited_ms, now)
        assert min(LEAST, most) <= ahead.limit <= most
        assert 0 <= ahead.free(now) <= ahead.limit


@pytest.mark.parametrize("workers", [Workers(64, 0.2, spread=0.5), Workers(16, 1.0, spread=0.9), Workers(4, 5.0)])
def test_the_workers_are_kept_busy_and_the_queue_comes_to_what_is_wanted(workers: Workers):
    count = int(workers.rate * max(20, 120 * workers.call_s))
    stories = list(played([(0.0, jobs("a", count))], workers, Ahead()).values())

    assert stories[-1].called <= count / workers.rate * 1.05, "the ideal, and the time to learn"
    late = [story.called - story.assigned for story in stories[-count // 4 :]]
    queue_at_least = LEAST / workers.rate
    assert sum(late) / len(late) <= 2.0 + queue_at_least
    assert Counter(story.waiter.tenant for story in stories)["a"] == count
