"""Breakers that hear of one another: one process makes the trial, all follow it, and nothing echoes."""

import asyncio
from datetime import timedelta

import pytest
from breaker_world import KEY, OTHER, Clock, fail, is_open, permit

from runtime.adoption import LATER_S
from runtime.breaker import Breakers, Permit, Refusal
from schemas.breakers import BreakerState


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(clock=clock, now=clock.wall)


@pytest.fixture
def elsewhere(clock: Clock) -> Breakers:
    """Another process's, on the same clock."""
    return Breakers(clock=clock, now=clock.wall)


def test_what_opened_elsewhere_opens_here_a_little_longer(breakers: Breakers, elsewhere: Breakers, clock: Clock):
    fail(elsewhere)
    clock.now += 0.5
    assert breakers.adopt(elsewhere.news(KEY, "other"))

    assert breakers.admit(KEY) == Refusal(KEY, "open", 1_300.0 + LATER_S)
    assert breakers.views()[KEY].because == elsewhere.views()[KEY].because
    permit(breakers, OTHER)


def test_a_trial_elsewhere_is_left_to_the_other_and_its_success_closes_at_once(
    breakers: Breakers, elsewhere: Breakers, clock: Clock
):
    fail(elsewhere)
    breakers.adopt(elsewhere.news(KEY, "other"))
    clock.now = 1_301.0
    trial = permit(elsewhere)
    assert breakers.adopt(elsewhere.news(KEY, "other"))
    clock.now = 1_310.0
    assert is_open(breakers), "the trial takes its time"

    trial.succeeded()
    assert breakers.adopt(elsewhere.news(KEY, "other"))
    assert not is_open(breakers)


def test_a_trial_that_is_never_told_about_leaves_it_to_the_next(breakers: Breakers, elsewhere: Breakers, clock: Clock):
    fail(elsewhere)
    breakers.adopt(elsewhere.news(KEY, "other"))
    clock.now = 1_300.0
    permit(elsewhere)
    breakers.adopt(elsewhere.news(KEY, "other"))
    clock.now = 1_331.0

    permit(breakers).succeeded()
    assert not is_open(breakers)


def test_a_trial_that_others_news_overtook_keeps_nobody_from_the_next_one(
    breakers: Breakers, elsewhere: Breakers, clock: Clock
):
    """Ours is out when somebody else's success closes the breaker: what it comes to says nothing any more."""
    fail(elsewhere)
    breakers.adopt(elsewhere.news(KEY, "other"))
    clock.now = 1_310.0
    ours = permit(breakers)
    clock.now = 1_311.0
    permit(elsewhere).succeeded()
    assert breakers.adopt(elsewhere.news(KEY, "other"))
    ours.failed("server_error")
    assert not is_open(breakers)

    fail(breakers)
    clock.now += 300
    permit(breakers).succeeded()
    assert not is_open(breakers)


def test_older_news_than_our_own_change_are_passed_over(breakers: Breakers, elsewhere: Breakers, clock: Clock):
    fail(elsewhere)
    old = elsewhere.news(KEY, "other")
    clock.now += 1
    fail(breakers)
    clock.now += 300
    permit(breakers).succeeded()

    assert not breakers.adopt(old)
    assert not is_open(breakers)


def test_our_own_word_from_another_mouth_changes_nothing(breakers: Breakers, elsewhere: Breakers, clock: Clock):
    """Who adopted a state and tells a hold of the same key repeats it."""
    fail(breakers)
    clock.now += 1
    elsewhere.adopt(breakers.news(KEY, "us"))
    clock.now += 1
    echo = elsewhere.news(KEY, "other")
    assert (echo.state, echo.retry_at) == ("open", breakers.news(KEY, "us").retry_at)

    assert not breakers.adopt(echo)
    assert breakers.admit(KEY) == Refusal(KEY, "open", 1_300.0)


def test_who_tells_a_hold_and_has_never_seen_the_breaker_move_closes_nobodys(
    breakers: Breakers, elsewhere: Breakers, clock: Clock
):
    """Its breaker is closed because nothing ever happened to it, not because somebody found the provider well."""
    fail(breakers)
    clock.now += 1
    hold = elsewhere.news(KEY, "other").model_copy(update={"held_until": clock.wall() + timedelta(seconds=5)})

    assert not breakers.adopt(hold)
    assert is_open(breakers)


