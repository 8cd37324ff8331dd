"""One job, one trace: every span as the table has it, one story across router, worker and retry lane, money told once.

Spans are read as a collector reads them: with OpenTelemetry's own protobuf classes.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes, messaging_attributes
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes
from router_world import START, HandClock, chat
from router_world import World as Router
from turns import Lane, budget, reserved_by_one
from worker_world import PROMPT, answer, assigned, candidate, completion, delta, events, failing, result_of, world

from runtime import telemetry
from runtime.blobs import BlobStore, BlobUnavailable
from runtime.blobs.folder import FolderStore
from runtime.breaker import BreakerKey
from runtime.cancels import Cancels
from runtime.capture import Capture
from runtime.outcome import Done, Publish
from runtime.ports import Delivery, LaneId, Record, Resumed
from runtime.retrying import RetryApplication
from runtime.telemetry import SpanDraft, TraceContext, encode_spans, told_trace
from runtime.telemetry_table import SPANS, kind_of
from schemas import headers, media
from schemas.topics import RETRY_TIERS, TEXT

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PRODUCERS = ((headers.TRACEPARENT, f"00-{TRACE}-{PARENT}-01".encode()), (headers.TRACESTATE, b"shop=1"))
REGISTERED = {
    value
    for module in (gen_ai_attributes, messaging_attributes, error_attributes, http_attributes, server_attributes)
    for value in vars(module).values()
    if isinstance(value, str)
}
OLD = {
    "messaging.operation", "messaging.kafka.message.offset", "messaging.kafka.destination.partition",
    "messaging.kafka.consumer.group", "messaging.message.payload_size_bytes", "messaging.destination_publish.name",
    "gen_ai.system", "gen_ai.prompt", "gen_ai.completion", "gen_ai.usage.prompt_tokens",
    "gen_ai.usage.completion_tokens",
}  # fmt: skip


def decoded(spans: Sequence[SpanDraft]) -> list[Any]:
    """What a collector makes of them."""
    request = ExportTraceServiceRequest.FromString(encode_spans("novix", spans, START) or b"")
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


def fits(spans: Iterable[SpanDraft]) -> set[str]:
    """The kinds of spans that were seen; each has what the table wants, and nothing else."""
    seen = set()
    for span in spans:
        kind = kind_of(span)
        assert kind.fault(span) is None
        seen.add(kind.meaning)
    return seen


def told(done: Done, name: str) -> SpanDraft:
    (span,) = [one for one in done.spans if one.name == name]
    return span


def test_every_name_of_the_table_is_registered_or_ours_and_none_is_an_old_one() -> None:
    names = {name for kind in SPANS for name in (*kind.required, *kind.optional)}
    standard = {name for name in names if not name.startswith("novix.")}

    assert standard <= REGISTERED
    assert not names & OLD
    told_names = {value for name, value in vars(telemetry).items() if name.isupper() and isinstance(value, str)}
    assert {name for name in told_names if name.startswith(("messaging.", "gen_ai.", "http.", "server."))} <= REGISTERED


def test_nobody_of_ours_writes_an_old_name() -> None:
    root = Path(telemetry.__file__).parents[1]
    rooms = ("schemas", "runtime", "router", "workers")
    sources = {path: path.read_text() for room in rooms for path in (root / room).rglob("*.py")}

    for name in OLD:
        quoted = re.compile(f"[\"']{re.escape(name)}[\"']")
        assert [path for path, text in sources.items() if quoted.search(text)] == []


async def test_every_span_of_router_worker_and_retry_lane_is_in_the_table(tmp_path: Path) -> None:
    router = Router(tmp_path)
    router.cancel("gone")
    await router.run(
        *(
            router.job(job)
            for job in (chat(), chat("no", model="no/such"), chat("gone"), chat("poor", max_cost_nanousd=1))
        )
    )
    seen = [span for done in router.outcomes for span in done.spans]
    stream = [delta(role="assistant"), delta("Hi", "stop"), {"choices": [], "usage": {"prompt_tokens": 3}}]
    for record, steps in (
        (assigned(), [failing(503), answer()]),
        (assigned(job={"input": {"messages": [], "stream": True}}), [events(*stream)]),
        (assigned(candidate(dialect="openai-compatible")), [answer()]),
        (assigned(), [failing(400)]),
        (assigned(), [httpx.ReadTimeout("slow")]),
    ):
        seen += (await world(*steps).run(record)).spans
    left = world(failing(429, **{"retry-after": "30"}), answer())
    seen += (await left.travel(assigned())).spans
    assert left.left
    seen += (await retried(left.left[0])).spans

    kinds = {kind.meaning for kind in SPANS}
    assert fits(seen) == kinds
    assert len({span.span_id for span in decoded(seen) if span.trace_id.hex() != TRACE}) == 8


async def retried(left: Publish) -> Publish:
    """What a retry lane makes of a record when it is due."""
    (out,) = left.records
    tier = next(topic for _, topic in RETRY_TIERS if topic.name == out.topic)
    clock = HandClock()
    clock.turn(60 * 60)
    app = RetryApplication(tier, clock, Cancels())
    lane = await app.open_lane(LaneId(app.group, app.topic, 0), None, Resumed(0))  # type: ignore[arg-type]
    stamp = int(START.timestamp() * 1000)
    outcome = await lane.handle(Delivery(Record(out.topic, 0, 4, out.key, out.value, out.headers, stamp), clock.now()))
    assert isinstance(outcome, Publish)
    return outcome


async def test_a_producers_trace_runs_through_router_and_worker_to_the_results_headers(tmp_path: Path) -> None:
    """Each hop goes on from the span of the record's sending: a parent that is in the trace, and a link to it."""
    router = Router(tmp_path)
    written = await router.run(router.job(chat(), headers=PRODUCERS))
    (record,) = [one for one in written if one.topic == TEXT.name]
    worked = await world(answer()).run(record)
    spans = {span.span_id.hex(): span for span in decoded([*router.outcomes[0].spans, *worked.spans])}

    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    assert {span.trace_state for span in spans.values()} == {"shop=1"}
    roots = [span for span in spans.values() if span.parent_span_id.hex() not in spans]
    assert [(span.name, span.parent_span_id.hex()) for span in roots] == [("process inference.jobs.v1", PARENT)]
    for span in spans.values():
        if span.name.startswith("process "):
            assert [link.span_id.hex() for link in span.links] == [span.parent_span_id.hex()]
    names = {name: span for span in spans.values() for name in [span.name]}
    assert spans[names["process inference.text.v1"].parent_span_id.hex()].name == "send inference.text.v1"
    on_result = told_trace(worked.records[0].headers)
    assert on_result is not None
    assert (on_result.trace_id, on_result.state) == (TRACE, "shop=1")
    assert spans[str(on_result.parent_id)].name == "send inference.results.v1"
    assert json.loads(worked.records[0].value or b"")["trace_id"] == TRACE


