"""A job's page: its waits, money, audit and records, and the ways from it to everything that belongs to it."""

import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from console_world import NOON, Story, ms
from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from pages_world import Seen, pages_world

from console.pages.render import job_url
from runtime import telemetry
from runtime.telemetry import encode_spans
from schemas import codec
from schemas.audit import AuditBatch, AuditEntry
from schemas.decision import DecisionBatch
from schemas.ledger import Charge, LedgerBatch, LedgerEntry
from schemas.topics import AUDIT, DECISIONS, JOBS, LEDGER, RESULTS, SPANS

HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(2)>{{7*7}}"""


@pytest.fixture
def world(tmp_path):
    with pages_world(tmp_path) as world:
        yield world


def audit_of(story, action="job.succeeded", **told):
    """An audit record about that job."""
    entry = AuditEntry(
        at=NOON + timedelta(milliseconds=820),
        action=action,
        tenant=story.tenant,
        job_id=story.job_id,
        submission=story.submission,
        **told,
    )
    batch = AuditBatch(
        lane="novix-worker-text.inference.text.v1.0", sequence=5, previous="0" * 64, hash="ab" * 32, entries=[entry]
    )
    return AUDIT.name, 0, 11, ms(NOON) + 835, batch.encode()


def ledger_of(story):
    """The end of that job's reservation."""
    charge = Charge(
        model="org/small", provider="hf-inference", nanousd=1_234, source="computed", attempt=2, request_id="req-2"
    )
    entry = LedgerEntry(
        kind="settle", tenant=story.tenant, job_id=story.job_id, submission=story.submission,
        decision_id=story.decision.decision_id, reserved_nanousd=4_000, cost_nanousd=1_234, cost_source="computed",
        charges=[charge], status="succeeded", at=NOON + timedelta(milliseconds=820),
    )  # fmt: skip
    return LEDGER.name, story.home, 3, ms(NOON) + 835, LedgerBatch(lane="l", entries=[entry]).encode()


def page_of(world, story):
    return world.client.get(job_url(story.tenant, story.job_id))


def test_it_tells_decision_attempts_waits_costs_and_trace(world):
    story = Story()
    world.fill(story)

    text = Seen(page_of(world, story).text).text

    for told in ("waits in inference.jobs.v1", "router", "waits for the next attempt", "attempt 2", "commit",
                 "rate_limited", "req-2", "brief/1", "0.31 of 1", "org/large", "price_ceiling",
                 "as the job itself asks", "novix-sandbox", story.trace.trace_id, "computed", "820 ms",
                 "input tokens"):  # fmt: skip
        assert told in text, told


def test_it_tells_its_story_in_words_and_what_to_do_next(world):
    story = Story(status="rejected")
    world.fill(story)

    text = Seen(page_of(world, story).text).text

    assert "What to do next" in text
    assert "of tenant default: rejected" in text


def test_each_span_shows_attributes_resource_and_raw_json_at_an_address_of_its_own(world):
    story = Story()
    world.fill(story)

    seen = Seen(page_of(world, story).text)

    for span in story.spans:
        assert f"span-{span.span_id}" in seen.ids
        assert f"#span-{span.span_id}" in seen.links
    for told in ("http.response.status_code", "novix.attempt", "service.name", '"span_id": "0606060606060606"'):
        assert told in seen.text, told


def test_links_lead_to_spans_of_the_page_and_to_other_traces(world):
    story = Story()
    [router, *others] = story.spans
    elsewhere = ("ab" * 16, "cd" * 8)
    linked = replace(router, links=((story.trace.trace_id, others[0].span_id), elsewhere))
    encoded = encode_spans("novix", [linked, *others])
    world.records(story.records[0], story.records[1], (SPANS.name, 0, 7, ms(NOON) + 830, encoded), story.records[3])

    seen = Seen(page_of(world, story).text)

    assert f"#span-{others[0].span_id}" in seen.links
    assert f"/traces/{elsewhere[0]}" in seen.links


def test_money_audit_and_records_are_shown_with_their_places(world):
    story = Story()
    world.fill(story)
    world.records(ledger_of(story), audit_of(story, detail={"attempts": 2}, span_id="02" * 8))

    seen = Seen(page_of(world, story).text)

    for told in ("settle", "$0.000001234", "job.succeeded", "novix-worker-text.inference.text.v1.0, 5",
                 '{"attempts": 2}', "novix audit prove a1", "Values are hidden"):  # fmt: skip
        assert told in seen.text, told
    for topic, partition, offset in ((JOBS.name, story.home, 7), (LEDGER.name, story.home, 3), (RESULTS.name, 0, 7)):
        assert f"/records/{topic}/{partition}/{offset}" in seen.links
    assert "#span-0202020202020202" in seen.links


