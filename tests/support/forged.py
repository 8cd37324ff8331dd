"""Records that somebody writes past the router: assigned jobs and waiting ones that no process of ours would write."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from system import MODEL, chat

from schemas.topics import JOBS, RETRY_TIERS, TEXT

Headers = list[tuple[str, bytes]]
BEYOND = 10**18
"""Of anything: more than any clock, counter or column holds."""


@dataclass(frozen=True, slots=True)
class Forged:
    """One record for a topic of ours."""

    kind: str
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


Document = dict[str, Any]
Change = Callable[[Document], Any]


def assigned(job_id: str, url: str) -> Document:
    """An assigned job as the router writes it: the provider at `url`."""
    now = datetime.now(UTC)
    candidate = {
        "model": f"forged/{job_id}", "provider": "auto", "provider_model": MODEL, "dialect": "hf-router",
        "base_url": url,
        "price": {"output_nanousd_per_million_tokens": 1_000, "source": "test", "as_of": "2026-11-22"},
        "max_in_flight": 8, "estimate_nanousd": 1, "ceiling_nanousd": 5,
    }  # fmt: skip
    return {
        "schema": 1,
        "submission": 1,
        "job": chat(job_id, "forger"),
        "assignment": {
            "candidates": [candidate], "parameters": {"max_tokens": 16}, "max_cost_nanousd": 10**6,
            "deadline": (now + timedelta(seconds=30)).isoformat(), "decision_id": "0" * 32,
        },
        "received": {"topic": JOBS.name, "partition": 99, "offset": 0, "timestamp_ms": int(now.timestamp() * 1000)},
        "routed_at": now.isoformat(),
    }  # fmt: skip


def _put(path: str, value: Any) -> Change:
    """The member at `path` has this value; `~` takes it away."""

    def change(document: Document) -> None:
        *parents, last = path.split(".")
        holder: Any = document
        for part in parents:
            holder = holder[int(part)] if part.isdigit() else holder.setdefault(part, {})
        if value == "~":
            del holder[last]
        else:
            holder[last] = value(holder[last]) if callable(value) else value

    return change


def _carried(**more: Any) -> Change:
    def change(document: Document) -> None:
        now = document["routed_at"]
        document["carried"] = {"arrived_at": now, "since": now, "wait": "retry", **more}

    return change


def _attempts(count: int, **more: Any) -> Change:
    def change(document: Document) -> None:
        one = {
            "attempt": 1, "model": MODEL, "provider": "auto", "started_at": document["routed_at"], "waited_ms": 1,
            "duration_ms": 1, "cost_nanousd": 1, **more,
        }  # fmt: skip
        _carried(attempts=[one] * count, cost_sources=["estimated"] * count)(document)

    return change


FIRST = "assignment.candidates.0."
CHANGES: dict[str, Change] = {
    "year 9999": _put("assignment.deadline", "9999-12-31T23:59:59.999999Z"),
    "year 1": _put("assignment.deadline", "0001-01-01T00:00:00Z"),
    "routed in year 1": _put("routed_at", "0001-01-01T00:00:00Z"),
    "routed in year 9999": _put("routed_at", "9999-12-31T23:59:59Z"),
    "received beyond time": _put("received.timestamp_ms", BEYOND),
    "received before time": _put("received.timestamp_ms", -BEYOND),
    "received at place": _put("received.offset", -BEYOND),
    "huge max_in_flight": _put(FIRST + "max_in_flight", BEYOND),
    "no max_in_flight": _put(FIRST + "max_in_flight", 0),
    "ceiling 0": _put(FIRST + "ceiling_nanousd", 0),
    "ceiling beyond": _put(FIRST + "ceiling_nanousd", BEYOND),
    "ceiling negative": _put(FIRST + "ceiling_nanousd", -1),
    "price beyond": _put(FIRST + "price.output_nanousd_per_million_tokens", 10**15),
    "price negative": _put(FIRST + "price.output_nanousd_per_million_tokens", -5),
    "price a fraction": _put(FIRST + "price.output_nanousd_per_million_tokens", 0.5),
    "max_cost 0": _put("assignment.max_cost_nanousd", 0),
    "two thousand candidates": _put("assignment.candidates", lambda some: some * 2_000),
    "no candidates": _put("assignment.candidates", []),
    "unknown dialect": _put(FIRST + "dialect", "x" * 60),
    "no provider": _put(FIRST + "provider", "nobody"),
    "context of a text": _put(FIRST + "context_tokens", "many"),
    "file address": _put(FIRST + "base_url", "file:///etc/passwd"),
    "no address": _put(FIRST + "base_url", "http://[::1"),
    "metadata address": _put(FIRST + "base_url", "http://169.254.169.254"),
    "address with a user": _put(FIRST + "base_url", lambda url: url.replace("http://", "http://user:pass@")),
    "address with a line": _put(FIRST + "base_url", lambda url: url + "/x\r\nhost: evil"),
    "endless address": _put(FIRST + "base_url", lambda url: url + "/" + "a" * 400_000),
    "model with a line": _put(FIRST + "provider_model", "a\r\nx-evil: b"),
    "endless model": _put(FIRST + "provider_model", "m" * 400_000),
    "endless decision": _put("assignment.decision_id", "d" * 400_000),
    "parameters beyond": _put("assignment.parameters", {"max_tokens": BEYOND, "temperature": -7, "x": [[]]}),
    "parameters a list": _put("assignment.parameters", [1]),
    "adapted nonsense": _put("assignment.adapted", {"x" * 300: [None]}),
    "submission beyond": _put("submission", BEYOND),
    "submission 0": _put("submission", 0),
    "schema 2": _put("schema", 2),
    "schema a text": _put("schema", "one"),
    "no assignment": _put("assignment", "~"),
    "job a text": _put("job", "job"),
    "job without id": _put("job.id", "~"),
    "task unknown": _put("job.task", "paint-a-fence"),
    "task of another room": _put("job.task", "text-to-image"),
    "input of another task": _put("job.input", {"inputs": "x"}),
    "tenant with a slash": _put("job.tenant", "a/b"),
    "id with a line": _put("job.id", "a\r\nb"),
    "carried before time": _carried(arrived_at="0001-01-01T00:00:00Z", since="9999-12-31T23:59:59Z"),
    "carried negative": _carried(calls=-5, bounces=-1),
    "carried beyond": _carried(calls=BEYOND, bounces=BEYOND),
    "carried candidate": _carried(candidate=99),
    "carried unfit": _carried(unfit=list(range(20_000))),
    "carried unfit nobody": _carried(unfit=[-1, 77]),
    "carried attempts": _attempts(3_000),
    "carried spans beyond": _attempts(1, duration_ms=BEYOND),
    "carried span before time": _attempts(1, started_at="0001-01-01T00:00:00Z"),
    "carried cost": _attempts(900, cost_nanousd=10**15),
    "carried wait": _carried(
        waits=[{"name": "x" * 50, "start": "2026-11-22T00:00:00Z", "end": "2026-11-22T00:00:00Z"}]
    ),
    "carried wait backwards": _carried(
        waits=[{"name": "slot", "start": "2999-01-01T00:00:00Z", "end": "2000-01-01T00:00:00Z"}]
    ),
}


def forgeries(url: str, elsewhere: str) -> Iterator[Forged]:
    """Each once, under an id of its own. `elsewhere` is an address that nobody may call."""
    for number, (kind, change) in enumerate(CHANGES.items()):
        document = assigned(f"forged-{number}", url)
        change(document)
        yield _record(kind, document)
    stolen = assigned("forged-elsewhere", elsewhere)
    yield _record("somebody else's address", stolen)
    nan = json.dumps(assigned("forged-nan", url)).replace('"estimate_nanousd": 1', '"estimate_nanousd": NaN')
    yield Forged("NaN", TEXT.name, b"k", nan.encode(), [])
    for kind, value in BYTES.items():
        yield Forged(kind, TEXT.name, b"k", value, [])
        for _, tier in RETRY_TIERS:
            yield Forged(f"{kind} to wait", tier.name, b"k", value, [])
    for kind, told in HEADERS.items():
        yield Forged(kind, TEXT.name, b"k", json.dumps(assigned(f"forged-{kind}", url)).encode(), told)
    for number, (kind, told) in enumerate(WAITING.items()):
        value = json.dumps(assigned(f"waiting-{number}", elsewhere if number % 2 else url)).encode()
        yield Forged(kind, RETRY_TIERS[0][1].name, b"k", value, told)


def _record(kind: str, document: Document) -> Forged:
    job = document.get("job")
    named = job if isinstance(job, dict) else {}
    key = f"{named.get('tenant', '')}/{named.get('id', '')}".encode()
    return Forged(kind, TEXT.name, key, json.dumps(document).encode(), [])


BYTES: dict[str, bytes | None] = {
    "nothing": None,
    "empty": b"",
    "noise": bytes(range(256)),
    "not UTF-8": b'{"job": "\xff\xfe"}',
    "nested": b"[" * 100_000 + b"]" * 100_000,
    "many lists": b"[" + b"[]," * 200_000 + b"[]]",
    "a number": b"1" + b"0" * 5_000,
}
HEADERS: dict[str, Headers] = {
    "many headers": [(f"h{number}", b"v") for number in range(10_000)],
    "much baggage": [("baggage", b"k=v," * 100_000)],
    "broken trace": [("traceparent", b"00-" + b"z" * 400), ("tracestate", b"\r\n\xff" * 100)],
    "lines": [("x-a\r\nx-b", b"1\r\nx-c: 2"), ("novix-identity", b"other/job/7\r\nx")],
    "ours": [("novix-ordered", b"1"), ("novix-not-before", b"9" * 40), ("novix-has-result", b"true")],
    "letter": [("__dlq.errors.message", b"forged"), ("__dlq.errors.offset", b"-1"), ("novix.kept", b"0 of 0 bytes")],
}


def _waiting(**told: bytes) -> Headers:
    return [(f"novix-{name.replace('_', '-')}", value) for name, value in told.items()]


SOON = str(int(datetime.now(UTC).timestamp() * 1000) + 100).encode()
TO_TEXT = TEXT.name.encode()
WAITING: dict[str, Headers] = {
    "waits as it may": _waiting(not_before=SOON, return_to=TO_TEXT, attempt=b"1", cause=b"overloaded"),
    "waits, stolen address": _waiting(not_before=SOON, return_to=TO_TEXT, attempt=b"1", cause=b"overloaded"),
    "waits for ever": _waiting(not_before=b"9" * 30, return_to=TO_TEXT),
    "waits backwards": _waiting(not_before=b"-5", return_to=TO_TEXT),
    "waits for noise": _waiting(not_before=b"\xff\xfe", return_to=TO_TEXT),
    "back to jobs": _waiting(not_before=SOON, return_to=b"inference.jobs.v1"),
    "back to results": _waiting(not_before=SOON, return_to=b"inference.results.v1"),
    "back to nowhere": _waiting(not_before=SOON, return_to=b"../evil"),
    "back to noise": _waiting(not_before=SOON, return_to=b"\xff" * 300),
    "attempt beyond": _waiting(not_before=SOON, return_to=TO_TEXT, attempt=b"9" * 5_000, cause=b"\r\n" * 50),
    "identity of lines": _waiting(not_before=SOON, return_to=TO_TEXT, identity=b"a/b\r\nc/9"),
    "told twice": [*_waiting(not_before=b"1", return_to=TO_TEXT), *_waiting(not_before=b"9" * 18, return_to=b"x")],
}
