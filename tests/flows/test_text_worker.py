"""The text worker with a scripted provider and a clock turned by hand: answers."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from worker_world import (
    PROMPT,
    START,
    TOKEN,
    answer,
    assigned,
    candidate,
    chat_input,
    completion,
    delta,
    events,
    everything_in,
    failing,
    result_of,
    world,
)

from runtime.outcome import GiveUp, Publish
from runtime.ports import Delivery, Record
from schemas.assignment import Price, Reserved
from schemas.failure import FailureKind
from schemas.ledger import LedgerBatch
from schemas.topics import LEDGER

K = FailureKind
REQUEST = httpx.Request("POST", "http://provider.test/v1/chat/completions")


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
    sent = next(span for span in done.spans if span.name == "send inference.results.v1")

    assert (record.topic, record.key) == ("inference.results.v1", b"acme/a1")
    assert headers["novix-identity"] == b"acme/a1/1"
    assert sent.context.parent_id == process.span_id
    assert headers["traceparent"] == f"00-{process.context.trace_id}-{sent.span_id}-01".encode()


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
    assert len({span.span_id for span in done.spans}) == len(done.spans) == 6


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


def unreadable_but_reserved(**change: Any) -> Record:
    """An assigned job in a contract that this worker does not know, with money that was reserved for it."""
    reserved = Reserved(home=2, nanousd=5_000)
    document = json.loads(assigned(reserved=reserved).value or b"") | {"schema": 9} | change
    return replace(assigned(), value=json.dumps(document).encode())


async def test_a_record_that_is_set_aside_unread_gives_back_what_was_reserved_for_it() -> None:
    it = world()
    done = await it.run(unreadable_but_reserved())

    assert isinstance(done, GiveUp)
    assert not done.records
    (sealed,) = it.lane.seal(list(done.facts), 10_000)
    (entry,) = LedgerBatch.model_validate_json(sealed.value or b"").entries
    assert (sealed.topic, sealed.partition) == (LEDGER.name, 2)
    assert (entry.kind, entry.tenant, entry.job_id, entry.submission) == ("release", "acme", "a1", 1)
    assert (entry.decision_id, entry.reserved_nanousd, entry.cost_nanousd) == ("d" * 32, 5_000, 0)
    it.lane.committed(list(done.facts))


@pytest.mark.parametrize(
    "change", [{"carried": {"attempts": []}}, {"submission": "x"}, {"job": {"id": "a/\n"}}, {"assignment": {}}]
)
async def test_what_may_have_been_paid_for_or_cannot_be_named_stays_reserved(change: dict[str, Any]) -> None:
    """The watchdog lists it; nobody guesses."""
    it = world()
    done = await it.run(unreadable_but_reserved(**change))

    assert isinstance(done, GiveUp)
    assert it.lane.seal(list(done.facts), 10_000) == []


async def test_a_fault_of_ours_ends_as_internal_and_names_the_class_alone() -> None:
    it = world()
    done = it.lane.fault(Delivery(assigned(), START), ValueError(PROMPT))
    result = result_of(done)

    assert (result.status, result.error.kind) == ("failed", K.INTERNAL)
    assert isinstance(done, GiveUp)
    assert done.error_type == "ValueError"
    assert PROMPT not in everything_in(done)


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


async def test_what_a_job_did_not_cost_of_its_reservation_is_told_as_given_back() -> None:
    it = world()
    done = await it.run(assigned(reserved=Reserved(home=1, nanousd=5_000)))

    assert [fact.settled.released_nanousd for fact in done.facts] == [4_970]


async def test_of_several_calls_the_usage_is_the_answers_and_what_may_have_been_paid_is_told_by_itself() -> None:
    it = world(httpx.ReadTimeout("silence"), answer())
    done = await it.run(assigned(reserved=Reserved(home=1, nanousd=5_000)))
    money = result_of(done).money
    (sealed,) = it.lane.seal(list(done.facts), 10_000)
    (entry,) = LedgerBatch.model_validate_json(sealed.value or b"").entries

    assert money is not None
    assert (money.paid_nanousd, money.ambiguous_nanousd) == (1_030, 1_000)
    assert [(one.ambiguous, one.nanousd, bool(one.usage)) for one in entry.charges] == [
        (True, 1_000, False), (False, 30, True)
    ]  # fmt: skip


async def test_a_job_that_failed_settles_what_it_may_have_cost_each_call_in_the_tier_of_who_was_called() -> None:
    both = [
        candidate(provider=name, price=candidate().price.model_copy(update={"service_tier": tier}))
        for name, tier in (("groq", "priority"), ("nebius", "flex"))
    ]
    it = world(httpx.ReadTimeout("silence"), max_retries=1)
    done = await it.run(assigned(*both, reserved=Reserved(home=1, nanousd=5_000)))
    (sealed,) = it.lane.seal(list(done.facts), 10_000)
    (entry,) = LedgerBatch.model_validate_json(sealed.value or b"").entries

    assert (entry.kind, entry.status, entry.cost_nanousd) == ("settle", "failed", 2_000)
    assert [(one.provider, one.service_tier) for one in entry.charges] == [("groq", "priority"), ("nebius", "flex")]


async def test_where_nobody_counts_and_nothing_is_charged_the_usage_is_our_own_guess() -> None:
    free = Price(source="test", as_of="2026-11-22", is_free=True)
    silent = {**completion("four words of text"), "usage": None}
    result = result_of(await world(answer(silent)).run(assigned(candidate(price=free))))

    assert (result.cost_nanousd, result.usage["output_tokens"]) == (0, 5)
