"""What producers write who do their worst: garbage, forged headers, and single bad records with how each may end."""

import json
from collections.abc import Iterator
from typing import Any

from stranger import encoded
from system import chat

CANARY = "the-canary-that-sits-in-every-prompt"
TENANTS = [f"house-{number}" for number in range(6)]
Headers = list[tuple[str, bytes]]
Written = tuple[bytes | None, bytes | None, Headers]


def good(number: int, **more: Any) -> dict[str, Any]:
    return chat(f"good-{number}", TENANTS[number % len(TENANTS)], text=f"{CANARY} {number}", **more)


GARBAGE: tuple[bytes, ...] = (
    b"{",
    b'{"id": "\xff"}',
    b"[1, 2",
    b'{"tenant": "house-1"}',
    b"\0" * 40,
    b'{"id": 7, "task": "chat-completion"}',
    b'"text"',
    b'{"id": "x", "tenant": "a/b"}',
)

FORGED_HEADERS: dict[str, Headers] = {
    "attempt": [("novix-attempt", b"99"), ("novix-cause", b"crashed")],
    "wait": [("novix-not-before", b"99999999999999"), ("novix-return-to", b"inference.results.v1")],
    "order": [("novix-ordered", b"1")],
    "identity": [("novix-identity", b"somebody/else/9")],
    "tenant": [("novix-tenant", b"somebody"), ("tenant", b"somebody")],
    "letter": [("__dlq.errors.topic", b"x"), ("novix.has_result", b"true")],
    "redrive": [("novix-redrive", b"0/0"), ("novix-redriven-by", b"\x1b[31mroot\r\n")],
    "redrive beyond": [("novix-redrive", b"9" * 30 + b"/" + b"9" * 30)],
    "origin": [("novix-origin", b"1/0/1"), ("novix-refused", b'{"kind":"internal","message":"x"}')],
    "trace": [("traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"), ("tracestate", b"x=" + b"y" * 4_000)],
    "broken trace": [("traceparent", b"ff-zz-\r\n"), ("tracestate", b"\xff\xfe")],
    "lines": [("x-a\r\nx-b: c", b"1\r\nx-d: 2\r\n\r\n"), ("", b""), ("\u2028", b"\0")],
    "baggage": [("baggage", b"k=v," * 2_000)],
}


def bad_records() -> Iterator[tuple[str, Written, set[str]]]:
    """Single records, and how each may end."""
    job = encoded(good(9_999))
    dead, refused = {"undecodable"}, {"too_large"}
    yield "nested 100,000 levels", (b"k", b'{"id": "deep", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", []), dead
    yield "350,000 lists", (b"k", b'{"id": "wide", "x": [' + b"[]," * 349_000 + b"[]]}", []), dead
    yield "tombstone", (b"house-1", None, []), dead
    yield "nothing at all", (None, None, []), dead
    yield "empty key and value", (b"", b"", []), dead
    yield "UTF-16", (b"k", job.decode().encode("utf-16"), []), dead
    twice = b'{"id": "told-first", ' + encoded({**good(2), "id": "told-last"})[1:]
    yield "an id that is told twice", (b"house-2", twice, []), {"None"}
    yield "an integer of 100,000 digits", (b"k", job[:-1] + b', "x": ' + b"9" * 100_000 + b"}", []), {"None", *dead}
    sized = json.dumps({"id": "sized", "tenant": "house-1", "x": ""}).encode()
    yield "the largest record", (b"k", sized.replace(b'"x": ""', b'"x": "' + b"y" * 1_048_000 + b'"'), []), refused
    yield (
        "10,000 headers",
        (b"k", encoded({**good(1), "id": "heads"}), [(f"h{at}", b"v") for at in range(10_000)]),
        refused,
    )
    yield "1 MB of baggage", (b"k", encoded({**good(1), "id": "bags"}), [("baggage", b"k=v," * 250_000)]), refused
    for at, line in enumerate(
        ("a\r\nb", "a\x1b[31m", "a\u2028b", "\u202eabc", "\ud800".encode("utf-8", "surrogatepass"))
    ):
        odd = encoded({**good(1), "id": "ODD"}).replace(b"ODD", line if isinstance(line, bytes) else line.encode())
        yield f"odd id {at}", (b"k", odd, []), {"invalid_job", *dead}
    yield "schema 2", (b"k", encoded({**good(1), "id": "v2", "schema": 2}), []), {"unknown_schema"}
    yield (
        "schema in a header",
        (b"k", encoded({**good(1), "id": "vh"}), [("novix-schema", b"\xff")]),
        {"unknown_schema", "None"},
    )
