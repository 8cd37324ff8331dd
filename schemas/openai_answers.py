"""Results as lines of OpenAI's batch output file, with bodies in OpenAI's own response forms. Pure.

`{"id", "custom_id", "response": {"status_code", "request_id", "body"}, "error"}`: a failed job has a response with the
status that the API would have given and the error as its body; one that ended without an answer (expired, cancelled)
has no response, but an error.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

Result = Mapping[str, Any]
"""A `JobResult` as it is written on its topic."""

STATUS: Mapping[str, int] = {
    "undecodable": 400, "invalid_job": 400, "unknown_schema": 400, "unknown_task": 400, "invalid_input": 400,
    "invalid_media": 400, "payload_unreachable": 400, "payload_missing": 404, "too_large": 413, "conflict": 409,
    "unknown_model": 404, "unknown_provider": 404, "no_candidate": 404, "unknown_price": 400, "context_exceeded": 400,
    "price_ceiling": 402, "rate_limited": 429, "model_loading": 503, "overloaded": 503, "breaker_open": 503,
    "provider_error": 502, "timeout": 504, "connect_failed": 502, "connection_lost": 502, "stream_cut": 502,
    "unauthorized": 401, "payment_required": 402, "forbidden": 403, "not_found": 404, "gone": 410,
    "request_refused": 400, "egress_refused": 403, "invalid_output": 502, "response_too_large": 502,
}  # fmt: skip
"""The HTTP status that tells each failure kind; every other one is 500."""
_ENDED = {"expired": "batch_expired", "cancelled": "batch_cancelled"}
_FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})


class _NotThatForm(Exception):
    """The output is not what OpenAI's form can hold; says what of it."""


def line_of(result: Result, image: bytes | None = None) -> dict[str, Any] | None:
    """The line that tells a result; None for a task that no address of OpenAI's stands for.

    `image` is what the output's reference names (see `reference_of`); None: it could not be had.
    """
    write = _BODIES.get(str(result.get("task")))
    if write is None:
        return None
    status, error = str(result.get("status")), result.get("error") or {}
    line = {"id": _id(result, "batch_req_"), "custom_id": result.get("job_id"), "response": None, "error": None}
    kind, message = str(error.get("kind")), str(error.get("message"))
    if status in _ENDED:
        return {**line, "error": {"code": _ENDED[status], "message": message}}
    if status != "succeeded":
        return {**line, "response": _response(result, STATUS.get(kind, 500), _error(kind, message))}
    try:
        body = write(result, image)
    except _NotThatForm as fault:
        return {**line, "response": _response(result, 502, _error("invalid_output", str(fault)))}
    return {**line, "response": _response(result, 200, body)}


def reference_of(result: Result) -> Mapping[str, Any] | None:
    """The reference (`schemas.media.BlobRef`) whose bytes belong into the line."""
    output = result.get("output")
    image = output.get("image") if isinstance(output, dict) else None
    reference = image.get("$ref") if isinstance(image, dict) else None
    return reference if isinstance(reference, dict) else None


def _response(result: Result, status: int, body: Any) -> dict[str, Any]:
    called = [attempt.get("request_id") for attempt in result.get("attempts") or ()]
    request_id = (
        next((told for told in reversed(called) if told), None) or result.get("trace_id") or _id(result, "req_")
    )
    return {"status_code": status, "request_id": request_id, "body": body}


def _error(kind: str, message: str) -> dict[str, Any]:
    whose = "server_error" if STATUS.get(kind, 500) >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": whose, "param": None, "code": kind}}


def _id(result: Result, prefix: str) -> str:
    identity = f"{result.get('tenant')}/{result.get('job_id')}/{result.get('submission')}"
    return prefix + hashlib.sha256(identity.encode(errors="replace")).hexdigest()[:32]


def _model(result: Result) -> str:
    return str((result.get("served") or {}).get("model"))


def _created(result: Result) -> int:
    return int(datetime.fromisoformat(str(result["completed_at"])).timestamp())


def _usage(result: Result) -> dict[str, int]:
    counted = result.get("usage") or {}
    read, written = int(counted.get("input_tokens", 0)), int(counted.get("output_tokens", 0))
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _chat(result: Result, _: bytes | None) -> dict[str, Any]:
    output = result.get("output")
    if not isinstance(output, dict) or not isinstance(output.get("choices"), list):
        raise _NotThatForm("the output has no choices")
    choices = [
        {**choice, "index": choice.get("index", at), "finish_reason": _finish(choice.get("finish_reason"))}
        for at, choice in enumerate(output["choices"])
        if isinstance(choice, dict)
    ]
    return {
        "id": _id(result, "chatcmpl-"),
        "created": _created(result),
        "model": _model(result),
        "usage": _usage(result),
        **{name: value for name, value in output.items() if value not in (None, "")},
        "object": "chat.completion",
        "choices": choices,
    }


def _finish(reason: Any) -> str:
    """OpenAI's word for why a text ended: text-generation-inference says `eos_token` or `stop_sequence` for `stop`."""
    return reason if reason in _FINISHES else "stop"


def _completion(result: Result, _: bytes | None) -> dict[str, Any]:
    output = result.get("output")
    one = output[0] if isinstance(output, list) and output else output
    if not isinstance(one, dict) or not isinstance(one.get("generated_text"), str):
        raise _NotThatForm("the output has no generated_text")
    details = one.get("details")
    reason = details.get("finish_reason") if isinstance(details, dict) else None
    choice = {"index": 0, "text": one["generated_text"], "finish_reason": _finish(reason), "logprobs": None}
    return {
        "id": _id(result, "cmpl-"),
        "object": "text_completion",
        "created": _created(result),
        "model": _model(result),
        "choices": [choice],
        "usage": _usage(result),
    }


def _embeddings(result: Result, _: bytes | None) -> dict[str, Any]:
    rows = result.get("output")
    if not isinstance(rows, list) or not rows:
        raise _NotThatForm("the output is no list of embeddings")
    if all(isinstance(number, int | float) for number in rows):
        rows = [rows]
    for row in rows:
        if not isinstance(row, list) or not all(isinstance(number, int | float) for number in row):
            raise _NotThatForm("the output has an embedding for each token; OpenAI's form has one for each text")
    usage = _usage(result)
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)],
        "model": _model(result),
        "usage": {"prompt_tokens": usage["prompt_tokens"], "total_tokens": usage["prompt_tokens"]},
    }


def _image(result: Result, image: bytes | None) -> dict[str, Any]:
    if image is None:
        raise _NotThatForm("the image lies in the blob store, and could not be read there")
    return {"created": _created(result), "data": [{"b64_json": base64.b64encode(image).decode()}]}


_BODIES: Mapping[str, Callable[[Result, bytes | None], dict[str, Any]]] = {
    "chat-completion": _chat,
    "text-generation": _completion,
    "feature-extraction": _embeddings,
    "text-to-image": _image,
}
