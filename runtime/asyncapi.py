"""One AsyncAPI 3.0 document of all applications, merged from what FastStream generates of each.

FastStream knows channels, messages and schemas; the table of topics adds keys, headers and media types. Names within
the document are topics and roles, so that it changes only when the contract does. Specification:
https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from faststream.specification import AsyncAPI

from runtime.settings import Settings
from runtime.shell import Role, declared
from schemas import headers
from schemas.base import SCHEMA_VERSION
from schemas.topics import DELTAS, DLQ, JOBS, MODALITY_TOPICS, RESULTS, RETRY_TIERS, SPANS, Topic

Document = dict[str, Any]

DESCRIPTION = """\
Hugging Face inference as an event-driven system on Apache Kafka. Read with `isolation.level=read_committed`: every \
job then ends in exactly one terminal record. A topic prefix, if one is set, stands before every address and group."""

_KAFKA = "0.5.0"
"""Version of AsyncAPI's Kafka bindings that the document is written in."""
_KINDS = ("messages", "schemas")
_KEY = re.compile(r"[A-Za-z0-9._-]+")
"""What a key under `components` may be."""
_TRACE = {
    headers.TRACEPARENT: "W3C Trace Context: the trace that the job belongs to.",
    headers.TRACESTATE: "W3C Trace Context: handed on as it came.",
}
_OF_A_JOB = {headers.IDENTITY: "`tenant/id/submission`.", **_TRACE}
_OF_AN_ASSIGNMENT = {**_OF_A_JOB, headers.ORDERED: "`1`: records of its key are worked on in their order."}
_OF_A_WAIT = {
    headers.NOT_BEFORE: "When it goes back, in milliseconds since 1970.",
    headers.WAITS_SINCE: "When that was decided, in milliseconds since 1970, by the same clock.",
    headers.RETURN_TO: "The topic that it goes back to, without prefix.",
    headers.ATTEMPT: "Calls that were made so far.",
    headers.CAUSE: "The failure kind that it waits for.",
}
_HEADERS = {
    JOBS.name: {
        headers.SCHEMA: f"The contract's version; {SCHEMA_VERSION} if it is missing.",
        **_TRACE,
        headers.ORIGIN: "On a job that was forwarded to its tenant's home: where it entered.",
        headers.REFUSED: "On such a job, if it was refused where it entered: why.",
        headers.REDRIVE: "On a job that is driven again: `partition/offset` of its dead letter.",
        headers.REDRIVEN_BY: "Beside it: who did it, for the audit.",
    },
    **{topic.name: _OF_AN_ASSIGNMENT for topic in MODALITY_TOPICS.values()},
    **{tier.name: {**_OF_AN_ASSIGNMENT, **_OF_A_WAIT} for _, tier in RETRY_TIERS},
    RESULTS.name: _OF_A_JOB,
    DELTAS.name: {headers.TRACEPARENT: _TRACE[headers.TRACEPARENT]},
    DLQ.name: {
        headers.DLQ_TOPIC: "Topic that the record was read from.",
        headers.DLQ_PARTITION: "Its partition.",
        headers.DLQ_OFFSET: "Its offset.",
        headers.DLQ_GROUP: "Consumer group that set it aside.",
        headers.DLQ_DELIVERIES: "How often it was delivered.",
        headers.DLQ_MESSAGE: "`kind: reason`; sizes and limits, never content.",
        headers.DLQ_EXCEPTION: "Class of the exception behind it, if any.",
        headers.HAS_RESULT: "`true`: its job has a result as well.",
        headers.KEPT: "`N of M bytes`: how much of a value that no topic takes is kept.",
    },
}


def document(roles: Sequence[Role]) -> Document:
    """The complete document of `roles`: pure, and the same for the same roles."""
    merged: Document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Novix",
            "version": str(SCHEMA_VERSION),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": {},
        "operations": {},
        "components": {kind: {} for kind in _KINDS},
    }
    for role in roles:
        for topic, action in _uses(role):
            generated = _generated(role, topic, action)
            merged["channels"][topic.name] = _channel(topic)
            merged["operations"][f"{role.name}.{action}.{topic.name}"] = _operation(role, topic, action)
            merged["components"]["messages"][topic.name] = _message(topic, generated)
            merged["components"]["schemas"].update(_schemas(generated))
    for part, name in [
        (merged, "channels"),
        (merged, "operations"),
        *((merged["components"], kind) for kind in _KINDS),
    ]:
        part[name] = dict(sorted(part[name].items()))
    return merged


