"""The rolling window: which shares of failed and of slow calls open a breaker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.rules import LEAST_CALLS, WITHIN_S, Window, WindowRule


def told(window: Window, *calls: bool, apart_s: float = 1.0, took_s: float = 0.1) -> list[str | None]:
    """`True` is a failed call."""
    return [window.ended(n * apart_s, failed=failed, took_s=took_s) for n, failed in enumerate(calls)]


def test_half_of_the_last_calls_open_it_though_no_two_fail_in_a_row():
    answers = told(Window(WindowRule(50, 0.5)), *[False, True] * 15)

    assert answers[:19] == [None] * 19
    assert answers[19] == "10 of the last 20 calls failed"


def test_a_share_is_told_of_twenty_calls_at_least():
    assert told(Window(WindowRule(50, 0.5)), *[True] * (LEAST_CALLS - 1)) == [None] * (LEAST_CALLS - 1)


def test_only_calls_of_the_last_minute_count():
    apart = WITHIN_S / (LEAST_CALLS - 1) + 0.01
    assert set(told(Window(WindowRule(50, 0.5)), *[True] * 100, apart_s=apart)) == {None}


def test_calls_that_take_too_long_open_it_though_they_succeed():
    rule = WindowRule(20, 0.5, slow_s=2.0, slow_share=0.9)
    window = Window(rule)
    told(window, *[False] * 20, took_s=1.9)

    answers = [window.ended(20.0 + n, failed=False, took_s=2.1) for n in range(18)]

    assert answers[:-1] == [None] * 17
    assert answers[-1] == "18 of the last 20 calls took over 2 s"


@pytest.mark.parametrize("rule", [WindowRule(0), WindowRule(50, 0.5, slow_s=0.0)])
def test_a_rule_that_is_switched_off_opens_nothing(rule: WindowRule):
    window = Window(rule)

    assert {window.ended(float(n), failed=False, took_s=1e6) for n in range(100)} == {None}


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 60), st.floats(0.01, 1.0))
def test_it_opens_exactly_when_the_share_of_the_last_calls_says_so(failed, calls, share):
    answers = told(Window(WindowRule(calls, share)), *failed, apart_s=0.1)

    for n, answer in enumerate(answers):
        recent = failed[max(0, n + 1 - calls) : n + 1]
        enough = len(recent) >= min(LEAST_CALLS, calls)
        assert (answer is not None) == (enough and failed[n] and sum(recent) >= share * len(recent))


def test_forgotten_it_begins_anew():
    window = Window(WindowRule(20, 0.5))
    told(window, *[True] * 19)
    window.forget()

    assert window.ended(20.0, failed=True, took_s=0.1) is None
