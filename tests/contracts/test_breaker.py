"""The gate before aiobreaker: what opens it, what does not, and that one call alone tries a provider again."""

import asyncio
from datetime import timedelta

import pytest
from breaker_world import KEY, OTHER, Clock, fail, is_open, permit

from runtime.breaker import Breakers, Permit, Refusal


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(clock=clock, now=clock.wall)


def test_three_failures_in_a_row_open_it_for_300_seconds(breakers: Breakers, clock: Clock):
    fail(breakers, 2)
    assert not is_open(breakers)
    fail(breakers, 1)

    assert breakers.admit(KEY) == Refusal(KEY, "open", 1_300.0)
    clock.now = 1_299.9
    assert is_open(breakers)
    clock.now = 1_300.0
    assert not is_open(breakers)


def test_a_success_in_between_starts_the_count_again(breakers: Breakers):
    fail(breakers, 2)
    permit(breakers).succeeded()
    fail(breakers, 2)

    assert not is_open(breakers)


def test_a_throttled_or_cancelled_attempt_counts_neither_way(breakers: Breakers):
    fail(breakers, 2)
    permit(breakers).neither()
    with permit(breakers):
        pass
    fail(breakers, 1)

    assert is_open(breakers)


def test_each_attempt_counts_a_retry_of_the_same_job_too(breakers: Breakers):
    attempts = 0
    while not isinstance(answer := breakers.admit(KEY), Refusal):
        with answer:
            attempts += 1
            answer.failed("timeout")

    assert attempts == 3


def test_an_open_breaker_of_one_model_leaves_the_other_models_alone(breakers: Breakers):
    fail(breakers)

    permit(breakers, OTHER).succeeded()


async def test_of_fifty_callers_at_half_open_exactly_one_calls(breakers: Breakers, clock: Clock):
    fail(breakers)
    clock.now += 300
    calls = 0
    answered = asyncio.Event()

    async def caller() -> bool:
        nonlocal calls
        answer = breakers.admit(KEY)
        if isinstance(answer, Refusal):
            assert answer.because == "trial"
            return False
        with answer:
            calls += 1
            await answered.wait()
            answer.succeeded()
        return True

    tasks = [asyncio.create_task(caller()) for _ in range(50)]
    await asyncio.sleep(0)
    answered.set()

    assert sum(await asyncio.gather(*tasks)) == calls == 1
    assert not is_open(breakers)


def test_a_failed_trial_opens_it_again_for_the_whole_time(breakers: Breakers, clock: Clock):
    fail(breakers)
    clock.now += 300
    permit(breakers).failed("server_error")

    assert breakers.admit(KEY) == Refusal(KEY, "open", 1_600.0)


def test_after_a_good_trial_it_takes_three_failures_again(breakers: Breakers, clock: Clock):
    fail(breakers)
    clock.now += 300
    permit(breakers).succeeded()
    fail(breakers, 2)

    assert not is_open(breakers)


async def test_a_cancelled_trial_counts_as_nothing_and_leaves_it_to_the_next(breakers: Breakers, clock: Clock):
    fail(breakers)
    clock.now += 300

    async def trial() -> None:
        with permit(breakers):
            await asyncio.Event().wait()

    task = asyncio.create_task(trial())
    await asyncio.sleep(0)
    assert is_open(breakers)
    task.cancel()
    await asyncio.wait([task])

    permit(breakers).succeeded()
    assert not is_open(breakers)


async def test_who_waits_for_a_trial_that_counts_as_nothing_makes_the_next_one_at_once(
    breakers: Breakers, clock: Clock
):
    fail(breakers)
    clock.now += 300
    trial = permit(breakers)
    waiting = asyncio.create_task(breakers.wait(KEY, deadline=float("inf")))
    await asyncio.sleep(0)
    assert not waiting.done()
    trial.neither()
    for _ in range(3):
        await asyncio.sleep(0)

    assert waiting.done(), "else it would wait until its deadline, and with it whoever comes later"
    assert isinstance(waiting.result(), Permit)


def test_a_throttled_trial_leaves_it_half_open_for_the_next(breakers: Breakers, clock: Clock):
    fail(breakers)
    clock.now += 300
    permit(breakers).neither()

    assert breakers.views()[KEY].state == "half-open"
    permit(breakers)


@pytest.mark.parametrize("late", ["succeeded", "failed"])
def test_the_outcome_of_a_call_from_before_it_opened_decides_nothing(breakers: Breakers, clock: Clock, late: str):
    early = [permit(breakers) for _ in range(3)]
    fail(breakers)
    for one in early[:2]:
        one.succeeded() if late == "succeeded" else one.failed("timeout")
    assert breakers.admit(KEY) == Refusal(KEY, "open", 1_300.0)

    clock.now += 300
    trial = permit(breakers)
    early[2].succeeded() if late == "succeeded" else early[2].failed("timeout")

    assert isinstance(breakers.admit(KEY), Refusal), "the trial is still in flight"
    trial.succeeded()
    assert not is_open(breakers)


