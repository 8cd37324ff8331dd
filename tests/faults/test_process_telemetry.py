"""An OTLP endpoint that is down, slow or broken: no job waits for it, and every span is on its topic."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ordeal import ordeal
from otlp_receiver import receiving

from console.index.spans import decode_spans
from sandbox.kafka.process import free_port
from schemas.topics import SPANS

RELAY = ("-m", "console", "relay")
JOBS = 60
SLOW_S = 5.0


@contextmanager
def endpoint(kind: str) -> Iterator[str]:
    """An OTLP endpoint over HTTP that does not do its work; its address."""
    if kind == "down":
        yield f"http://127.0.0.1:{free_port('127.0.0.1', random.Random())}"
        return

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if kind == "slow":
                time.sleep(SLOW_S)
            self.send_error(500)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.row(47)
@pytest.mark.parametrize("kind", ["broken", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("down", "slow"))])
def test_no_job_waits_for_an_endpoint_of_spans_and_each_has_its_own_on_the_topic(broker, tmp_path, proof, kind):
    """The variables are those of any OpenTelemetry program; our spans leave in the lanes' transactions, and neither
    router nor worker ever asks the endpoint. Who does is the relay: see below."""
    with endpoint(kind) as address:
        told = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "otlp",
        }  # fmt: skip
        with ordeal(broker.bootstrap, tmp_path, proof=proof, **told) as run:
            run.publish(JOBS)
            run.verdict(note=kind)
            spans = [span for found in run.stranger.read(SPANS.name) for span in decode_spans(found.value or b"")]

    assert sum(span.name.startswith("process ") for span in spans) >= 2 * JOBS, "spans of some hop are lost"


@pytest.mark.row(47)
def test_a_relay_whose_endpoint_is_broken_holds_no_job_up_and_hands_over_every_span_when_it_is_well(
    broker, tmp_path, proof
):
    """`novix relay` asks again for as long as it takes; nothing is dropped, for the topic has it all."""
    with receiving() as receiver, ordeal(broker.bootstrap, tmp_path, proof=proof) as run:
        receiver.status = 500
        relay = run.system.process(RELAY, "relay").start(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        try:
            run.publish(JOBS)
            run.until()
            receiver.wait(lambda: receiver.refusals >= 2)
            assert receiver.requests == []
            receiver.status = 200
            run.healed()
            run.recover()
            receiver.wait(lambda: sum(span.name.startswith("process ") for span in receiver.spans()) >= 2 * JOBS)
            assert relay.terminate() == 0
        finally:
            relay.stop()
        run.verdict(note=f"the relay was refused {receiver.refusals} times")
