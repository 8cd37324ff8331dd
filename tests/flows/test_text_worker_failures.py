"""The text worker when the provider fails: every failure ends typed, in time, within its price."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from worker_world import (
    PROMPT,
    START,
    TOKEN,
    answer,
    assigned,
    candidate,
    completion,
    everything_in,
    failing,
    result_of,
    world,
)

from runtime.http import DEADLINE, DeadlineExceededError, ResponseTooLargeError
from runtime.outcome import GiveUp, Publish
from schemas.assignment import Price
from schemas.failure import FAILURES, FailureKind

K = FailureKind
REQUEST = httpx.Request("POST", "http://provider.test/v1/chat/completions")


async def test_a_provider_that_always_answers_503_is_called_exactly_six_times() -> None:
    """Requirement A30: HF_MAX_RETRIES=5 is six attempts in all; then the job ends, with a copy worth replaying."""
    it = world(failing(503))
    done = await it.run(assigned())
    result = result_of(done)

    assert len(it.script.requests) == len(result.attempts) == 6
    assert isinstance(done, GiveUp)
    assert (result.status, result.error.kind, result.error.upstream_status) == ("failed", K.OVERLOADED, 503)
    assert result.error.retryable
    assert result.cost_nanousd == 0
    waited = [wait.when - START for wait in it.waits]
    assert waited == [timedelta(seconds=sum(0.5 * 2**n * 0.5 for n in range(upto))) for upto in range(1, 6)]


async def test_a_429_about_money_is_not_retried() -> None:
    body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    it = world(failing(429, body))
    result = result_of(await it.run(assigned()))

    assert result.error.kind == K.PAYMENT_REQUIRED
    assert len(it.script.requests) == 1


async def test_a_loading_model_is_waited_for_as_long_as_it_says() -> None:
    it = world(failing(503, {"error": "Model acme/chat is currently loading", "estimated_time": 20.0}), answer())
    result = result_of(await it.run(assigned()))

    assert result.status == "succeeded"
    assert it.clock.passed == timedelta(seconds=20)
    assert result.attempts[0].kind == K.MODEL_LOADING


async def test_a_job_past_its_deadline_expires_without_a_call() -> None:
    it = world()
    done = await it.run(assigned(deadline=START))
    result = result_of(done)

    assert (result.status, result.error.kind) == ("expired", K.DEADLINE_PASSED)
    assert it.script.requests == []
    assert isinstance(done, Publish)
    assert [entry.action for entry in done.audit] == ["job.expired"]


async def test_nothing_is_retried_past_the_deadline() -> None:
    it = world(failing(503), dice=0.999)
    result = result_of(await it.run(assigned(deadline=START + timedelta(seconds=3))))

    assert (result.status, result.error.kind) == ("failed", K.OVERLOADED)
    assert len(it.script.requests) == 3
    assert it.clock.now() < START + timedelta(seconds=3)


async def test_a_call_is_given_what_is_left_until_the_deadline() -> None:
    it = world(failing(503), answer())
    await it.run(assigned(deadline=START + timedelta(seconds=10)))
    first, second = it.script.requests

    assert first.extensions[DEADLINE] == 10
    assert second.extensions[DEADLINE] == 9.75
    assert first.extensions["timeout"]["connect"] == 3.05
    assert first.extensions["timeout"]["read"] == 10


async def test_ambiguous_calls_count_with_their_ceiling_and_stop_before_the_jobs_own() -> None:
    it = world(httpx.ReadTimeout("silence", request=REQUEST))
    result = result_of(await it.run(assigned(candidate(ceiling_nanousd=400), max_cost_nanousd=1_000)))

    assert result.error.kind == K.PRICE_CEILING
    assert len(result.attempts) == 2
    assert all(attempt.ambiguous and attempt.cost_nanousd == 400 for attempt in result.attempts)
    assert (result.cost_nanousd, result.cost_source) == (800, "estimated")
    assert "1000" in result.error.message


async def test_a_candidate_that_costs_more_than_the_job_may_is_never_called() -> None:
    it = world()
    result = result_of(await it.run(assigned(candidate(ceiling_nanousd=2_000), max_cost_nanousd=1_999)))

    assert result.error.kind == K.PRICE_CEILING
    assert it.script.requests == []


async def test_an_unfit_candidate_is_left_for_the_next_and_the_result_says_who_served() -> None:
    body = {"error": {"message": "not supported by any provider you have enabled", "code": "model_not_supported"}}
    it = world(failing(400, body), answer())
    result = result_of(await it.run(assigned(candidate(), candidate(model="acme/other", provider_model="acme/other"))))

    assert result.served.model == "acme/other"
    assert [attempt.model for attempt in result.attempts] == ["acme/chat", "acme/other"]
    assert result.attempts[0].kind == K.NOT_FOUND
    assert it.clock.passed == timedelta()


async def test_a_primary_that_is_overloaded_falls_back_and_the_result_says_who_served_at_whose_price() -> None:
    """Requirement B225: `served` is not `asked`, and the cost is that of who served."""
    dear = Price(
        input_nanousd_per_million_tokens=3_000_000, output_nanousd_per_million_tokens=5_000_000, source="test",
        as_of="2026-11-22",
    )  # fmt: skip
    second = candidate(model="acme/other", provider_model="acme/other", price=dear)
    it = world(failing(503), failing(503), failing(503), answer())
    result = result_of(await it.run(assigned(candidate(), second, job={"model": "acme/chat"})))

    assert (result.asked.model, result.served.model) == ("acme/chat", "acme/other")
    assert [attempt.model for attempt in result.attempts] == ["acme/chat"] * 3 + ["acme/other"]
    assert result.cost_nanousd == 20 * 3 + 5 * 5


async def test_a_fallback_that_the_budget_does_not_allow_is_not_made() -> None:
    dear = candidate(model="acme/other", provider_model="acme/other", ceiling_nanousd=5_000)
    it = world(failing(503))
    result = result_of(await it.run(assigned(candidate(), dear, max_cost_nanousd=4_999)))

    assert result.error.kind == K.OVERLOADED
    assert {attempt.model for attempt in result.attempts} == {"acme/chat"}


async def test_a_provider_that_the_producer_named_is_never_replaced() -> None:
    it = world(failing(404))
    first, second = candidate(provider="groq"), candidate(provider="together")
    result = result_of(await it.run(assigned(first, second, job={"provider": "groq"})))

    assert (result.status, result.error.kind) == ("failed", K.NOT_FOUND)
    assert [attempt.provider for attempt in result.attempts] == ["groq"]
    assert json.loads(it.script.requests[0].content)["model"] == "acme/chat:groq"


async def test_a_dialect_that_does_not_carry_the_task_is_no_attempt() -> None:
    it = world()
    result = result_of(await it.run(assigned(candidate(dialect="smoke-signals"), candidate(model="acme/two"))))

    assert result.served.model == "acme/two"
    assert len(result.attempts) == 1


@pytest.mark.parametrize(
    ("step", "kind", "calls"),
    [
        (failing(400), K.REQUEST_REFUSED, 1),
        (failing(401), K.UNAUTHORIZED, 1),
        (failing(402), K.PAYMENT_REQUIRED, 1),
        (failing(403), K.FORBIDDEN, 1),
        (failing(404), K.NOT_FOUND, 1),
        (failing(410), K.GONE, 1),
        (failing(422), K.REQUEST_REFUSED, 1),
        (failing(429), K.RATE_LIMITED, 6),
        (failing(500), K.PROVIDER_ERROR, 6),
        (failing(502), K.PROVIDER_ERROR, 6),
        (failing(503), K.OVERLOADED, 6),
        (failing(504), K.PROVIDER_ERROR, 6),
        (httpx.ConnectTimeout("slow"), K.CONNECT_FAILED, 6),
        (httpx.ReadTimeout("silence"), K.TIMEOUT, 6),
        (httpx.ReadError("reset"), K.CONNECTION_LOST, 6),
        (DeadlineExceededError("late"), K.TIMEOUT, 6),
        (ResponseTooLargeError(10, request=REQUEST), K.RESPONSE_TOO_LARGE, 1),
        (httpx.Response(200, content=b"<html>oops</html>"), K.INVALID_OUTPUT, 6),
        (httpx.Response(200, content=b""), K.INVALID_OUTPUT, 6),
        (answer({"choices": []}), K.INVALID_OUTPUT, 6),
        (answer({"error": "overloaded"}), K.OVERLOADED, 6),
        (httpx.Response(200, content=b'{"choices": [NaN]}'), K.INVALID_OUTPUT, 6),
        (RuntimeError("ours"), K.INTERNAL, 1),
    ],
)
async def test_every_failure_ends_typed(step: Any, kind: FailureKind, calls: int) -> None:
    it = world(step)
    done = await it.run(assigned())
    result = result_of(done)

    assert (result.status, result.error.kind) == ("failed", kind)
    assert result.output is None
    assert result.served is None
    assert len(it.script.requests) == calls
    assert isinstance(done, GiveUp) == FAILURES[kind].replay
    assert [entry.action for entry in done.audit] == ["job.failed"]


ECHOES = [
    failing(422, {"error": f"Input validation error: inputs: {PROMPT} is refused for {TOKEN}"}),
    failing(400, {"detail": [{"loc": ["body", "x"], "msg": f"bad {PROMPT}", "input": {"prompt": PROMPT}}]}),
    failing(500, {"error": {"message": f"while serving '{PROMPT}' with Bearer {TOKEN}"}}),
    httpx.Response(500, content=f"<html><title>{PROMPT}</title>{TOKEN}</html>".encode()),
    failing(401, x_error_message=f"token {TOKEN} is bad", x_request_id=f"r-{TOKEN}"),
    httpx.ReadError(f"{PROMPT} {TOKEN}", request=REQUEST),
    RuntimeError(f"{PROMPT} {TOKEN}"),
    answer({"choices": [{"message": {"content": 5, PROMPT: TOKEN}}]}),
    answer(completion(PROMPT), x_request_id=TOKEN),
]


@pytest.mark.parametrize("step", ECHOES)
async def test_neither_token_nor_prompt_leave_the_worker(step: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The output itself may say anything; nothing else repeats the prompt, and nothing at all the token."""
    it = world(step, max_retries=1)
    done = await it.run(assigned())
    result = result_of(done)
    told = everything_in(done) if result.output is None else everything_in(done).replace(PROMPT, "", 1)

    assert TOKEN not in told + caplog.text
    assert PROMPT not in told + caplog.text
    assert "canary prompt" not in told