def _uses(role: Role) -> Iterator[tuple[Topic, str]]:
    yield role.receives, "receive"
    for topic in role.follows:
        yield topic, "follow"
    for topic in role.sends:
        yield topic, "send"


def _generated(role: Role, topic: Topic, action: str) -> Document:
    """What FastStream says of one use. One at a time: of two uses of a topic it would tell the last alone."""
    alone = replace(role, sends=(topic,) if action == "send" and topic is not role.receives else ())
    if action == "follow":
        alone = replace(alone, receives=topic)
    broker = declared(alone)
    specification = AsyncAPI(broker, title=role.title, version=str(SCHEMA_VERSION), schema_version="3.0.0")
    told: Document = specification.to_specification().to_jsonable()
    return told


def _server() -> Document:
    host = Settings.model_fields["kafka_bootstrap"].default
    return {"host": host, "protocol": "kafka", "description": "NOVIX_KAFKA_BOOTSTRAP; this is its default."}


def _channel(topic: Topic) -> Document:
    return {
        "address": topic.name,
        "description": f"{topic.carries[0].upper()}{topic.carries[1:]}. Key: {topic.key}. Kept: {topic.lasts}.",
        "servers": [_ref("servers", "kafka")],
        "messages": {"message": _ref("components", "messages", topic.name)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "topicConfiguration": {
                    "cleanup.policy": ["compact" if topic.compacted else "delete"],
                    "retention.ms": int(topic.config["retention.ms"]),
                    "max.message.bytes": int(topic.config["max.message.bytes"]),
                },
                "bindingVersion": _KAFKA,
            }
        },
    }


def _operation(role: Role, topic: Topic, action: str) -> Document:
    group = {"groupId": {"type": "string", "enum": [role.group]}} if action == "receive" and role.group else {}
    does = {"receive": "reads", "follow": "reads the whole of", "send": "writes"}[action]
    return {
        "action": "send" if action == "send" else "receive",
        "summary": f"{role.title} {does} {topic.name}.",
        "channel": _ref("channels", topic.name),
        "messages": [_ref("channels", topic.name, "messages", "message")],
        "bindings": {"kafka": {**group, "bindingVersion": _KAFKA}},
    }


def _message(topic: Topic, generated: Document) -> Document:
    payload: Document
    if topic.value is None:
        content = "application/x-protobuf" if topic is SPANS else "application/octet-stream"
        payload = {"type": "string", "format": "binary", "description": topic.carries}
    else:
        content = "application/json"
        (message,) = (
            told for name, told in generated["components"]["messages"].items() if name.startswith(topic.name + ":")
        )
        payload = message["payload"]
    return {
        "name": topic.name,
        "title": topic.value.__name__ if topic.value else topic.carries,
        "contentType": content,
        "headers": {"type": "object", "properties": _headers(topic)},
        "payload": payload,
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": _KAFKA}},
    }


def _headers(topic: Topic) -> Document:
    """The headers that a reader may rely on. All are texts."""
    return {name: {"type": "string", "description": meaning} for name, meaning in _HEADERS.get(topic.name, {}).items()}


def _schemas(generated: Document) -> Document:
    """The models of one use. FastStream also invents one for bytes, which no key of the specification allows."""
    return {name: told for name, told in generated["components"]["schemas"].items() if _KEY.fullmatch(name)}


def _ref(*path: str) -> Document:
    return {"$ref": "#/" + "/".join(path)}


def faults(told: Document) -> list[str]:
    """What would make a reader of the document stumble: references to nothing, and keys that the standard forbids."""
    found = [f"{ref} leads nowhere" for ref in _refs(told) if _resolve(told, ref) is None]
    for kind, part in told["components"].items():
        found += [f"components.{kind}: {key!r} is no key" for key in part if not _KEY.fullmatch(key)]
    for name, operation in told["operations"].items():
        channel = operation["channel"]["$ref"]
        found += [
            f"operations.{name}: {message['$ref']} is of another channel"
            for message in operation["messages"]
            if not message["$ref"].startswith(channel + "/messages/")
        ]
    return found


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from _refs(child)
    elif isinstance(node, list):
        for child in node:
            yield from _refs(child)


def _resolve(told: Document, ref: str) -> Any:
    node: Any = told
    for step in ref.removeprefix("#/").split("/"):
        node = node.get(step) if isinstance(node, dict) else None
    return node
