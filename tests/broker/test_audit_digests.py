"""The audit on a real broker: what entries name by their digest, and what a collector of events gets."""

import hashlib
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from stranger import Stranger
from system import chat

from schemas import codec
from schemas.topics import AUDIT, RESULTS


def test_what_an_entry_names_by_its_digest_is_what_stands_on_the_topics(novix: Stranger, tenant: str):
    job = chat(uuid.uuid4().hex, tenant=tenant)
    novix.run(job)
    novix.quiet()
    entries = [
        entry for one in novix.read(AUDIT.name) for entry in one.json["entries"] if entry.get("job_id") == job["id"]
    ]
    details = {entry["action"]: entry["detail"] for entry in entries}
    decisions = [
        decision
        for one in novix.read("inference.decisions.v1")
        for decision in one.json["decisions"]
        if decision["job_id"] == job["id"]
    ]
    [result] = [one for one in novix.read(RESULTS.name) if one.json["job_id"] == job["id"]]

    digests = [hashlib.sha256(codec.encode(decision)).hexdigest() for decision in decisions]
    assert digests == [details["job.assigned"]["decision_sha256"]]
    assert details["job.assigned"]["policy"] == decisions[0]["policy"]
    assert details["job.succeeded"]["result_sha256"] == hashlib.sha256(result.value or b"").hexdigest()


@contextmanager
def collector(outage_s: float) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A Splunk HTTP Event Collector on loopback that is busy for its first seconds."""
    events: list[dict[str, Any]] = []
    well_at = time.monotonic() + outage_s

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            well = time.monotonic() >= well_at
            if well and self.headers["authorization"] == "Splunk hec-canary":
                events.extend(json.loads(line) for line in body.split(b"\n"))
            answer = b'{"text":"Success","code":0}' if well else b'{"text":"Server is busy","code":9}'
            self.send_response(200 if well else 503)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", events
    finally:
        server.shutdown()
        server.server_close()


def test_a_collector_that_was_away_gets_every_entry_once_and_a_later_run_only_what_is_new(novix: Stranger, tenant: str):
    novix.run(chat(uuid.uuid4().hex, tenant=tenant))
    novix.quiet()
    with collector(outage_s=2) as (url, events):
        first = novix.cli("audit", "export", "--hec", url, "--once", NOVIX_HEC_TOKEN="hec-canary")
        ids = [event["fields"]["novix_id"] for event in events]
        novix.run(chat(uuid.uuid4().hex, tenant=tenant))
        novix.quiet()
        second = novix.cli("audit", "export", "--hec", url, "--once", NOVIX_HEC_TOKEN="hec-canary")
        later = [event["fields"]["novix_id"] for event in events[len(ids) :]]

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    asked = [
        f"{batch['lane']}/{batch['sequence']}/{index}/{batch['hash'][:16]}"
        for batch in (one.json for one in novix.read(AUDIT.name))
        for index in range(len(batch["entries"]))
    ]
    assert sorted(ids + later) == sorted(asked)
    assert later
    assert "hec-canary" not in first.stdout + first.stderr