def test_submissions_of_an_id_are_told_apart_and_linked_both_ways(world):
    first = Story(status="rejected")
    second = Story(submission=2, offset=9, began=NOON + timedelta(seconds=10))
    world.fill(first, second)

    seen = Seen(page_of(world, first).text)

    assert {"submission-1", "submission-2", "1-waterfall", "2-waterfall"} <= set(seen.ids)
    assert {"#submission-1", "#submission-2"} <= set(seen.links)
    assert len(seen.ids) == len(set(seen.ids))


def test_the_money_of_each_submission_stands_in_its_own_part_of_the_page(world):
    first, second = Story(status="failed"), Story(submission=2, offset=9, began=NOON + timedelta(seconds=10))
    world.fill(first, second)
    for story, nanousd in ((first, 777), (second, 555)):
        topic, partition, offset, at_ms, value = ledger_of(story)
        world.records((topic, partition, offset + nanousd, at_ms, value.replace(b"1234", str(nanousd).encode())))

    _, newest, oldest = page_of(world, first).text.split("<article")

    for part, own, other in ((newest, "$0.000000555", "$0.000000777"), (oldest, "$0.000000777", "$0.000000555")):
        assert own in part
        assert other not in part


def test_a_waiting_job_follows_the_stream_and_a_finished_one_does_not(world):
    story = Story()
    job, decision, spans, result = story.records
    world.records(job, decision)
    waiting = page_of(world, story).text
    assert 'hx-sse:connect="/events/jobs?since=' in waiting
    assert 'hx-trigger="changed from:#stream' in waiting
    assert "not ended yet" in waiting

    world.records(spans, result)

    done = page_of(world, story).text
    assert "hx-trigger" not in done
    assert "hx-trigger" not in world.client.get("/fragments/job?tenant=default&id=a1").text


def test_a_job_is_found_by_trace_and_by_record_and_what_is_unknown_is_said(world):
    story = Story()
    world.fill(story)

    for address in (f"/traces/{story.trace.trace_id}", f"/records/inference.jobs.v1/{story.home}/7"):
        answer = world.client.get(address)
        assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/default/a1")
    unknown = ("/records/inference.jobs.v1/0/4711", "/traces/" + "0" * 32, "/jobs/default/unknown", "/traces/x",
               "/records/t/99999999999999999999/1", "/api/jobs/default/unknown", "/traces/%00/otlp.json")  # fmt: skip
    for address in unknown:
        assert world.client.get(address).status_code == 404, address


def test_a_trace_with_several_jobs_lists_them_over_all_of_its_spans(world):
    parent = "00-" + "5a" * 16 + "-" + "6b" * 8 + "-01"
    stories = [Shared(job_id=f"j{n}", offset=n, parent=parent) for n in range(2)]
    world.fill(*stories)

    answer = world.client.get("/traces/" + "5a" * 16)
    seen = Seen(answer.text)

    assert answer.status_code == 200
    assert {"/jobs/default/j0", "/jobs/default/j1"} <= set(seen.links)
    assert seen.is_clean


class Shared(Story):
    """A job that its producer published inside a trace of its own."""

    def __init__(self, *, parent, **told):
        super().__init__(**told)
        object.__setattr__(self, "parent", parent)

    @property
    def trace(self):
        return telemetry.trace_of((("traceparent", self.parent.encode()),))


def test_the_json_twin_carries_everything(world):
    story = Story()
    world.fill(story)
    world.records(ledger_of(story), audit_of(story))

    told = world.client.get("/api/jobs/default/a1").json()
    [job] = told["submissions"]

    assert (job["result"]["status"], job["decision"]["policy"], len(job["spans"])) == ("succeeded", "brief/1", 6)
    assert [row["kind"] for row in told["money"]][-2:] == ["settle", "release"]
    assert [row["action"] for row in told["audit"]] == ["job.succeeded"]
    assert {"job", "decision", "result", "ledger", "audit"} <= {row["what"] for row in told["records"]}


def test_a_trace_leaves_as_otlp_json_that_the_official_classes_read(world):
    story = Story()
    world.fill(story)

    document = world.client.get(f"/traces/{story.trace.trace_id}/otlp.json").json()

    spans = [span for group in document["resourceSpans"] for scope in group["scopeSpans"] for span in scope["spans"]]
    assert {span["traceId"] for span in spans} == {story.trace.trace_id}
    assert {span["spanId"] for span in spans} == {span.span_id for span in story.spans}
    for span in spans:  # protobuf's own JSON has bytes in base64, OTLP's in hexadecimal
        span.update(
            {
                name: base64.b64encode(bytes.fromhex(span[name])).decode()
                for name in ("traceId", "spanId", "parentSpanId")
                if name in span
            }
        )
        assert isinstance(span["kind"], int)
    read = json_format.ParseDict(document, TracesData())
    told = {
        span.span_id.hex(): span for group in read.resource_spans for scope in group.scope_spans for span in scope.spans
    }
    first = told["05" * 8]
    assert first.status.message == "rate_limited"
    assert first.parent_span_id.hex() == "03" * 8
    assert {pair.key: pair.value.int_value for pair in first.attributes}["http.response.status_code"] == 429
    assert first.end_time_unix_nano - first.start_time_unix_nano == 40_000_000


