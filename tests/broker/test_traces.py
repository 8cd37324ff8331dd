"""Real processes under the standard OTEL_* variables: whose name spans bear, which are written, where they arrive."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otlp_receiver import Receiver, receiving
from stranger import Stranger, encoded, installation
from system import Process, chat

from schemas.topics import SPANS

pytestmark = pytest.mark.broker
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OTEL = {
    "OTEL_SERVICE_NAME": "shop-inference",
    "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,team=a%20b",
    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0",
}


@pytest.fixture(scope="module")
def traced(broker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """An installation that samples none of its own traces."""
    folder = tmp_path_factory.mktemp("traces")
    with installation(broker.bootstrap, folder, NOVIX_BREAKER="false", **OTEL) as stranger:
        yield stranger


@pytest.fixture(scope="module")
def received(traced: Stranger) -> Iterator[Receiver]:
    """What a back end got by `novix relay`: a producer's trace, a job nobody sampled, and one that was refused."""
    headers = [("traceparent", f"00-{TRACE}-{PARENT}-01".encode()), ("tracestate", b"shop=1")]
    traced.write([(b"t", encoded(chat("told", "t")), headers)])
    traced.publish(chat("untold", "t"), chat("refused", "t", model="no/such-model"))
    for job_id in ("told", "untold", "refused"):
        traced.result(job_id, "t")
    traced.quiet()
    with receiving() as receiver:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_EXPORTER_OTLP_HEADERS": "x-team=novix",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_TIMEOUT": "5",
        }  # fmt: skip
        relay = Process(("-m", "console", "relay"), {**traced.system.environment, **variables})
        relay.log = Path(traced.folder) / "relay.log"
        relay.start()
        try:
            receiver.wait(lambda: len(receiver.spans()) >= 8)
            assert relay.terminate() == 0
        finally:
            relay.stop()
        yield receiver


def test_a_producer_of_w3c_headers_alone_finds_its_trace_whole_at_the_back_end_and_on_its_result(
    traced: Stranger, received: Receiver
) -> None:
    spans = {span.span_id.hex(): span for span in received.spans() if span.trace_id.hex() == TRACE}
    (result,) = [found for found in traced.until(len) if found.key == b"t/told"]
    _, trace_id, parent, flags = (result.header("traceparent") or "").split("-")

    assert (trace_id, flags, result.header("tracestate")) == (TRACE, "01", "shop=1")
    assert spans[parent].name == "send inference.results.v1"
    assert [span.name for span in spans.values() if span.parent_span_id.hex() == PARENT] == [
        "process inference.jobs.v1"
    ]
    assert {span.parent_span_id.hex() for span in spans.values()} <= spans.keys() | {PARENT}


def test_an_error_is_kept_where_nothing_is_sampled_and_what_went_well_is_counted_and_left_out(
    traced: Stranger, received: Receiver
) -> None:
    jobs = {
        attribute.value.string_value
        for span in received.spans()
        for attribute in span.attributes
        if attribute.key == "novix.job.id"
    }
    assert jobs == {"told", "refused"}
    refused = traced.result("refused", "t")
    assert refused["trace_id"] in {span.trace_id.hex() for span in received.spans()}


def test_service_name_and_resource_attributes_are_the_operators_and_the_role_is_told_besides(
    received: Receiver,
) -> None:
    resources = [
        {one.key: one.value.string_value for one in resource.resource.attributes}
        for request in received.requests
        for resource in request.resource_spans
    ]

    assert {told["service.name"] for told in resources} == {"shop-inference"}
    assert {told["novix.role"] for told in resources} == {"novix-router", "novix-worker-text"}
    assert {(told["deployment.environment.name"], told["team"]) for told in resources} == {("test", "a b")}
    assert {told["service.namespace"] for told in resources} == {"novix"}
    assert {told["x-team"] for told in received.headers} == {"novix"}


def test_a_record_of_the_topic_is_what_a_collectors_kafka_receiver_reads_as_otlp_proto(traced: Stranger) -> None:
    """The receiver unmarshals each record's value as one trace request, and nothing else of the record."""
    for found in traced.read(SPANS.name):
        request = ExportTraceServiceRequest.FromString(found.value or b"")
        assert request.SerializeToString()
        assert all(
            span.trace_id and span.span_id and span.start_time_unix_nano <= span.end_time_unix_nano
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        )
