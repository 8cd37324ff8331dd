"""A twin is told from a coordinator that lost sight of a member."""

from runtime.evictions import EVICTIONS, Evictions

SESSION_S = 6.0


def test_a_member_that_was_heard_just_before_each_time_has_a_twin():
    evictions = Evictions(SESSION_S)
    for number in range(EVICTIONS):
        assert evictions.twin_within_s is None
        evictions.heard(number * 2.0)
        evictions.put_out(number * 2.0 + 1)

    assert evictions.twin_within_s == (EVICTIONS - 1) * 2.0


def test_a_member_that_is_put_out_once_an_hour_has_none():
    evictions = Evictions(SESSION_S)
    for hour in range(EVICTIONS * 3):
        evictions.heard(hour * 3_600.0)
        evictions.put_out(hour * 3_600.0 + 1)

    assert evictions.twin_within_s is None


def test_a_member_that_was_silent_for_half_its_session_was_put_out_for_that():
    evictions = Evictions(SESSION_S)
    for number in range(EVICTIONS * 3):
        evictions.heard(number * 5.0)
        evictions.put_out(number * 5.0 + SESSION_S / 2)

    assert evictions.twin_within_s is None


def test_a_member_that_is_put_out_before_it_was_heard_at_all_may_have_a_twin():
    evictions = Evictions(SESSION_S)
    for number in range(EVICTIONS):
        evictions.put_out(float(number))

    assert evictions.twin_within_s is not None
