"""Records of every topic that people look at, with a stranger's text wherever a text may stand."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from console_world import NOON, Story, ms
from hostile_texts import poisoned

from runtime.deadletter import dead_letter
from runtime.ports import LaneId, Outgoing, Record
from runtime.telemetry import OPERATION, encode_spans
from schemas.failure import FailureKind
from schemas.headers import Headers
from schemas.topics import ALERTS, AUDIT, BREAKERS, DECISIONS, DLQ, JOBS, LEDGER, PRICES, RESULTS, SPANS

NOON_MS = ms(NOON)


def record(topic: str, document: Any, key: bytes = b"k", headers: Headers = (), at_ms: int = NOON_MS) -> Outgoing:
    """JSON as a record of partition 0."""
    return Outgoing(topic, key, json.dumps(document).encode(), headers, 0, at_ms)


def written(text: str, story: Story, *, key: str | None = None) -> Iterator[Outgoing]:
    """All that a job leaves, and what else the pages read, with this text wherever a text may stand."""
    name, headers = (text if key is None else key).encode(), ((text, text.encode()), ("x", b"\xff\xfe\x1b[31m"))
    who = {"tenant": story.tenant, "job_id": story.job_id, "submission": 1}
    charge = {"nanousd": 7, "ambiguous": True, "model": text, "provider": text, "source": text, "attempt": 1,
              "request_id": text}  # fmt: skip
    entry = {**who, "kind": "settle", "decision_id": text, "at": NOON.isoformat(), "reserved_nanousd": 9,
             "cost_nanousd": 7, "charges": [charge], "by": text}  # fmt: skip
    deed = {**who, "action": text, "at": NOON.isoformat(), "detail": {text: text, "message": text}}
    alert = {"alert_id": text, "rule": text, "on": "lag", "subject": text, "value": 1, "threshold": 1, "unit": text,
             "message": text, "at": NOON.isoformat(), "tenant": text}  # fmt: skip
    state = {"provider": text, "model": text, "state": text, "because": text, "at": NOON.isoformat(), "by": text}
    decision = poisoned(json.loads(story.decision.encode()), text) | {"metadata": {text: text}, "team": text}
    decision |= {"reserve": {"nanousd": 9, "budgets": [{"id": text, "window": text, "limit_nanousd": 5}]}}
    result = poisoned(json.loads(story.result.encode()), text) | {"usage": {text: 3}}
    result |= {"error": {"kind": text, "message": text}}
    told = {OPERATION: "process"}
    spans = [
        replace(
            span,
            name=text,
            error=text,
            attributes={**span.attributes, **told, text: text, "novix.job.id": story.job_id},
        )
        for span in story.spans
    ]
    original = Record(
        JOBS.name, 0, 3, name, json.dumps({"id": story.job_id, "tenant": story.tenant}).encode(), headers, ms(NOON)
    )
    letter = dead_letter(original, LaneId("novix-router", JOBS.name, 0), FailureKind.CONFLICT, text, has_result=False)
    yield record(JOBS.name, {**story.job, "model": text, "task": text}, name, headers)
    yield record(DECISIONS.name, {"lane": text, "decisions": [decision]}, name)
    yield Outgoing(SPANS.name, None, encode_spans(text, spans), (), 0, ms(NOON))
    yield record(RESULTS.name, result, name, headers)
    yield record(LEDGER.name, {"lane": text, "entries": [entry]}, name)
    yield record(AUDIT.name, {"lane": text, "sequence": 1, "hash": text, "entries": [deed]}, name)
    yield record(ALERTS.name, alert)
    yield record(BREAKERS.name, state, name)
    yield record(
        PRICES.name, poisoned({"provider": "", "model": "", "state": "", "at": "", "by": "", "reason": ""}, text), name
    )
    yield Outgoing(DLQ.name, letter.key, letter.value, letter.headers, 0, ms(NOON))
    yield Outgoing(
        DLQ.name, letter.key, letter.value, tuple((header, text.encode()) for header, _ in letter.headers), 0, ms(NOON)
    )