def test_hostile_outputs_messages_models_headers_and_spans_are_text(world):
    story = Story(tenant="t<b>", output={"choices": [{"message": {"role": "assistant", "content": HOSTILE}}]})
    job, decision, _, result = story.records
    spans = [
        replace(span, name=HOSTILE, attributes={**span.attributes, HOSTILE: "\u202e\x1b[31m" + "y" * 5_000})
        for span in story.spans
    ]
    evil = codec.decode(result[4]) | {
        "error": {"kind": HOSTILE, "message": "\x1b]0;t\x07" + HOSTILE},
        "usage": {HOSTILE: 3},
    }
    headers = ((HOSTILE, HOSTILE.encode()), ("x", b"\xff\xfe\x1b[31m"))
    world.records((*job, b"k\x1b", headers), decision, (SPANS.name, 0, 7, ms(NOON) + 830, encode_spans("novix", spans)))
    world.records((*result[:4], codec.encode(evil)), audit_of(story, action=HOSTILE, detail={HOSTILE: HOSTILE}))

    page = page_of(world, story)
    seen = Seen(page.text)

    assert seen.is_clean
    assert HOSTILE in seen.text
    assert not any(char in page.text for char in "\x1b\x07\u202e")
    assert "y" * 1_000 not in page.text.partition("Raw JSON")[0]


@pytest.mark.parametrize("capture", [False, True])
def test_outputs_are_shown_only_where_content_is_kept(tmp_path, capture):
    output = {"choices": [{"message": {"role": "assistant", "content": "The planted answer."}}]}
    with pages_world(tmp_path, capture=capture) as world:
        world.fill(Story(output=output))
        pages = [
            page_of(world, Story()).text,
            world.client.get("/api/jobs/default/a1").text,
            world.client.get("/").text,
        ]

    assert ("The planted answer." in pages[0], "The planted answer." in pages[1]) == (capture, capture)
    assert "The planted answer." not in pages[2]
    assert ("NOVIX_CAPTURE_CONTENT" in pages[0]) is not capture


STRANGE = (7, "text", [1, {"a": 2}], {"a": [None]}, None, True, -(2**62), 1e300)


@pytest.mark.parametrize("strange", STRANGE, ids=lambda value: type(value).__name__)
def test_documents_of_any_shape_make_a_page(world, strange):
    """Whoever may write a topic may write nonsense; nobody else's page depends on it."""
    story = Story()
    job, decision, spans, result = story.records
    told, decided = codec.decode(result[4]), codec.decode(decision[4])
    identity = ("tenant", "job_id", "submission")
    evil = {name: value if name in identity else strange for name, value in told.items()}
    inner = {**told, "attempts": [dict.fromkeys(told["attempts"][0], strange)], "error": {"kind": strange}}
    [one] = decided["decisions"]
    odd = {name: value if name in identity else strange for name, value in one.items()}
    deeper = {
        **one,
        "candidates": [dict.fromkeys(one["candidates"][0], strange)],
        "exclusions": [dict.fromkeys(one["exclusions"][0], strange)],
        "reserve": {"budgets": [{"id": strange, "limit_nanousd": strange}], "nanousd": strange},
    }
    for submission, (answer, ruling) in enumerate(((evil, odd), (inner, deeper)), 1):
        batch = {**decided, "decisions": [{**ruling, "submission": submission}]}
        ended = {**answer, "submission": submission}
        world.records(job, (*decision[:2], submission, decision[3], codec.canonical(batch)), spans)
        world.records((*result[:2], submission, result[3], codec.canonical(ended)))

    for address in ("/jobs/default/a1", "/", "/api/jobs/default/a1", "/jobs.csv", "/fragments/statistics"):
        assert world.client.get(address).status_code == 200, address


def test_a_record_that_speaks_of_several_jobs_leads_to_each(world):
    first, second = Story(job_id="one"), Story(job_id="two", offset=8)
    batch = DecisionBatch(lane="l", decisions=[first.decision, second.decision])
    world.records(*first.records[:1], *second.records[:1], (DECISIONS.name, 0, 44, ms(NOON) + 30, batch.encode()))

    answer = world.client.get(f"/records/{DECISIONS.name}/0/44")

    assert answer.status_code == 200
    assert {"/jobs/default/one", "/jobs/default/two"} <= set(Seen(answer.text).links)