async def test_a_router_tells_in_milliseconds_how_long_a_job_lay_in_its_topic(tmp_path: Path) -> None:
    router = Router(tmp_path)
    record = router.job(chat())
    published = record.timestamp_ms
    router.clock.turn(7)
    await router.run(record)
    span = router.outcomes[0].spans[0]

    assert span.attributes["novix.queued_ms"] == int(span.start.timestamp() * 1_000) - published


async def test_a_job_of_a_batch_has_a_trace_of_its_own_that_links_to_who_published_the_batch(tmp_path: Path) -> None:
    router = Router(tmp_path)
    jobs = [router.job(chat(f"b{n}", priority="batch"), headers=PRODUCERS) for n in range(3)]
    await router.run(*jobs)
    spans = [done.spans[0] for done in router.outcomes]

    assert len({span.context.trace_id for span in spans} - {TRACE}) == 3
    assert {span.context.parent_id for span in spans} == {None}
    assert {span.links for span in spans} == {((TRACE, PARENT),)}


async def test_a_dead_letter_driven_again_has_a_trace_of_its_own_that_links_to_the_first(tmp_path: Path) -> None:
    router = Router(tmp_path)
    written = await router.run(router.job(chat(), headers=PRODUCERS))
    letter = router.failed(next(one for one in written if one.topic == TEXT.name))
    await router.run(router.redrive(letter))
    first, again = (done.spans for done in router.outcomes)

    assert again[0].context.trace_id != TRACE
    assert again[0].context.parent_id is None
    sent = next(span for span in first if span.name.startswith("send "))
    assert again[0].links == ((TRACE, sent.span_id),)


