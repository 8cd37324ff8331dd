"""What Hugging Face's servers say when they refuse, and the headers they answer with. Pure.

Bodies and headers are those of recorded traffic (huggingface.js and huggingface_hub test recordings, 2023 to 2026)
and of Hugging Face's documentation; where none was recorded the docstring says so.
"""

from collections.abc import Mapping
from typing import Any

from sandbox.hf.bill import Work
from sandbox.hf.catalogue import Model
from schemas import codec

JSON = "application/json; charset=utf-8"

LOGIN_PAGE = (
    '<!doctype html>\n<html class="">\n\t<head>\n\t\t<meta charset="utf-8" />\n'
    "\t\t<title>Hugging Face (Novix sandbox)</title>\n\t</head>\n"
    "\t<body>\n\t\t<h1>401</h1>\n\t\t<p>Log in to continue.</p>\n\t</body>\n</html>\n"
)


class Refusal(Exception):
    """An answer that is no result: raised in a door, sent as it is."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        """A JSON value, or text for the answers that are none."""
        self.headers = dict(headers or {})

    def content(self) -> bytes:
        """The body as bytes."""
        return self.body.encode() if isinstance(self.body, str) else codec.encode(self.body)

    def content_type(self) -> str:
        """The media type the real servers declare for such a body."""
        if not isinstance(self.body, str):
            return JSON
        return "text/html; charset=utf-8" if self.body.startswith("<") else "text/plain; charset=utf-8"


def no_token() -> Refusal:
    """401 as an HTML page: what a call without an Authorization header gets."""
    return Refusal(401, LOGIN_PAGE)


def bad_token() -> Refusal:
    """401: a token that is not accepted. Checked before the model, so it says nothing about the model."""
    realm = 'Bearer realm="Authentication required", charset="UTF-8"'
    return Refusal(401, {"error": "Invalid credentials in Authorization header"}, {"www-authenticate": realm})


def model_not_supported(asked: str) -> Refusal:
    """400 of the OpenAI door for a model that no provider here serves for chat."""
    message = f"The requested model '{asked}' is not supported by any provider you have enabled."
    error = {
        "message": message,
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_supported",
    }
    return Refusal(400, {"error": error})


def unknown_model(asked: str) -> Refusal:
    """404 of the hf-inference door."""
    return Refusal(404, {"error": f"Model {asked} does not exist"})


def wrong_task() -> Refusal:
    """400 of the hf-inference door: the model is known, but not for this task."""
    return Refusal(400, {"error": "Model not supported by provider hf-inference"})


def no_repository(*, authenticated: bool) -> Refusal:
    """The Hub's answer for a repository that is not there: 404, or 401 to the anonymous, who may not know."""
    headers = {"x-error-code": "RepoNotFound"}
    if authenticated:
        return Refusal(404, {"error": "Repository not found"}, headers | {"x-error-message": "Repository not found"})
    message = "Invalid username or password."
    return Refusal(401, {"error": message}, headers | {"x-error-message": message})


def not_json(where: str) -> Refusal:
    """400 in plain text, as the Rust servers (axum) refuse a body that is no JSON."""
    return Refusal(400, f"Failed to parse the request body as JSON: {where}")


def invalid(reason: str) -> Refusal:
    """422: the body is JSON and breaks the task's published schema, or a limit of the model."""
    return Refusal(422, {"error": f"Input validation error: {reason}", "error_type": "validation"})


def too_long(given: int, limit: int, new_tokens: int) -> Refusal:
    """422: text-generation-inference's own sentence for a prompt that leaves no room for an answer."""
    return invalid(
        f"`inputs` tokens + `max_new_tokens` must be <= {limit}. "
        f"Given: {given} `inputs` tokens and {new_tokens} `max_new_tokens`"
    )


def input_too_long(given: int, limit: int) -> Refusal:
    """413: text-embeddings-inference's refusal of an input over the model's length when `truncate` is not set."""
    message = f"Input validation error: `inputs` must have less than {limit} tokens. Given: {given}"
    return Refusal(413, {"error": message, "error_type": "Validation"})


def unsupported(parameter: str, within: str) -> Refusal:
    """400 in the form of hf-inference's list of errors: a parameter that this model cannot honour."""
    return Refusal(400, {"error": [f"Error in `{within}`: `{parameter}` is not supported for this model"]})


def unreadable(where: str, why: str) -> Refusal:
    """400 in the form recorded from hf-inference: a file that is none of its kind, a text that cannot be worked on."""
    return Refusal(400, {"error": [f"Error in `{where}`: {why}"]})


def too_large(size: int, limit: int) -> Refusal:
    """413 for a body over our limit; the real limits and bodies are not known."""
    return Refusal(413, {"error": f"Payload too large: {size} bytes; {limit} are accepted"})


def engine_failed(kind: str) -> Refusal:
    """500 with `warnings`, as hf-inference answers when the pipeline itself fails. Says the fault's kind only."""
    return Refusal(500, {"error": "unknown error", "warnings": [f"There was an inference error: {kind}"]})


def answered(model: Model, inference_id: str, characters: int) -> dict[str, str]:
    """Headers of every call that a model answered."""
    headers = {
        "x-inference-provider": "hf-inference",
        "inference-id": inference_id,
        "x-inference-id": inference_id,
        "x-compute-type": "cpu",
        "x-compute-characters": str(characters),
    }
    return headers | ({"x-sha": model.revision} if model.revision else {})


def computed(work: Work, queued_ms: int) -> dict[str, str]:
    """Headers that tell the work, once it is done.

    Seconds with three decimals, as hf-inference prints them; token counts as text-generation-inference does.
    """
    headers = {"x-compute-time": seconds(work.compute_ms)}
    if work.output_tokens is not None:
        headers |= {
            "x-total-time": str(queued_ms + work.compute_ms),
            "x-queue-time": str(queued_ms),
            "x-inference-time": str(work.compute_ms),
            "x-prompt-tokens": str(work.input_tokens),
            "x-generated-tokens": str(work.output_tokens),
        }
    return headers


def seconds(ms: int) -> str:
    """Whole milliseconds as seconds with exactly three decimals: nothing is lost between header and bill."""
    return f"{ms // 1000}.{ms % 1000:03d}"


def request_id(chance: str, trace: str | None) -> str:
    """`x-request-id`: `Root=1-<8 hex>-<24 hex>`, and behind `;` the caller's own X-Amzn-Trace-Id, which comes back."""
    root = f"Root=1-{chance[:8]}-{chance[8:32]}"
    return f"{root};{trace}" if trace else root
