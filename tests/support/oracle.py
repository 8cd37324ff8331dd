"""The official client's requests beside ours: a row of the oracle as an `Ask`, and a `Call` in the oracle's form."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

from worker_world import candidate

from schemas.media import INPUTS, replaced
from workers.exchange import Ask, Call, Media
from workers.providers import PROVIDERS, Dialect
from workers.providers.common import call_headers
from workers.providers.ways import direct

ROWS = Path(__file__).parents[1] / "contracts" / "data" / "hf" / "oracle" / "provider_requests.jsonl.gz"
ROUTER = "https://router.huggingface.co"
DIALECTS = {"auto": "hf-router", "endpoint-url": "endpoint"}
TASKS = {"conversational": "chat-completion"}
OURS = frozenset(dict(call_headers("acme", "a1", ""))) - {"content-type"} | {"accept", "x-scale-up-timeout"}
"""Headers that calls of ours have besides; the last of them where a dedicated endpoint may be asleep."""


def rows() -> list[dict[str, Any]]:
    """Every recorded request of huggingface_hub's own helpers."""
    with gzip.open(ROWS, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def ask_of(task: str, inputs: Any, parameters: dict[str, Any]) -> Ask:
    """What the client was asked, in our terms. Bytes are payloads of which nobody knows the type, as it was for it."""
    task = TASKS.get(task, task)
    told = {name: value for name, value in parameters.items() if value is not None}
    stream = told.get("stream") is True
    if task == "chat-completion":
        return Ask(task, {"messages": inputs, **told}, stream)
    if isinstance(inputs, dict) and set(inputs) == {"$bytes_b64"}:
        inputs = base64.b64decode(inputs["$bytes_b64"])
    if isinstance(inputs, bytes):
        return Ask(task, {"inputs": Media(INPUTS[task][0].kind, inputs, ""), "parameters": told}, stream)
    if task == "feature-extraction":
        return Ask(task, {"inputs": inputs, **told})
    body = replaced(
        INPUTS.get(task, ()),
        {"inputs": inputs, "parameters": told},
        lambda place, text: Media(place.kind, base64.b64decode(text), ""),
    )
    return Ask(task, body, stream)


def call_of(
    provider: str, task: str, ask: Ask, *, model: str, provider_model: str, own_key: bool, **more: Any
) -> tuple[Call, str]:
    """Our request, and the form of its `authorization`. `more` are the adapter, and the headers' `bill_to`."""
    bill_to = more.pop("bill_to", "")
    base = model if provider == "endpoint-url" else ROUTER
    name = DIALECTS.get(provider, provider)
    asked = candidate(
        dialect=name,
        provider=provider if provider != "endpoint-url" else "endpoint",
        model="org/model" if provider == "endpoint-url" else model,
        provider_model="" if provider == "endpoint-url" else provider_model,
        base_url=base,
        **more,
    )
    dialect: Dialect = PROVIDERS[name]
    scheme = "Bearer"
    if own_key:
        way = direct(asked, ask.task)
        dialect, asked, scheme = way.dialect, way.candidate, way.scheme
    return dialect.request(ask, asked, call_headers("acme", "a1", bill_to)), scheme


def shown(call: Call, scheme: str) -> dict[str, Any]:
    """`call` in the oracle's form, without the headers that are ours alone."""
    headers = {name: text for name, text in call.headers if name not in OURS} | {"authorization": f"{scheme} <KEY>"}
    body = b"".join(call.body) if isinstance(call.body, tuple) else call.body
    kind, mark, boundary = headers.get("content-type", "").partition("; boundary=")
    if mark:
        headers["content-type"] = f"{kind}; boundary=<BOUNDARY>"
        body = body.replace(boundary.encode(), b"<BOUNDARY>")
    told = {"method": call.method, "url": call.url, "headers": headers}
    return {**told, "body": json.loads(body) if kind == "application/json" else body}


def expected(expect: dict[str, Any]) -> dict[str, Any]:
    """The oracle's request in the same form: JSON that was sent as bytes is JSON."""
    data = expect["data"]
    body = base64.b64decode(data["$bytes_b64"]) if data is not None else expect["json"]
    headers = {name.lower(): text for name, text in expect["headers"].items()}
    if data is not None and headers.get("content-type") == "application/json":
        body = json.loads(body)
    return {"method": expect["method"], "url": expect["url"], "headers": headers, "body": body}
