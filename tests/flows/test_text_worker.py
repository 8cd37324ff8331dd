"""The text worker with a scripted provider and a clock turned by hand."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from runtime.breaker import BreakerKey
from runtime.http import DEADLINE, DeadlineExceededError, ResponseTooLargeError
from runtime.outcome import Abandoned, GiveUp, Publish, RetryAt
from runtime.ports import Delivery, Lease, Record
from schemas.assignment import Price
from schemas.failure import FAILURES, FailureKind
from worker_world import (
    PROMPT,
    START,
    TOKEN,
    World,
    answer,
    assigned,
    candidate,
    chat_input,
    completion,
    delta,
    events,
    everything_in,
    result_of,
    world,
)

K = FailureKind
REQUEST = httpx.Request("POST", "http://provider.test/v1/chat/completions")


def failing(status: int, body: Any = None, **headers: str) -> httpx.Response:
    return answer({"error": "upstream says no"} if body is None else body, status, **headers)


async def test_a_job_ends_in_one_complete_result() -> None:
    it = world(lambda request: (it.clock.turn(0.25), answer(inference_id="inf-9", x_inference_provider="groq"))[1])
    done = await it.run(assigned())
    result = result_of(done)

    assert isinstance(done, Publish)
    assert result.status == "succeeded"
    assert result.output["choices"][0]["message"]["content"] == "Hello!"
    assert (result.served.model, result.served.provider) == ("acme/chat", "groq")
    assert result.asked.model == "auto"
    assert result.usage == {"input_tokens": 20, "output_tokens": 5}
    assert (result.cost_nanousd, result.cost_source) == (20 + 10, "computed")
    (attempt,) = result.attempts
    assert (attempt.attempt, attempt.duration_ms, attempt.upstream_status) == (1, 250, 200)
    assert attempt.request_id == "inf-9"
    assert result.timing_ms == {"total": 300, "queued": 20, "routed": 30, "waiting": 0, "calling": 250}
    assert result.received.offset == 3
    assert result.decision_id == "d" * 32
    assert result.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert result.completed_at == START + timedelta(milliseconds=250)


async def test_the_result_is_keyed_and_carries_the_trace_on() -> None:
    done = await world().run(assigned())
    (record,) = done.records
    headers = dict(record.headers)
    process = next(span for span in done.spans if span.name == "process inference.text.v1")

    assert (record.topic, record.key) == ("inference.results.v1", b"acme/a1")
    assert headers["novix-identity"] == b"acme/a1/1"
    assert headers["traceparent"] == f"00-{process.context.trace_id}-{process.span_id}-01".encode()


async def test_the_request_carries_token_session_and_trace_and_no_baggage() -> None:
    it = world(hf_bill_to="acme-org")
    await it.run(assigned(job={"id": "søk 1", "tenant": "acme"}))
    (request,) = it.script.requests

    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["x-hf-bill-to"] == "acme-org"
    assert request.headers["x-hf-session-id"] == "acme"
    assert request.headers["x-amzn-trace-id"] == "acme/s_k_1"
    assert request.headers["accept-encoding"] == "identity"
    assert "baggage" not in request.headers
    assert "traceparent" not in request.headers
    body = json.loads(request.content)
    assert next(iter(body)) == "model"
    assert (body["max_tokens"], body["temperature"], body["top_p"]) == (64, 0.7, 0.95)


async def test_the_spans_nest_call_in_process_and_attempts_in_call() -> None:
    it = world(failing(503), answer())
    done = await it.run(assigned())
    by_name = {span.name: span for span in done.spans if span.name != "POST"}
    posts = [span for span in done.spans if span.name == "POST"]
    process, call, wait = by_name["process inference.text.v1"], by_name["chat acme/chat"], by_name["wait retry"]

    assert process.context.parent_id == "b7ad6b7169203331"
    assert process.links == ((process.context.trace_id, "b7ad6b7169203331"),)
    assert call.context.parent_id == wait.context.parent_id == process.span_id
    assert [post.context.parent_id for post in posts] == [call.span_id] * 2
    assert [post.attributes["http.request.resend_count"] for post in posts] == [None, 1]
    assert [post.error for post in posts] == ["overloaded", None]
    assert len({span.span_id for span in done.spans}) == len(done.spans) == 5


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


async def test_retry_after_is_waited_for_even_when_the_backoff_is_shorter() -> None:
    it = world(failing(429, {"error": "Rate limit reached"}, retry_after="2"), answer(), dice=0.0)
    result = result_of(await it.run(assigned()))

    assert result.status == "succeeded"
    assert it.clock.passed >= timedelta(seconds=2)
    assert result.attempts[1].waited_ms >= 2_000
    assert result.attempts[0].kind == K.RATE_LIMITED


async def test_a_retry_after_makes_the_next_job_wait_too() -> None:
    it = world(failing(429, {"error": "Rate limit reached"}, retry_after="2"), answer())
    outcome = await it.lane.handle(Delivery(assigned(), it.clock.now()))
    assert isinstance(outcome, RetryAt)

    second = asyncio.create_task(it.lane.handle(Delivery(assigned(offset=8), it.clock.now())))
    await asyncio.sleep(0)
    assert len(it.script.requests) == 1
    it.app.drain()
    with pytest.raises(Abandoned):
        await second


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


async def test_a_stream_is_put_together_and_its_first_token_timed() -> None:
    def stream(request: httpx.Request) -> httpx.Response:
        async def body() -> AsyncIterator[bytes]:
            for seconds, chunk in ((0.1, delta(role="assistant")), (0.2, delta("Hel")), (0.3, delta("lo", "stop"))):
                it.clock.turn(seconds)
                yield b"data:" + json.dumps(chunk).encode() + b"\n\n"
            usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
            yield b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\ndata: [DONE]\n\n"

        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body())

    it = world(stream)
    done = await it.run(assigned(job={"input": chat_input(stream=True)}))
    result = result_of(done)
    body = json.loads(it.script.requests[0].content)

    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert result.output["choices"][0]["message"] == {"role": "assistant", "content": "Hello"}
    assert result.output["choices"][0]["finish_reason"] == "stop"
    assert result.usage == {"input_tokens": 7, "output_tokens": 2}
    assert result.cost_nanousd == 7 + 4
    assert result.timing_ms["first_token"] == 300
    call = next(span for span in done.spans if span.name == "chat acme/chat")
    assert call.attributes["gen_ai.response.time_to_first_chunk"] == pytest.approx(0.3)


async def test_a_cut_stream_is_paid_for_and_asks_nobody_else() -> None:
    """Output had begun at the first candidate: the second must not take its place, the first may be asked again."""
    cut = httpx.ReadError("reset", request=REQUEST)
    it = world(lambda _: events(delta("Hel"), cut=cut))
    first, second = candidate(), candidate(model="acme/other")
    result = result_of(await it.run(assigned(first, second, job={"input": chat_input(stream=True)})))

    assert result.error.kind == K.STREAM_CUT
    assert {attempt.model for attempt in result.attempts} == {"acme/chat"}
    assert len(result.attempts) == 6
    assert all(attempt.ambiguous for attempt in result.attempts)


async def test_a_stream_cut_after_its_finish_reason_is_whole() -> None:
    it = world(events(delta("Hello", "stop"), cut=httpx.ReadError("reset", request=REQUEST)))
    result = result_of(await it.run(assigned(job={"input": chat_input(stream=True)})))

    assert result.status == "succeeded"
    assert result.cost_source == "estimated"


async def test_an_error_inside_a_stream_is_an_error() -> None:
    it = world(events({"error": "Input validation error: `truncate` is wrong", "error_type": "validation"}))
    result = result_of(await it.run(assigned(job={"input": chat_input(stream=True)})))

    assert result.error.kind == K.REQUEST_REFUSED
    assert result.cost_nanousd == 0
    assert len(it.script.requests) == 1


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
        (failing(504), K.TIMEOUT, 6),
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


def a_key(it: World) -> BreakerKey:
    return BreakerKey("auto", "acme/chat")


async def test_every_attempt_counts_for_the_breaker_and_its_refusal_is_no_attempt() -> None:
    """Requirement A40, one process: open after 3, then the job waits for half-open and makes the one trial call."""
    it = world(failing(500), failing(500), failing(500), answer(), breaker=True)
    result = result_of(await it.run(assigned()))

    assert result.status == "succeeded"
    assert len(result.attempts) == 4
    assert it.clock.passed >= timedelta(seconds=300)
    assert K.BREAKER_OPEN in [wait.kind for wait in it.waits]
    assert it.breakers.views()[a_key(it)].state == "closed"


async def test_a_429_does_not_open_the_breaker() -> None:
    it = world(failing(429), breaker=True)
    result = result_of(await it.run(assigned()))

    assert len(result.attempts) == 6
    assert it.breakers.views()[a_key(it)].state == "closed"


async def test_an_open_breaker_sends_the_job_to_its_next_candidate() -> None:
    it = world(failing(500), failing(500), failing(500), answer(), breaker=True)
    result = result_of(await it.run(assigned(candidate(), candidate(model="acme/other"))))

    assert result.served.model == "acme/other"
    assert it.clock.passed < timedelta(seconds=10)


async def test_a_breaker_that_stays_open_until_the_deadline_ends_the_job() -> None:
    it = world(failing(500), breaker=True)
    done = await it.run(assigned(deadline=START + timedelta(seconds=60)))
    result = result_of(done)

    assert (result.status, result.error.kind) == ("failed", K.BREAKER_OPEN)
    assert len(result.attempts) == 3
    assert isinstance(done, GiveUp)


async def test_fifty_jobs_at_half_open_make_one_call() -> None:
    """Requirement A40: the provider sees one trial; when it succeeds, the others follow."""
    gate, arrived = asyncio.Event(), asyncio.Event()

    async def held(request: httpx.Request) -> httpx.Response:
        arrived.set()
        await gate.wait()
        return answer()

    it = world(failing(500), failing(500), failing(500), held, breaker=True, max_in_flight=100)
    short = assigned(candidate(max_in_flight=100), deadline=START + timedelta(seconds=60))
    await it.run(short)
    it.clock.turn(400)

    until = START + timedelta(hours=1)
    jobs = [
        asyncio.create_task(it.run(assigned(candidate(max_in_flight=100), offset=100 + n, deadline=until)))
        for n in range(50)
    ]
    await arrived.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(it.script.requests) == 4
    gate.set()
    results = [result_of(done) for done in await asyncio.gather(*jobs)]

    assert {result.status for result in results} == {"succeeded"}
    assert len(it.script.requests) == 3 + 50


async def test_waiting_for_a_slot_is_no_attempt_and_is_told_as_a_wait() -> None:
    it = world()
    key = a_key(it)
    busy = it.limits.slot(key, 1)
    await busy.acquire()
    job = asyncio.create_task(it.run(assigned(candidate(max_in_flight=1))))
    await asyncio.sleep(0)
    it.clock.turn(1.5)
    busy.release()
    done = await job
    result = result_of(done)

    assert len(result.attempts) == 1
    assert result.attempts[0].waited_ms == 1_500
    assert result.timing_ms["waiting"] == 1_500
    assert "wait slot" in [span.name for span in done.spans]
    assert it.limits.total_in_flight == 0


async def test_drain_abandons_who_waits_and_lets_a_call_in_flight_end() -> None:
    gate = asyncio.Event()

    async def held(request: httpx.Request) -> httpx.Response:
        await gate.wait()
        return answer()

    it = world(held)
    calling = asyncio.create_task(it.run(assigned(candidate(max_in_flight=1))))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(it.run(assigned(candidate(max_in_flight=1), offset=8)))
    await asyncio.sleep(0)
    it.app.drain()
    with pytest.raises(Abandoned):
        await waiting
    with pytest.raises(Abandoned):
        await it.run(assigned(offset=9))
    gate.set()
    assert result_of(await calling).status == "succeeded"
    assert len(it.script.requests) == 1


async def test_cancelling_a_call_frees_its_slot_and_goes_through() -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    it = world(never)
    job = asyncio.create_task(it.run(assigned()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert it.limits.total_in_flight == 1
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert it.limits.total_in_flight == 0


async def test_a_partition_that_is_gone_is_not_paid_for() -> None:
    it = world()
    with pytest.raises(Abandoned):
        await it.lane.handle(Delivery(assigned(), it.clock.now(), lease=Lease(held=False)))
    assert it.script.requests == []
    assert it.limits.total_in_flight == 0


async def test_a_result_too_large_for_its_topic_becomes_a_failed_one_that_says_what_it_cost() -> None:
    done = await world().run(assigned())
    assert done.shrunk is not None
    small = done.shrunk(2_000_000)
    result = result_of(small)

    assert (result.status, result.error.kind) == ("failed", K.OUTPUT_TOO_LARGE)
    assert result.output is None
    assert result.cost_nanousd == 30
    assert "2000000" in result.error.message


@pytest.mark.parametrize("value", [None, b"\xff", b"[]", b"{}", b'{"submission": 1, "job": {}}'])
async def test_a_record_that_is_no_assigned_job_is_set_aside(value: bytes | None) -> None:
    it = world()
    record = Record("inference.text.v1", 0, 1, b"k", value, (), 0)
    done = await it.run(record)

    assert isinstance(done, GiveUp)
    assert done.kind == K.UNDECODABLE
    assert done.records == ()
    assert isinstance(it.lane.fault(Delivery(record, START), ValueError("x")), GiveUp)


async def test_a_fault_of_ours_ends_as_internal_and_names_the_class_alone() -> None:
    it = world()
    done = it.lane.fault(Delivery(assigned(), START), ValueError(PROMPT))
    result = result_of(done)

    assert (result.status, result.error.kind) == ("failed", K.INTERNAL)
    assert isinstance(done, GiveUp)
    assert done.error_type == "ValueError"
    assert PROMPT not in everything_in(done)


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


async def test_no_token_means_no_authorization_header() -> None:
    it = world(hf_token=SecretStr(""))
    await it.run(assigned())
    assert "authorization" not in it.script.requests[0].headers


async def test_a_task_of_hf_inference_is_paid_by_compute_time() -> None:
    price = Price(nanousd_per_compute_ms=120, source="test", as_of="2026-11-22")
    at = candidate(
        dialect="hf-inference", provider="hf-inference", model="acme/e5", provider_model="acme/e5", price=price
    )
    it = world(answer([[0.5, 0.25]], x_compute_time="0.123"))
    job = {"task": "feature-extraction", "input": {"inputs": "a text", "normalize": True}}
    result = result_of(await it.run(assigned(at, job=job, parameters={})))

    assert result.output == [[0.5, 0.25]]
    assert result.usage == {"compute_ms": 123}
    assert (result.cost_nanousd, result.cost_source) == (123 * 120, "computed")
    (request,) = it.script.requests
    assert request.url.path == "/hf-inference/models/acme/e5/pipeline/feature-extraction"
    assert json.loads(request.content) == {"inputs": "a text", "normalize": True}


async def test_the_same_job_handled_again_gives_the_same_spans_and_key() -> None:
    """A redelivery does not split a trace."""
    first, second = await world().run(assigned()), await world().run(assigned())
    assert [span.span_id for span in first.spans] == [span.span_id for span in second.spans]
    assert first.records == second.records
