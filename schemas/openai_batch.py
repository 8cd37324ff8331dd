"""Lines of OpenAI's batch file as jobs. Pure; nothing of OpenAI's is called.

A line is `{"custom_id", "method", "url", "body"}`, as OpenAI's Batch API takes it in a file. What a body asks and a job
cannot is refused by its name; nothing is left out in silence but what means nothing here (`NOT_OURS`).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from schemas.base import MAX_ID_CHARS

Body = Mapping[str, Any]
WINDOW_S = 86_400.0
"""OpenAI's `completion_window` of 24 hours: until then the answer is worth something."""
NOT_OURS = frozenset(
    {"stream", "stream_options", "store", "service_tier", "metadata", "user", "safety_identifier", "prompt_cache_key"}
)
"""Members of a body that speak of OpenAI's account, or of pieces that a file cannot have: left out."""
NO_PROVIDERS = frozenset({"fastest", "cheapest", "preferred"})
"""What may stand behind a model's colon on Hugging Face and names no provider: the cost router chooses."""
MOST_PIXELS_A_SIDE = 16_384


class _Refused(Exception):
    """A body that no job can stand for. Names members, types and sizes, never a value."""


def is_request(document: Any) -> bool:
    """Whether a line is written as OpenAI's batch file has it, rather than as a job."""
    return isinstance(document, dict) and "custom_id" in document and "task" not in document


def job_of(line: Mapping[str, Any], tenant: str) -> dict[str, Any] | str:
    """The job that a batch line asks for, under its `custom_id`; or why there is none. Total."""
    try:
        custom_id = _custom_id(line.get("custom_id"))
        task, read, body = _endpoint(line)
        given = {name: value for name, value in body.items() if value is not None and name not in NOT_OURS}
        served_by = _served_by(given.pop("model", "auto"))
        job = {"id": custom_id, "task": task, "input": read(given), "tenant": tenant}
    except _Refused as refusal:
        return str(refusal)
    return {**job, **served_by, "priority": "batch", "timeout_s": WINDOW_S}


def _custom_id(value: Any) -> str:
    if not isinstance(value, str):
        raise _Refused(f"custom_id is a {_type(value)}; it must be a text")
    if not 1 <= len(value) <= MAX_ID_CHARS or not value.isprintable():
        raise _Refused(f"custom_id has {len(value)} characters; it may have 1 to {MAX_ID_CHARS} that can be printed")
    return value


def _endpoint(line: Mapping[str, Any]) -> "tuple[str, Callable[[dict[str, Any]], dict[str, Any]], Body]":
    if line.get("method", "POST") != "POST":
        raise _Refused("method must be POST")
    url, body = line.get("url"), line.get("body")
    known = ENDPOINTS.get(url) if isinstance(url, str) else None
    if known is None:
        raise _Refused(f"url is not one that jobs can stand for; these are: {', '.join(ENDPOINTS)}")
    if not isinstance(body, dict):
        raise _Refused(f"body is a {_type(body)}; it must be an object")
    return *known, body


def _served_by(model: Any) -> dict[str, str]:
    """Model and provider: Hugging Face's `model:provider` names both."""
    if not isinstance(model, str):
        raise _Refused(f"body.model is a {_type(model)}; it must be a text")
    name, colon, provider = model.rpartition(":")
    if not colon:
        return {"model": model}
    return {"model": name} if provider in NO_PROVIDERS else {"model": name, "provider": provider}


def _chat(body: dict[str, Any]) -> dict[str, Any]:
    """A chat is Hugging Face's chat-completion as it stands, but for two spellings."""
    if "max_completion_tokens" in body:
        body["max_tokens"] = body.pop("max_completion_tokens")
    if isinstance(body.get("stop"), str):
        body["stop"] = [body["stop"]]
    return body


_COMPLETION = {
    "max_tokens": "max_new_tokens", "temperature": "temperature", "top_p": "top_p", "seed": "seed", "stop": "stop",
    "frequency_penalty": "frequency_penalty", "echo": "return_full_text",
}  # fmt: skip
"""OpenAI's name -> that of Hugging Face's text-generation."""


def _completion(body: dict[str, Any]) -> dict[str, Any]:
    _one(body, "n", "best_of")
    prompt = body.pop("prompt", None)
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise _Refused(f"body.prompt is {_told(prompt)}; a job has one text")
    if isinstance(body.get("stop"), str):
        body["stop"] = [body["stop"]]
    _all_known(body, _COMPLETION)
    parameters = {_COMPLETION[name]: value for name, value in body.items()}
    # Without `echo` OpenAI's text goes on from the prompt; what Hugging Face's has differs from server to server.
    return {"inputs": prompt, "parameters": {"return_full_text": False, **parameters}}


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    if body.pop("encoding_format", "float") != "float":
        raise _Refused("body.encoding_format: results hold numbers; only float can be had")
    texts = body.pop("input", None)
    whole = isinstance(texts, str) or (isinstance(texts, list) and all(isinstance(text, str) for text in texts))
    if not whole:
        raise _Refused(f"body.input is {_told(texts)}; it must be a text or a list of texts, not of tokens")
    _all_known(body, {})
    return {"inputs": texts}


_DEFAULTS = {"quality": ("auto", "standard"), "background": ("auto",), "moderation": ("auto",)}
"""Members whose default asks for nothing."""


def _image(body: dict[str, Any]) -> dict[str, Any]:
    _one(body, "n")
    prompt, size = body.pop("prompt", None), body.pop("size", "auto")
    if not isinstance(prompt, str):
        raise _Refused(f"body.prompt is {_told(prompt)}; it must be a text")
    if body.pop("response_format", "b64_json") != "b64_json":
        raise _Refused("body.response_format: results hold the image itself; only b64_json can be had")
    for name, nothing in _DEFAULTS.items():
        if body.get(name) in nothing:
            del body[name]
    _all_known(body, {})
    if size == "auto":
        return {"inputs": prompt}
    sides = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", size) if isinstance(size, str) else None
    if sides is None or max(int(sides[1]), int(sides[2])) > MOST_PIXELS_A_SIDE:
        raise _Refused(f"body.size is {_told(size)}; it must be auto or WIDTHxHEIGHT up to {MOST_PIXELS_A_SIDE}")
    return {"inputs": prompt, "parameters": {"width": int(sides[1]), "height": int(sides[2])}}


ENDPOINTS: Mapping[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "/v1/chat/completions": ("chat-completion", _chat),
    "/v1/completions": ("text-generation", _completion),
    "/v1/embeddings": ("feature-extraction", _embeddings),
    "/v1/images/generations": ("text-to-image", _image),
}
"""Each address of OpenAI's that a job can stand for: its task, and how a body becomes the task's input."""


def _one(body: dict[str, Any], *names: str) -> None:
    for name in names:
        if body.pop(name, 1) != 1:
            raise _Refused(f"body.{name}: a job has one answer; write so many lines")


def _all_known(body: Body, known: Body) -> None:
    """Refuse what would otherwise be left out in silence. A name is told only if it looks like one."""
    left = [name if re.fullmatch(r"[a-z_]{1,40}", name) else "a name" for name in body if name not in known]
    if left:
        raise _Refused(f"body.{', '.join(sorted(left)[:5])}: no parameter of the task that stands for it")


def _told(value: Any) -> str:
    size = f" of {len(value)}" if isinstance(value, str | list | dict) else ""
    return f"a {_type(value)}{size}"


def _type(value: Any) -> str:
    names = {str: "text", bool: "boolean", int: "number", float: "number", dict: "object", type(None): "null"}
    return names.get(type(value), type(value).__name__)