def test_the_outcome_of_a_call_from_before_an_adopted_opening_decides_nothing(
    breakers: Breakers, elsewhere: Breakers, clock: Clock
):
    early = permit(breakers)
    fail(elsewhere)
    breakers.adopt(elsewhere.news(KEY, "other"))
    early.succeeded()

    assert is_open(breakers)


def test_one_process_whose_way_to_the_provider_is_ill_stops_the_others_once_and_not_for_ever(
    breakers: Breakers, elsewhere: Breakers, clock: Clock
):
    """It fails each trial, a second long, and each call after a close; for us the provider is well."""
    made = 0
    for _ in range(3_600):
        clock.now += 1
        sick = elsewhere.admit(KEY)
        if isinstance(sick, Permit):
            breakers.adopt(elsewhere.news(KEY, "sick"))
            clock.now += 1
            sick.failed("connect_failed")
            breakers.adopt(elsewhere.news(KEY, "sick"))
        ours = breakers.admit(KEY)
        if isinstance(ours, Permit):
            ours.succeeded()
            elsewhere.adopt(breakers.news(KEY, "us"))
            made += 1

    assert made > 3_600 - 400


def test_who_was_doubted_is_followed_again_once_it_told_of_a_close(
    breakers: Breakers, elsewhere: Breakers, clock: Clock
):
    fail(elsewhere)
    breakers.adopt(elsewhere.news(KEY, "other"))
    clock.now += 300 + LATER_S
    permit(breakers).succeeded()
    clock.now += 1
    permit(elsewhere).succeeded()
    breakers.adopt(elsewhere.news(KEY, "other"))
    clock.now += 1
    fail(elsewhere)

    assert breakers.adopt(elsewhere.news(KEY, "other"))
    assert is_open(breakers)


def test_who_was_doubted_is_followed_again_once_the_provider_failed_here_too(
    breakers: Breakers, elsewhere: Breakers, clock: Clock
):
    fail(elsewhere)
    breakers.adopt(elsewhere.news(KEY, "other"))
    clock.now += 300 + LATER_S
    permit(breakers).succeeded()
    clock.now += 1
    fail(breakers)
    clock.now += 300
    permit(breakers).succeeded()
    clock.now += 1
    permit(elsewhere).failed("server_error")

    assert breakers.adopt(elsewhere.news(KEY, "other"))
    assert is_open(breakers)


async def test_who_waits_for_half_open_goes_on_as_soon_as_it_closes_elsewhere():
    here, there = Breakers(fail_max=1), Breakers(fail_max=1, reset_timeout=timedelta(0))
    fail(there, 1)
    here.adopt(there.news(KEY, "other").model_copy(update={"retry_at": None}))
    waiting = asyncio.create_task(here.wait(KEY, deadline=float("inf")))
    await asyncio.sleep(0)
    permit(there).succeeded()
    here.adopt(there.news(KEY, "other"))

    assert isinstance(await waiting, Permit)


def test_who_listens_hears_of_our_own_changes_and_of_none_that_was_adopted(
    breakers: Breakers, elsewhere: Breakers, clock: Clock
):
    heard: list[str] = []
    forget = breakers.on_change(lambda key: heard.append(breakers.news(key, "us").state))
    fail(breakers)
    clock.now += 300
    permit(breakers).succeeded()
    clock.now += 1
    fail(elsewhere)
    breakers.adopt(elsewhere.news(KEY, "other"))
    forget()

    assert heard == ["open", "half-open", "closed"]


def test_switched_off_it_adopts_nothing(elsewhere: Breakers, clock: Clock):
    fail(elsewhere)
    breakers = Breakers(enabled=False, clock=clock, now=clock.wall)

    assert not breakers.adopt(elsewhere.news(KEY, "other"))
    assert not is_open(breakers)


def test_news_travel_as_a_record_of_the_contract(breakers: Breakers, clock: Clock):
    fail(breakers)
    told = breakers.news(KEY, "us")

    assert BreakerState.model_validate_json(told.encode()) == told
    assert (told.failures, told.retry_at, told.at) == (3, clock.wall() + timedelta(seconds=300), clock.wall())
