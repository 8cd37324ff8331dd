"""One AsyncAPI 3.0 document of all applications, merged from what FastStream generates of each.

FastStream knows channels, messages and schemas; the table of topics adds keys, headers and media types. Names within the
document are topics and roles, so that it changes only when the contract does. https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from faststream.specification import AsyncAPI

from runtime.settings import Settings
from runtime.shell import Role, declared
from schemas import headers
from schemas.base import SCHEMA_VERSION
from schemas.topics import SPANS, Topic

Document = dict[str, Any]

DESCRIPTION = """\
Hugging Face inference as an event-driven system on Apache Kafka. Read with `isolation.level=read_committed`: every job \
then ends in exactly one terminal record. A topic prefix, where one is set, stands before every address and group."""

_KAFKA = "0.4.0"
"""Version of AsyncAPI's Kafka bindings that the document is written in."""


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
        "components": {"messages": {}, "schemas": {}},
    }
    for role in roles:
        for topic, action in _uses(role):
            generated = _generated(role, topic, action)
            merged["channels"][topic.name] = _channel(topic)
            merged["operations"][f"{role.name}.{action}.{topic.name}"] = _operation(role, topic, action)
            merged["components"]["messages"][topic.name] = _message(topic, generated)
            merged["components"]["schemas"].update(_schemas(generated))
    for part in (merged["channels"], merged["operations"], *merged["components"].values()):
        _sort(part)
    return merged


def _uses(role: Role) -> Iterator[tuple[Topic, str]]:
    yield role.receives, "receive"
    for topic in role.sends:
        yield topic, "send"


def _generated(role: Role, topic: Topic, action: str) -> Document:
    """What FastStream says of one use. One at a time: of two uses of a topic it would tell the last alone."""
    alone = replace(role, sends=(topic,) if action == "send" else ())
    broker = declared(alone)
    specification = AsyncAPI(broker, title=role.title, version=str(SCHEMA_VERSION), schema_version="3.0.0")
    told: Document = specification.to_specification().to_jsonable()
    return told


def _server() -> Document:
    host = Settings.model_fields["kafka_bootstrap"].default
    return {"host": host, "protocol": "kafka", "description": "NOVIX_KAFKA_BOOTSTRAP; this is its default."}


def _channel(topic: Topic) -> Document:
    days = topic.retention_ms // 86_400_000
    return {
        "address": topic.name,
        "description": f"{topic.carries[0].upper()}{topic.carries[1:]}. Key: {topic.key}. Kept for {days} days.",
        "servers": [_ref("servers", "kafka")],
        "messages": {"message": _ref("components", "messages", topic.name)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": topic.retention_ms,
                    "max.message.bytes": int(topic.config["max.message.bytes"]),
                },
                "bindingVersion": _KAFKA,
            }
        },
    }


def _operation(role: Role, topic: Topic, action: str) -> Document:
    group = {"groupId": {"type": "string", "enum": [role.group]}} if action == "receive" else {}
    return {
        "action": action,
        "summary": f"{role.title} {'reads' if action == 'receive' else 'writes'} {topic.name}.",
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
    """The headers that a reader may meet. All are texts."""
    if topic.name == SPANS.name or not topic.value and not topic.key == "as received":
        return {}
    names = {headers.TRACEPARENT: "W3C Trace Context", headers.TRACESTATE: "W3C Trace Context"}
    if topic.home and topic.key == "tenant":
        names[headers.SCHEMA] = f"The contract's version; {SCHEMA_VERSION} is spoken"
    if topic.value is None:
        names |= {name: "Why the record is here, in the style of KIP-1191" for name in _dead_letter_headers()}
    return {name: {"type": "string", "description": meaning} for name, meaning in sorted(names.items())}
