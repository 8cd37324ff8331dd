"""What each recorded refusal means, written down by reading them: statuses first, then the bodies that say more.

It knows nothing of `workers.errors`, which is held against it.
"""

import json
import re
from collections.abc import Mapping

from schemas.failure import FailureKind as K

STATUSES = {
    401: K.UNAUTHORIZED, 402: K.PAYMENT_REQUIRED, 403: K.FORBIDDEN, 404: K.NOT_FOUND, 410: K.GONE, 413: K.TOO_LARGE,
    421: K.NOT_FOUND, 429: K.RATE_LIMITED, 501: K.REQUEST_REFUSED, 503: K.OVERLOADED, 505: K.REQUEST_REFUSED,
}  # fmt: skip
"""Where the body says no more than the status does; other redirects lead elsewhere, other 4xx are about the request,
other 5xx and errors inside a success the provider's."""

SAYS_MORE: tuple[tuple[int, str, K], ...] = (
    (200, "`inputs` tokens + `max_new_tokens`", K.CONTEXT_EXCEEDED),
    (200, "must have less than", K.CONTEXT_EXCEEDED),
    (200, "is currently loading", K.MODEL_LOADING),
    (200, "verloaded", K.OVERLOADED),
    (200, "Rate limit", K.RATE_LIMITED),
    (200, "rate limit", K.RATE_LIMITED),
    (200, "API key", K.UNAUTHORIZED),
    (200, "NSFW", K.REQUEST_REFUSED),
    (200, "alidation error", K.REQUEST_REFUSED),
    (200, "emplate error", K.REQUEST_REFUSED),
    (400, "`inputs` tokens + `max_new_tokens`", K.CONTEXT_EXCEEDED),
    (400, "must have less than", K.CONTEXT_EXCEEDED),
    (400, "maximum context length", K.CONTEXT_EXCEEDED),
    (400, "model_not_supported", K.NOT_FOUND),
    (400, "model_not_available", K.NOT_FOUND),
    (400, "Model not supported by provider", K.NOT_FOUND),
    (400, "is not supported for now", K.NOT_FOUND),
    (400, "does not exist", K.NOT_FOUND),
    (401, "gated", K.FORBIDDEN),
    (403, "Not authenticated", K.UNAUTHORIZED),
    (403, "xhausted balance", K.PAYMENT_REQUIRED),
    (422, "`inputs` tokens + `max_new_tokens`", K.CONTEXT_EXCEEDED),
    (422, "must have less than", K.CONTEXT_EXCEEDED),
    (422, "does not exist", K.NOT_FOUND),
    (429, "insufficient_quota", K.PAYMENT_REQUIRED),
    (429, "Rate limit", K.RATE_LIMITED),
    (429, "quota", K.PAYMENT_REQUIRED),
    (429, "credits", K.PAYMENT_REQUIRED),
    (503, "loading", K.MODEL_LOADING),
)
"""The first that is found counts."""

CODES = {"GatedRepo": K.FORBIDDEN, "RepoNotFound": K.NOT_FOUND}


def expected_kind(status: int, headers: Mapping[str, str], body: bytes) -> K:
    """The kind of a recorded refusal."""
    code = CODES.get(headers.get("x-error-code", ""))
    if code is not None and 400 <= status < 500:
        return code
    text = body.decode("utf-8", "replace")
    for at, words, kind in SAYS_MORE:
        if at == status and words in text:
            return kind
    if status < 300 or status >= 500:
        return STATUSES.get(status, K.PROVIDER_ERROR)
    return STATUSES.get(status, K.REQUEST_REFUSED if status >= 400 else K.NOT_FOUND)


def is_refusal(status: int, body: bytes) -> bool:
    """Whether an answer is one: by its status, or by an error in its object or in one of its events."""
    return status >= 300 or any(_tells_error(part) for part in (body, *_EVENT.findall(body)))


_EVENT = re.compile(rb"^data:\s*(\{.*\})\s*$", re.MULTILINE)


def _tells_error(text: bytes) -> bool:
    try:
        document = json.loads(text)
    except ValueError:
        return False
    return isinstance(document, dict) and bool(document.get("error"))
