"""A receiver of OTLP over HTTP on loopback: takes requests, is away for a while, or refuses what it does not like."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Receiver:
    """What it was sent and took. `status` is what it answers; a request with a span named `poison` gets 400."""

    def __init__(self) -> None:
        self.status = 200
        self.refusals = 0
        self.headers: list[dict[str, str]] = []
        self.requests: list[ExportTraceServiceRequest] = []
        self.changed = threading.Condition()
        self.url = ""

    def spans(self) -> list[Any]:
        """Every span that was taken, in the order of their arrival."""
        return [
            span
            for request in list(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """The status of one request."""
        with self.changed:
            self.changed.notify_all()
            if self.status != 200:
                self.refusals += 1
                return self.status
            packed = headers.get("content-encoding") == "gzip"
            request = ExportTraceServiceRequest.FromString(gzip.decompress(body) if packed else body)
            named = [s.name for r in request.resource_spans for o in r.scope_spans for s in o.spans]
            if "poison" in named:
                self.refusals += 1
                return 400
            self.headers.append(headers)
            self.requests.append(request)
            return 200

    def wait(self, enough: Any, within_s: float = 120.0) -> None:
        """Until `enough()`; fails after `within_s`."""
        with self.changed:
            assert self.changed.wait_for(enough, within_s), f"not within {within_s} s"


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that serves while the block runs."""
    receiver = Receiver()

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            told = {name.lower(): value for name, value in self.headers.items()} | {"path": self.path}
            self.send_response(receiver.take(told, body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