def test_only_the_first_outcome_of_an_attempt_counts(breakers: Breakers):
    for _ in range(2):
        with permit(breakers) as one:
            one.failed("timeout")
            one.failed("timeout")

    assert not is_open(breakers)


def test_switched_off_it_lets_everybody_through(clock: Clock):
    breakers = Breakers(enabled=False, clock=clock)
    fail(breakers, 10)

    assert not is_open(breakers)
    assert breakers.views() == {}


def test_listeners_see_each_change_and_no_text_of_the_provider(clock: Clock):
    seen: list[str] = []

    class Listener:
        def before_call(self, *_: object) -> None: ...
        def success(self, *_: object) -> None: ...

        def failure(self, breaker: object, error: Exception) -> None:
            seen.append(f"failure {error}")

        def state_change(self, breaker: object, old: object, new: object) -> None:
            seen.append(type(new).__name__)

    breakers = Breakers(fail_max=1, clock=clock, listeners=[Listener()])
    permit(breakers).failed("timeout")
    clock.now += 300
    permit(breakers).succeeded()

    assert seen == ["failure timeout", "CircuitOpenState", "CircuitHalfOpenState", "CircuitClosedState"]


async def test_of_many_who_wait_one_tries_and_the_others_follow_its_success():
    breakers = Breakers(reset_timeout=timedelta(milliseconds=20))
    fail(breakers)
    running = most = 0

    async def caller() -> None:
        nonlocal running, most
        answer = await breakers.wait(KEY, deadline=float("inf"))
        assert isinstance(answer, Permit)
        with answer:
            if breakers.views()[KEY].state == "half-open":
                running += 1
                most = max(most, running)
                await asyncio.sleep(0)
                running -= 1
            answer.succeeded()

    await asyncio.gather(*(caller() for _ in range(50)))
    assert most == 1


async def test_whoever_cannot_wait_for_half_open_is_refused_at_once(breakers: Breakers):
    fail(breakers)

    assert await breakers.wait(KEY, deadline=1_299.0) == Refusal(KEY, "open", 1_300.0)


async def test_a_wait_for_another_callers_trial_ends_at_the_deadline():
    breakers = Breakers(fail_max=1, reset_timeout=timedelta(0))
    fail(breakers, 1)
    trial = permit(breakers)
    deadline = asyncio.get_running_loop().time() + 0.02

    answer = await breakers.wait(KEY, deadline=deadline)

    assert isinstance(answer, Refusal)
    assert answer.because == "trial"
    trial.succeeded()


def test_half_of_fifty_calls_failing_open_it_though_no_three_fail_in_a_row(clock: Clock):
    breakers = Breakers(window=50, clock=clock)
    calls = 0
    while not is_open(breakers):
        calls += 1
        one = permit(breakers)
        one.failed("timeout", 30.0) if calls % 2 else one.succeeded(0.5)
        clock.now += 1

    assert calls == 21, "twenty calls at least, and the share is told when one fails"
    assert breakers.views()[KEY].because == "11 of the last 21 calls failed, the last: timeout"


def test_throttled_calls_do_not_count_in_the_window(clock: Clock):
    breakers = Breakers(window=20, clock=clock)
    for _ in range(100):
        permit(breakers).neither()
    for _ in range(2):
        permit(breakers).failed("timeout")

    assert not is_open(breakers)


def test_slow_calls_open_it_though_they_succeed(clock: Clock):
    breakers = Breakers(window=20, slow_s=5.0, slow_share=0.9, clock=clock)
    for _ in range(20):
        permit(breakers).succeeded(6.0)

    assert is_open(breakers)
    assert breakers.views()[KEY].because == "20 of the last 20 calls took over 5 s"


@pytest.mark.parametrize("reset_s", [300, 10])
def test_after_a_good_trial_the_window_begins_anew(clock: Clock, reset_s: int):
    """However short the reset timeout is: what the calls before it came to is within the window's minute still."""
    breakers = Breakers(window=20, clock=clock, reset_timeout=timedelta(seconds=reset_s))
    for failed in [True, False] * 10:
        one = permit(breakers)
        one.failed("timeout") if failed else one.succeeded()
    permit(breakers).failed("timeout")
    assert is_open(breakers)
    clock.now += reset_s
    permit(breakers).succeeded()
    permit(breakers).failed("timeout")

    assert not is_open(breakers)


def test_it_says_which_rule_opened_it_and_since_when(breakers: Breakers, clock: Clock):
    fail(breakers)
    view = breakers.views()[KEY]
    assert (view.because, view.since) == ("3 failures in a row, the last: server_error", clock.wall())

    clock.now += 300
    permit(breakers).failed("timeout")
    assert breakers.views()[KEY].because == "the trial call failed: timeout"
    clock.now += 300
    permit(breakers).succeeded()
    assert breakers.views()[KEY].because == "the trial call succeeded"
