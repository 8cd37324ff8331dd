"""From a recorded request back to the job that would cause it. Pure.

A map a family of doors; each answers with a job's input, or says why nobody can send that today.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.records import Record
from conformance.routes import Route
from schemas.media import INPUTS
from schemas.tasks import input_fault


@dataclass(frozen=True)
class Job:
    """What a producer would write."""

    task: str
    provider: str
    model: str
    """As the provider calls it."""
    input: dict[str, Any]


@dataclass(frozen=True)
class NotToday:
    """No job of today causes that request."""

    reason: str


LOST = "the recorder lost the request's body"
OLD_FORM = "a form that nobody sends today (members missing, at the root, or under old names)"
NO_INPUT = "the task's published schema refuses the input"
STRAY = frozenset({"options", "provider", "parameters", "return_full_text", "inputs", "model", "tool_prompt"})
"""Members that older clients left in a chat's body."""
PAYLOADS = frozenset(
    {
        "audio", "audio_url", "frame_images", "image", "image_url", "image_urls", "images", "input_image",
        "input_images", "reference_images", "video_url",
    }
)  # fmt: skip
"""Members that providers take a payload in."""
JS_ONLY = frozenset({"model", "inputs", "provider", "prompt", "response_format", "parameters", "model_name"})


def job_of(record: Record, route: Route) -> Job | NotToday:
    """The job behind a request for `record.task`, which is one of today's."""
    if record.request.data is None:
        return NotToday(LOST)
    assert record.task is not None
    hosted = record.provider == "hf-inference"
    family = HOSTED.get(record.task, _pipeline) if hosted else ELSEWHERE.get(record.task, _elsewhere)
    found = family(record, route)
    if isinstance(found, NotToday):
        return found
    model, job_input = found
    fault = input_fault(record.task, job_input)
    return NotToday(f"{NO_INPUT}: {fault}") if fault else Job(record.task, record.provider, model, job_input)


Found = tuple[str, dict[str, Any]] | NotToday