async def test_a_redrive_that_kept_the_old_headers_still_has_a_trace_of_its_own(tmp_path: Path) -> None:
    router = Router(tmp_path)
    written = await router.run(router.job(chat(), headers=PRODUCERS))
    letter = router.failed(next(one for one in written if one.topic == TEXT.name))
    claim = next(one for one in router.redrive(letter).headers if one[0] == headers.REDRIVE)
    await router.run(router.job(chat(), headers=(*PRODUCERS, claim)))

    assert router.outcomes[-1].spans[0].context.trace_id != TRACE
    assert (TRACE, PARENT) in router.outcomes[-1].spans[0].links


async def test_what_was_paid_stands_once_in_the_call_and_adds_up_over_the_attempts() -> None:
    """A cached token is in the input's tokens as well: it is told beside them, and charged once."""
    usage = {
        "prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 80},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }  # fmt: skip
    it = world(httpx.ReadTimeout("slow"), answer({**completion(), "usage": usage}))
    done = await it.run(assigned())
    result, call = result_of(done), told(done, "chat acme/chat")
    posts = [span for span in done.spans if span.name == "POST"]

    assert len(posts) == 2
    assert sum(int(post.attributes["novix.cost_nanousd"] or 0) for post in posts) == result.cost_nanousd
    assert call.attributes["novix.cost_nanousd"] == told(done, f"process {TEXT.name}").attributes["novix.cost_nanousd"]
    assert call.attributes["novix.cost_nanousd"] == result.cost_nanousd
    assert call.attributes["gen_ai.usage.input_tokens"] == 100
    assert call.attributes["gen_ai.usage.cache_read.input_tokens"] == 80
    assert call.attributes["gen_ai.usage.output_tokens"] == 10
    assert call.attributes["gen_ai.usage.reasoning.output_tokens"] == 4
    assert not [post for post in posts if any("tokens" in name for name in post.attributes)]
    assert [post.attributes.get("novix.ambiguous") for post in posts] == [True, None]


async def test_who_was_asked_how_and_why_it_ended_stands_in_the_call() -> None:
    done = await world(answer(**{"x-request-id": "r-1"})).run(assigned())
    call, post = told(done, "chat acme/chat").attributes, told(done, "POST").attributes

    assert (call["gen_ai.provider.name"], call["novix.provider"]) == ("huggingface", "auto")
    assert (call["gen_ai.request.max_tokens"], call["gen_ai.request.temperature"]) == (64, 0.7)
    assert call["gen_ai.response.finish_reasons"] == ("stop",)
    assert (post["server.address"], post["server.port"]) == ("provider.test", 80)


async def test_a_call_lies_in_its_record_and_each_attempt_in_the_call_with_its_number_its_answer_and_its_times() -> (
    None
):
    done = await world(failing(503), answer()).run(assigned())
    process, call, sent = (
        told(done, name) for name in (f"process {TEXT.name}", "chat acme/chat", "send inference.results.v1")
    )
    posts = [span for span in done.spans if span.name == "POST"]
    waits = [span for span in done.spans if span.name.startswith("wait ")]
    timing = result_of(done).timing_ms

    assert {span.context.parent_id for span in (call, sent, *waits)} == {process.span_id}
    assert [post.context.parent_id for post in posts] == [call.span_id] * 2
    for inner, outer in ((call, process), *((one, process) for one in waits), *((post, call) for post in posts)):
        assert inner.end is not None
        assert outer.end is not None
        assert outer.start <= inner.start <= inner.end <= outer.end
    assert [post.attributes["http.response.status_code"] for post in posts] == [503, 200]
    assert [post.attributes["http.request.resend_count"] for post in posts] == [None, 1]
    assert (process.attributes["novix.waited_ms"], process.attributes["novix.queued_ms"]) == (
        timing["waiting"], timing["routed"]
    )  # fmt: skip
    assert timing["waiting"] > timing["routed"]


async def test_a_job_that_waits_in_a_retry_topic_stays_in_its_trace_on_the_way_there_and_back() -> None:
    """The rest and the work after it have the same parent, the record's sending, and a link to it."""
    record = replace(assigned(), headers=TraceContext(TRACE, PARENT, False, "shop=1").headers())
    it = world(failing(429, **{"retry-after": "30"}))
    await it.travel(record)
    there = it.left[0].records[0]
    back = await retried(it.left[0])
    (rest,) = back.spans

    for out in (there, back.records[0]):
        assert told_trace(out.headers) == TraceContext(TRACE, PARENT, False, "shop=1")
    assert rest.context == TraceContext(TRACE, PARENT, False, "shop=1")
    assert rest.links == ((TRACE, PARENT),)


async def test_a_wait_for_a_slot_is_told_as_throttled_while_a_429_holds_everybody_back() -> None:
    it = world()
    key = BreakerKey("auto", "acme/chat")
    busy = it.limits.slot(key, 1)
    await busy.acquire()
    it.limits.hold(key, it.clock.monotonic() + 60, tell=False)
    job = asyncio.create_task(it.run(assigned(candidate(max_in_flight=1))))
    await asyncio.sleep(0)
    it.clock.turn(61)
    busy.release()
    done = await job

    assert told(done, "wait throttle").attributes == {"novix.wait": "throttle"}
    assert "throttle" in telemetry.WAITS


async def test_a_job_that_waits_for_money_or_a_rate_tells_so_in_a_span(tmp_path: Path) -> None:
    lane = Lane(tmp_path)
    lane.tell(budget(await reserved_by_one(tmp_path)))
    first, second = await lane.give(chat("a")), await lane.give(chat("b"))
    lane.world.clock.turn(2)
    lane.end(first, 0)
    held = told(lane.ended[second], "wait money")
    process = told(lane.ended[second], "process inference.jobs.v1")

    assert (held.end, held.context.parent_id) == (process.end, process.span_id)
    assert held.end is not None
    assert (held.end - held.start).total_seconds() == 2
    fits(lane.ended[second].spans)
    assert not [span for span in lane.ended[first].spans if span.name.startswith("wait ")]


class Away(FolderStore):
    """A store that takes nothing."""

    asked = 0

    async def put(self, data: bytes, media_type: str) -> str:
        self.asked += 1
        raise BlobUnavailable("it is away")


async def captured(store: BlobStore, jobs: int = 1) -> Done:
    it = world(answer(completion("the planted answer")), shared={"capture": Capture(store)})
    done: list[Done] = [await it.run(assigned()) for _ in range(jobs)]
    return done[-1]


async def test_content_stands_in_no_span_and_with_capture_in_the_store_under_the_digest_that_the_span_tells(
    tmp_path: Path,
) -> None:
    plain = await world(answer(completion("the planted answer"))).run(assigned())
    async with FolderStore(tmp_path) as store:
        done = await captured(store)
        call = told(done, "chat acme/chat").attributes
        kept = [await store.get(str(call[f"novix.{side}.sha256"]), max_bytes=10_000) for side in ("input", "output")]

    for one in (plain, done):
        wire = encode_spans("novix", one.spans, START) or b""
        assert PROMPT.encode() not in wire
        assert b"the planted answer" not in wire
        assert b"gen_ai.input.messages" not in wire
    assert not [
        name for span in plain.spans for name in span.attributes if name.startswith(("novix.input", "novix.out"))
    ]
    fits(done.spans)
    asked, said = (json.loads(blob.data) for blob in kept)
    assert asked == [{"role": "user", "parts": [{"type": "text", "content": PROMPT}]}]
    assert said[0]["parts"] == [{"type": "text", "content": "the planted answer"}]
    assert said[0]["finish_reason"] == "stop"
    assert call["novix.input.ref"] == f"{media.BLOB_SCHEME}{call['novix.input.sha256']}"
    assert call["novix.input.size_bytes"] == len(kept[0].data)


async def test_a_store_that_is_away_fails_no_job_and_is_soon_asked_less_often(tmp_path: Path) -> None:
    store = Away(tmp_path)
    done = await captured(store, jobs=20)

    assert result_of(done).status == "succeeded"
    assert store.asked == 3
    assert "novix.input.ref" not in told(done, "chat acme/chat").attributes
