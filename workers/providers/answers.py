"""Answers that are there at once: OpenAI's forms, and payloads as base64."""

from typing import Any

from workers.exchange import Got, Next, Reply, measured
from workers.providers.common import as_bytes, as_it_is, at, from_base64, missing, parsed, text_at, usage_of
from workers.providers.later import Reader, Site, payload
from workers.providers.queues import Dig


def document(ask: Any, site: Site, got: Got) -> Reply:
    """JSON in the task's own form."""
    return as_it_is(got)


def whole_body(ask: Any, site: Site, got: Got) -> Reply:
    """The payload is the body; or JSON all the same, as the answer looks."""
    return as_bytes(got)


def at_once(dig: Dig) -> Reader:
    """What `dig` takes out of a document."""
    return lambda ask, site, got: dig(ask, got, parsed(got))


def completion(ask: Any, site: Site, got: Got) -> Reply:
    """`choices[0].text`, as text-generation has it. A stream has been put together in that form already."""
    found = parsed(got)
    if isinstance(found, dict) and "generated_text" in found:
        return Reply(found, usage_of(got, found))
    text = at(found, "choices", 0, "text")
    if not isinstance(text, str):
        missing(got, found, "choices.0.text")
    return Reply({"generated_text": text}, usage_of(got, found))


def vectors(ask: Any, site: Site, got: Got) -> Reply:
    """`data[].embedding`, in the order of `index` where that is told."""
    found = parsed(got)
    rows = at(found, "data")
    if not isinstance(rows, list) or not rows:
        missing(got, found, "data")
    if all(type(at(row, "index")) is int for row in rows):
        rows = sorted(rows, key=lambda row: int(row["index"]))
    return Reply([at(row, "embedding") for row in rows], usage_of(got, found))


def image(ask: Any, site: Site, got: Got) -> Reply | Next:
    """`data[0].b64_json`, or the address in `data[0].url`. What is declared is not believed."""
    found = parsed(got)
    text = text_at(found, "data", 0, "b64_json")
    if text:
        return Reply(from_base64(text), usage_of(got, found))
    if not text_at(found, "data", 0, "url"):
        missing(got, found, "data.0.b64_json")
    return payload(got, at(found, "data", 0, "url"), "data.0.url")


def transcript(ask: Any, site: Site, got: Got) -> Reply:
    """`{text, segments?}`; the segments as the task's chunks. A body that is said to be text, and looks like no JSON
    object, is the text itself."""
    if got.streamed is None and got.media_type == "text/plain" and got.body[:64].lstrip()[:1] != b"{":
        return Reply({"text": bytes(got.body).decode("utf-8", "replace")}, measured(got.headers))
    found = parsed(got)
    if not isinstance(at(found, "text"), str):
        missing(got, found, "text")
    reply: dict[str, Any] = {"text": found["text"]}
    segments = found.get("segments")
    if isinstance(segments, list):
        reply["chunks"] = [
            {"text": at(segment, "text"), "timestamp": [at(segment, "start"), at(segment, "end")]}
            for segment in segments
            if isinstance(segment, dict)
        ]
    return Reply(reply, usage_of(got, found))


def text(ask: Any, site: Site, got: Got) -> Reply:
    """`{text}` and what stands beside it."""
    found = parsed(got)
    if not isinstance(at(found, "text"), str):
        missing(got, found, "text")
    return Reply({name: found[name] for name in ("text", "chunks") if name in found}, usage_of(got, found))
