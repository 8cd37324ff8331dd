"""Traces on the pages: of producers who speak W3C's headers alone, of links both ways, and as OTLP."""

import base64
from dataclasses import replace

import pytest
from console_world import NOON, Story, ms
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status, TracesData
from pages_world import Seen, pages_world

from console.pages.render import job_url
from runtime import telemetry
from runtime.telemetry import encode_spans
from schemas.topics import SPANS

TRACE, PARENT = "5a" * 16, "6b" * 8
NOON_NS = ms(NOON) * 1_000_000


@pytest.fixture
def world(tmp_path):
    with pages_world(tmp_path) as world:
        yield world


class Told(Story):
    """A job that came with a producer's `traceparent`."""

    @property
    def trace(self):
        return telemetry.trace_of((("traceparent", f"00-{TRACE}-{PARENT}-01".encode()),))


def page_of(world, story):
    return world.client.get(job_url(story.tenant, story.job_id))


def test_a_link_into_a_job_shows_on_its_page_on_its_traces_and_in_its_json(world):
    """A dead letter driven again, and the jobs of a batch, have traces of their own that link back."""
    story, again = Story(), Story(job_id="b2", submission=2, offset=8)
    [router, *others] = again.spans
    back = [replace(router, links=((story.trace.trace_id, "02" * 8), ("5a" * 16, "6b" * 8))), *others]
    world.fill(story)
    world.records(*again.records[:2], (SPANS.name, 0, 8, ms(NOON) + 830, encode_spans("novix", back)), again.records[3])

    seen = Seen(page_of(world, story).text)

    assert "linked from" in seen.text
    assert "/jobs/default/b2#submission-2" in seen.links
    [told] = world.client.get("/api/jobs/default/a1").json()["submissions"]
    assert [(one["job_id"], one["submission"]) for one in told["linked_from"]] == [("b2", 2)]
    assert "linked from" not in Seen(page_of(world, again).text).text
    # The producer's trace holds no span that is known here, and leads to its jobs all the same.
    producers = Seen(world.client.get("/traces/" + "5a" * 16).text)
    assert "/jobs/default/b2#submission-2" in producers.links
    assert "Linked from 1" in producers.text


def test_a_parent_or_a_link_that_is_not_on_the_page_is_told_as_remote_and_leads_nowhere_on_it(world):
    story = Told()
    [router, worker, *others] = story.spans
    linked = [
        replace(router, links=(("5a" * 16, "6b" * 8),)),
        replace(worker, links=(("5a" * 16, router.span_id),)),
        *others,
    ]
    encoded = encode_spans("novix", linked)
    world.records(*story.records[:2], (SPANS.name, 0, 7, ms(NOON) + 830, encoded), story.records[3])

    html = page_of(world, story).text
    seen = Seen(html)

    anchors = {link[1:] for link in seen.links if link.startswith("#span-")}
    assert anchors <= set(seen.ids)
    assert "6b6b6b6b6b6b6b6b, remote: not among these spans" in seen.text
    assert "span 6b6b6b6b6b6b6b6b of this trace, remote" in seen.text
    # Both ways: the worker's span links to the router's, and the router's says so.
    of_router = Seen(html.partition(f'id="span-{router.span_id}"')[2].partition("</section>")[0])
    assert "Linked from" in of_router.text
    assert f"#span-{worker.span_id}" in of_router.links


def test_a_job_of_a_producer_that_speaks_w3c_alone_is_found_by_its_trace_from_the_first_record_on(world):
    """No collector and no span of the producer's is known here; state and baggage travel beside."""
    story = Told()
    job, *rest = story.records
    headers = (
        ("traceparent", f"00-{TRACE}-{PARENT}-01".encode()), ("tracestate", b"shop=1,other=2"), ("baggage", b"a=b"),
    )  # fmt: skip
    world.records((*job, b"k", headers))
    found = [world.client.get(f"/traces/{TRACE}").headers.get("location")]
    world.records(*rest)
    found.append(world.client.get(f"/traces/{TRACE.upper()}").headers.get("location"))

    assert found == ["/jobs/default/a1"] * 2
    assert [one["job_id"] for one in world.client.get("/api/jobs", params={"q": TRACE}).json()["jobs"]] == ["a1"]
    seen = Seen(page_of(world, story).text)
    assert f"{PARENT}, remote" in seen.text
    assert f"tracestate{headers[1][1].decode()}" in seen.text  # among the headers of its record


def test_a_trace_leaves_with_links_events_kinds_resources_and_errors_as_it_came(world):
    """What anybody's exporter wrote is what anybody's viewer reads."""
    nested = AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue(string_value="b")]))
    told = [
        KeyValue(key=name, value=value)
        for name, value in (
            ("s", AnyValue(string_value="größer")), ("i", AnyValue(int_value=-(2**63))),
            ("d", AnyValue(double_value=0.5)), ("b", AnyValue(bool_value=True)), ("n", nested),
        )
    ]  # fmt: skip
    first = Span(
        trace_id=bytes.fromhex(TRACE), span_id=b"\x01" * 8, parent_span_id=bytes.fromhex(PARENT), name="checkout",
        kind=Span.SPAN_KIND_SERVER, start_time_unix_nano=NOON_NS + 1, end_time_unix_nano=NOON_NS + 999_999_999,
        attributes=told, status=Status(code=Status.STATUS_CODE_ERROR, message="refused"),
        events=[Span.Event(name="exception", time_unix_nano=NOON_NS + 5, attributes=told[:1])],
        links=[Span.Link(trace_id=b"\x07" * 16, span_id=b"\x08" * 8)],
    )  # fmt: skip
    second = Span(
        trace_id=bytes.fromhex(TRACE), span_id=b"\x02" * 8, parent_span_id=b"\x01" * 8, name="pay",
        kind=Span.SPAN_KIND_PRODUCER, start_time_unix_nano=NOON_NS + 7, end_time_unix_nano=NOON_NS + 8,
    )  # fmt: skip
    shop = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value="shop"))])
    request = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=shop, scope_spans=[ScopeSpans(spans=[first, second])])]
    )
    world.records((SPANS.name, 0, 1, ms(NOON), request.SerializeToString()))

    document = world.client.get(f"/traces/{TRACE}/otlp.json").json()

    for group in document["resourceSpans"]:
        for span in (span for scope in group["scopeSpans"] for span in scope["spans"]):
            for one in (span, *span.get("links", ())):  # protobuf's own JSON has bytes in base64, OTLP's in hexadecimal
                one.update({name: base64.b64encode(bytes.fromhex(one[name])).decode()
                            for name in ("traceId", "spanId", "parentSpanId") if name in one})  # fmt: skip
    [group] = json_format.ParseDict(document, TracesData()).resource_spans
    assert group.resource == shop
    assert list(group.scope_spans[0].spans) == [first, second]
