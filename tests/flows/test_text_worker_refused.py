"""A credential that its provider refuses: three calls learn it, nobody else shows it, jobs wait until it is taken."""

from datetime import timedelta

import httpx
import pytest
import structlog
from structlog.testing import LogCapture
from worker_world import START, TOKEN, HandClock, World, answer, assigned, candidate, failing, result_of, world

from runtime.outcome import RetryAt
from runtime.ports import Delivery
from schemas.failure import FailureKind
from workers.calling import CallFailed
from workers.errors import ProviderError
from workers.shown import IN_A_ROW, LOOK, MOST, CredentialRefused, Credits

K = FailureKind
REFUSED = [failing(401)] * IN_A_ROW


async def learnt(it: World) -> list[object]:
    """As many jobs as it takes, one after another; what became of each."""
    return [
        await it.lane.handle(Delivery(assigned(offset=at, job={"id": f"a{at}"}), it.clock.now()))
        for at in range(IN_A_ROW)
    ]


async def test_the_job_that_shows_that_a_credential_is_refused_waits_and_those_before_it_have_ended() -> None:
    it = world(*REFUSED)
    *ended, last = await learnt(it)

    assert {result_of(one).error.kind for one in ended} == {K.UNAUTHORIZED}  # type: ignore[arg-type, union-attr]
    assert isinstance(last, RetryAt)
    assert last.kind == K.UNAUTHORIZED


async def test_nobody_is_called_with_a_refused_credential_but_for_one_trial_and_then_all_goes_on() -> None:
    it = world(*REFUSED, answer())
    await learnt(it)
    result = result_of(await it.run(assigned(offset=20)))

    assert result.status == "succeeded"
    assert len(it.script.requests) == IN_A_ROW + 1
    assert len(result.attempts) == 1, "waiting is no attempt"
    assert LOOK <= it.clock.passed < LOOK + timedelta(seconds=6)
    assert it.app.describe().get("refused_credentials") is None


async def test_a_job_whose_deadline_comes_first_ends_as_unauthorized_without_a_call() -> None:
    it = world(*REFUSED)
    await learnt(it)
    result = result_of(await it.run(assigned(offset=20, deadline=it.clock.now() + timedelta(seconds=12))))

    assert (result.status, result.error and result.error.kind) == ("failed", K.UNAUTHORIZED)
    assert result.attempts == []
    assert len(it.script.requests) == IN_A_ROW


async def test_a_trial_call_that_is_refused_lets_its_job_and_all_others_wait_on() -> None:
    it = world(*REFUSED, failing(401), answer())
    await learnt(it)
    result = result_of(await it.run(assigned(offset=20)))

    assert [attempt.kind for attempt in result.attempts] == [K.UNAUTHORIZED, None]
    assert it.clock.passed >= 2 * LOOK


async def test_another_provider_is_asked_meanwhile() -> None:
    it = world(*REFUSED, answer())
    await learnt(it)
    outcome = await it.lane.handle(
        Delivery(assigned(candidate(), candidate(provider="groq"), offset=20), it.clock.now())
    )

    assert result_of(outcome).served.provider == "groq"  # type: ignore[arg-type, union-attr]
    assert it.clock.passed < LOOK


async def test_one_refusal_among_successes_is_that_jobs_own_affair() -> None:
    it = world(failing(401), failing(401), answer(), failing(401), failing(401), answer())
    kinds = [
        result_of(await it.run(assigned(offset=at, job={"id": f"a{at}"}))).error for at in range(len(it.script.steps))
    ]

    assert [error and error.kind for error in kinds] == [K.UNAUTHORIZED, K.UNAUTHORIZED, None] * 2


async def test_it_is_told_once_and_once_more_when_it_is_over_and_never_by_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = LogCapture()
    log = structlog.wrap_logger(None, processors=[told], wrapper_class=structlog.stdlib.BoundLogger)
    monkeypatch.setattr("workers.shown.log", log)
    it = world(*REFUSED, failing(401), answer())
    await learnt(it)
    shown = it.app.describe()["refused_credentials"]
    await it.run(assigned(offset=20))

    assert [line["event"] for line in told.entries] == ["credential.refused", "credential.accepted"]
    assert set(shown) == {"auto"}
    assert TOKEN not in repr(told.entries) + repr(shown)