def _chat(record: Record, route: Route) -> Found:
    body = record.request.document
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        return NotToday(OLD_FORM)
    messages = [_message(one) for one in body["messages"]]
    sent = {name: value for name, value in body.items() if name not in STRAY and value is not None}
    told = sent.get("response_format")
    schema = told.get("schema", told.get("value")) if isinstance(told, dict) else None
    if schema is not None:
        sent["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return route.model or body.get("model") or record.model or "", {**sent, "messages": messages}


def _message(message: Any) -> Any:
    """pydantic-ai wrote nulls into the parts of a message; no schema has them."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        parts = [{name: value for name, value in part.items() if value is not None} for part in content]
        return {**message, "content": parts}
    return message


def _pipeline(record: Record, route: Route) -> Found:
    """hf-inference: `{inputs, parameters}`, or the bytes of a payload alone."""
    body = record.request.document
    model = route.model or record.model or ""
    if body is None and record.request.data:
        if not record.request.is_binary:
            return NotToday(LOST)
        return model, {"inputs": base64.b64encode(record.request.data).decode()}
    if not isinstance(body, dict) or "inputs" not in body:
        return NotToday(OLD_FORM)
    if isinstance(body["inputs"], dict) and not body["inputs"]:
        return NotToday(LOST)  # huggingface.js wrote a payload as {}
    kept = {name: value for name, value in body.items() if name not in ("options", "model", "provider")}
    parameters = {name: value for name, value in (kept.pop("parameters", None) or {}).items() if value is not None}
    if parameters:
        kept["parameters"] = parameters
    return model, kept


def _table(record: Record, route: Route) -> Found:
    """On the wire it is `query`, in the published schema `question`."""
    found = _pipeline(record, route)
    if isinstance(found, NotToday):
        return found
    model, sent = found
    asked = sent["inputs"]
    if not isinstance(asked, dict) or "query" not in asked:
        return NotToday(OLD_FORM)
    question = {("question" if name == "query" else name): value for name, value in asked.items()}
    return model, {**sent, "inputs": question}


def _one_text(record: Record, route: Route) -> Found:
    """huggingface.js wrote a list of one text, huggingface_hub once a text of labels."""
    found = _pipeline(record, route)
    if isinstance(found, NotToday):
        return found
    model, sent = found
    parameters = sent.get("parameters", {})
    if isinstance(labels := parameters.get("candidate_labels"), str):
        sent = {**sent, "parameters": {**parameters, "candidate_labels": labels.split(",")}}
    if isinstance(sent["inputs"], list) and len(sent["inputs"]) == 1:
        sent = {**sent, "inputs": sent["inputs"][0]}
    return model, sent


def _picture_labels(record: Record, route: Route) -> Found:
    found = _pipeline(record, route)
    if isinstance(found, NotToday):
        return found
    model, sent = found
    parameters = {name: value for name, value in sent.get("parameters", {}).items() if name != "model"}
    return (model, {**sent, "parameters": parameters}) if isinstance(sent["inputs"], str) else NotToday(OLD_FORM)


def _completions(record: Record, route: Route) -> Found:
    body = record.request.document
    if not isinstance(body, dict) or not isinstance(body.get("prompt"), str):
        return NotToday(OLD_FORM)
    rest = {name: value for name, value in body.items() if name not in JS_ONLY and name != "stream"}
    if "max_tokens" in rest:
        rest["max_new_tokens"] = rest.pop("max_tokens")
    sent = {"inputs": body["prompt"], **({"parameters": rest} if rest else {})}
    return body.get("model") or record.model or "", sent | ({"stream": True} if body.get("stream") else {})


def _elsewhere(record: Record, route: Route) -> Found:
    """`{prompt, ...parameters}`, or a payload in place of the prompt: providers of pictures, videos and sounds."""
    body = record.request.document
    if not isinstance(body, dict):
        return NotToday(OLD_FORM)
    asked = body["input"] if isinstance(body.get("input"), dict) else body
    rest = {name: value for name, value in asked.items() if name not in JS_ONLY | PAYLOADS | {"text", "version"}}
    for short, name in (("steps", "num_inference_steps"), ("guidance", "guidance_scale")):
        if short in rest:
            rest[name] = rest.pop(short)
    if record.task == "text-to-image" and isinstance(size := rest.get("image_size"), Mapping):
        rest |= dict(size)
        del rest["image_size"]
    inputs = asked.get("prompt", asked.get("text", asked.get("input")))
    if record.task in INPUTS:
        if isinstance(asked.get("prompt"), str):
            rest["prompt"] = asked["prompt"]
        inputs = next((uri for name in sorted(PAYLOADS) for uri in _uris(asked.get(name))), None)
    if not isinstance(inputs, str):
        return NotToday(OLD_FORM)
    return _model(record, route, body), {"inputs": inputs, **({"parameters": rest} if rest else {})}


def _uris(value: Any) -> list[str]:
    """The `data:` URIs in a text or a list of texts, or of objects with one."""
    found: list[str] = []
    for one in value if isinstance(value, list) else [value]:
        text = (
            next((one[name] for name in ("image", "input_image", "url") if name in one), None)
            if isinstance(one, dict)
            else one
        )
        found += [text] if isinstance(text, str) and text.startswith("data:") else []
    return found


def _embedded(record: Record, route: Route) -> Found:
    body = record.request.document
    if not isinstance(body, dict) or "input" not in body:
        return NotToday(OLD_FORM)
    rest = {name: value for name, value in body.items() if name not in ("input", "model")}
    return _model(record, route, body), {"inputs": body["input"], **rest}


MODELS = (
    r"/fal-ai/([^?]+)(?:\?.*)?", r"/replicate/v1/models/(.+)/predictions", r"/wavespeed/api/v3/(.+)",
    r"/novita/v3/hf/(.+)",
)  # fmt: skip
"""Addresses that name the model."""


def _model(record: Record, route: Route, body: dict[str, Any]) -> str:
    """By the address, else by the body; replicate calls a version by its id alone."""
    named = next((found[1] for one in MODELS if (found := re.fullmatch(one, route.path))), None)
    if "version" in body and named is None:
        return f"owner/name:{body['version']}"
    return named or str(body.get("model") or record.model or "")


HOSTED: dict[str, Callable[[Record, Route], Found]] = {
    "chat-completion": _chat,
    "table-question-answering": _table,
    "text-classification": _one_text,
    "zero-shot-classification": _one_text,
    "zero-shot-image-classification": _picture_labels,
}
"""hf-inference; tasks that are not here are `_pipeline`."""
ELSEWHERE: dict[str, Callable[[Record, Route], Found]] = {
    "chat-completion": _chat,
    "feature-extraction": _embedded,
    "text-generation": _completions,
}
"""All other providers; tasks that are not here are `_elsewhere`."""