def refused(credits_: Credits, authorization: str | None) -> None:
    with pytest.raises(CallFailed), credits_.shown("groq", authorization):
        raise CallFailed(ProviderError(K.UNAUTHORIZED, "no"))


def test_a_credential_that_has_changed_is_shown_at_once_and_the_refused_one_is_still_not() -> None:
    standing = Credits(HandClock())
    for _ in range(IN_A_ROW):
        refused(standing, "Bearer old")

    with standing.shown("groq", "Bearer new"):
        assert not standing.refuses("groq")
    with pytest.raises(CredentialRefused), standing.shown("groq", "Bearer old"):
        pytest.fail("it was shown")
    with standing.shown("together", "Bearer old"):
        pass


def test_a_call_that_fails_otherwise_or_is_cut_short_says_nothing_of_its_credential() -> None:
    standing = Credits(HandClock())
    for kind in (K.OVERLOADED, K.TIMEOUT, K.FORBIDDEN, K.RATE_LIMITED) * 2:
        with pytest.raises(CallFailed), standing.shown("groq", None):
            raise CallFailed(ProviderError(kind, "no"))
    for _ in range(IN_A_ROW - 1):
        refused(standing, None)
    with pytest.raises(httpx.HTTPError), standing.shown("groq", None):
        raise httpx.HTTPError("cut")

    assert not standing.refuses("groq")
    refused(standing, None)
    assert standing.refuses("groq")


def test_a_call_that_began_before_its_credential_was_refused_does_not_make_it_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slow answer comes after the third refusal: whoever is woken by `refused` must not read `accepted` behind it."""
    told = LogCapture()
    log = structlog.wrap_logger(None, processors=[told], wrapper_class=structlog.stdlib.BoundLogger)
    monkeypatch.setattr("workers.shown.log", log)
    standing = Credits(HandClock())
    with standing.shown("groq", "Bearer old"):
        for _ in range(IN_A_ROW):
            refused(standing, "Bearer old")

    assert standing.refuses("groq")
    assert [line["event"] for line in told.entries] == ["credential.refused"]


async def test_a_trial_call_that_says_nothing_of_its_credential_leaves_the_next_one_to_try() -> None:
    clock = HandClock()
    standing = Credits(clock)
    for _ in range(IN_A_ROW):
        refused(standing, None)
    await clock.sleep(LOOK.total_seconds())
    with pytest.raises(CallFailed), standing.shown("groq", None):
        raise CallFailed(ProviderError(K.TIMEOUT, "no"))

    with standing.shown("groq", None):
        pass
    assert not standing.refuses("groq")


async def test_the_job_that_learns_of_the_refusal_does_not_wait_beyond_its_deadline() -> None:
    it = world(*REFUSED)
    for at in range(IN_A_ROW - 1):
        await it.lane.handle(Delivery(assigned(offset=at, job={"id": f"a{at}"}), it.clock.now()))
    late = assigned(offset=9, deadline=it.clock.now() + timedelta(seconds=4))
    result = result_of(await it.lane.handle(Delivery(late, it.clock.now())))  # type: ignore[arg-type]

    assert (result.status, result.error and result.error.kind) == ("failed", K.UNAUTHORIZED)
    assert len(result.attempts) == 1


def test_credentials_without_end_take_no_memory_without_end() -> None:
    standing = Credits(HandClock())
    for number in range(3 * MOST):
        with standing.shown("groq", f"Bearer {number}"):
            pass

    assert len(standing._names) <= MOST
    assert len(standing._standing.views()) <= MOST


async def test_a_job_that_waits_for_another_credential_has_no_more_calls_than_any_other() -> None:
    it = world(failing(401), max_retries=1)
    for offset in range(2):
        assert len(result_of(await it.run(assigned(offset=offset))).attempts) == 1

    result = result_of(await it.run(assigned(offset=2, deadline=START + timedelta(hours=1))))

    assert [one.kind for one in result.attempts] == [K.UNAUTHORIZED] * 2
    assert (result.status, result.error and result.error.kind) == ("failed", K.UNAUTHORIZED)
