"""What a refusal means: from status, headers and body, or from an exception of the HTTP port, to one kind."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from runtime.http import (
    NOTHING_WAS_SENT,
    ConnectError,
    ConnectTimeout,
    EgressRefusedError,
    EncodingRefusedError,
    HTTPError,
    InvalidURL,
    LocalProtocolError,
    PoolTimeout,
    ResponseTooLargeError,
    TimeoutException,
    TransportError,
    UnsupportedProtocol,
)
from schemas import codec
from schemas.failure import FailureKind
from workers.retry_after import retry_after
from workers.wording import message_of

K = FailureKind
MAX_BODY_BYTES = 4_096
"""What is read of a refusal's body."""


@dataclass(slots=True, eq=False)
class ProviderError(Exception):
    """One call did not end in an answer."""

    kind: FailureKind
    message: str
    """At most 300 characters; never prompt, output or token."""
    upstream_status: int | None = None
    """The HTTP status, if one came."""
    retry_after: timedelta | None = None
    """What the provider asks us to wait."""
    request_id: str | None = None
    emitted: bool = False
    """Output had begun: its tokens have been paid."""
    nothing_sent: bool = False
    """The provider has seen nothing of the call."""
    accepted: bool = False
    """The provider had taken the work up before: it may be done, and charged."""
    gated: bool = False
    """The model's licence has to be accepted on its page first."""

    def __post_init__(self) -> None:
        # Exception prints its `args`: two of them, and no more than two.
        self.args = (self.kind, self.message)


EXCEPTIONS: tuple[tuple[type[BaseException], FailureKind], ...] = (
    (EgressRefusedError, K.EGRESS_REFUSED),
    (UnsupportedProtocol, K.EGRESS_REFUSED),
    (InvalidURL, K.EGRESS_REFUSED),
    (ResponseTooLargeError, K.RESPONSE_TOO_LARGE),
    (EncodingRefusedError, K.INVALID_OUTPUT),
    (ConnectError, K.CONNECT_FAILED),
    (ConnectTimeout, K.CONNECT_FAILED),
    (PoolTimeout, K.CONNECT_FAILED),
    (LocalProtocolError, K.INTERNAL),
    (TimeoutException, K.TIMEOUT),
    (TransportError, K.CONNECTION_LOST),
    (HTTPError, K.INVALID_OUTPUT),  # what is left of them: a body that cannot be decoded, endless redirects
)
"""The HTTP port's exceptions, most special first. Anything that is none of them is a fault of ours."""


def of_exception(error: Exception) -> ProviderError:
    """Say an exception of the HTTP port as a `ProviderError`. Total; the message names the class and nothing else."""
    kind = next((kind for cls, kind in EXCEPTIONS if isinstance(error, cls)), K.INTERNAL)
    name = type(error).__name__
    if isinstance(error, ResponseTooLargeError):
        name = f"the answer has more than {error.limit_bytes} bytes, which is the limit"
    return ProviderError(kind, name, nothing_sent=isinstance(error, NOTHING_WAS_SENT))


STATUSES: dict[int, FailureKind] = {
    401: K.UNAUTHORIZED,
    402: K.PAYMENT_REQUIRED,
    403: K.FORBIDDEN,
    404: K.NOT_FOUND,
    410: K.GONE,
    413: K.TOO_LARGE,
    421: K.NOT_FOUND,  # RFC 9110 15.5.20, misdirected: that host has no such door
    429: K.RATE_LIMITED,
    501: K.REQUEST_REFUSED,
    503: K.OVERLOADED,
    504: K.PROVIDER_ERROR,
    505: K.REQUEST_REFUSED,
}
"""The kind of a status where the body says nothing better. Other 4xx: request_refused; other 5xx: provider_error."""

CODES: dict[str, FailureKind] = {
    "GatedRepo": K.FORBIDDEN,
    "RepoNotFound": K.NOT_FOUND,
    "RevisionNotFound": K.NOT_FOUND,
    "EntryNotFound": K.NOT_FOUND,
}
"""Hugging Face's `X-Error-Code` on a 4xx. It says more than its status: what is not shown to you is a 401 too."""


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_NOT_SERVED = _words(
    r"model_not_(supported|available|found)|\bmodel\b.{0,200}\bnot supported|not supported (by any|for now)"
    r"|does not exist|no such model|unable to access model"
)
PAUSED = _words(r"bad request: invalid state\b|\bendpoint is paused\b")
"""What the proxy of a dedicated endpoint says, with a 400, until somebody resumes it (elastic/elasticsearch#112033)."""
_CONTEXT = _words(
    r"tokens \+ `max_new_tokens`|context[ _](length|window)|maximum context|must have less than \d+ tokens"
)
_MONEY = _words(r"quota|\bcredits?\b|billing|payment|insufficient[ _](funds|balance)|exhausted balance|top up your")
_NO_QUOTA = _words(r"insufficient_quota|exceeded your current quota|depleted your|monthly included credits")
_LOADING = _words(r"\bloading\b|estimated_time")
_RATE = _words(r"rate.?limit|too many requests")
_OVERLOAD = _words(r"overloaded|capacity|unavailable")
_CREDENTIALS = _words(
    r"unauthori[sz]ed|not authenticated|(invalid|incorrect|missing|wrong)\W+(authentication|api.?key|credentials|token)"
)
_GATED = _words(r"\bgated\b|access to model .{0,200} is restricted")
_VALIDATION = _words(r"validation|invalid[ _](request|input|argument|parameter|value)|bad_request|template.?error")
_POLICY = _words(r"nsfw|safety (checker|filter|system)|content.?policy|moderation|flagged as")

BETTER: dict[int, tuple[tuple[FailureKind, re.Pattern[str]], ...]] = {
    400: (
        (K.CONTEXT_EXCEEDED, _CONTEXT),
        (K.NOT_FOUND, _NOT_SERVED),
        (K.NOT_FOUND, PAUSED),
        (K.PAYMENT_REQUIRED, _NO_QUOTA),
    ),
    401: ((K.FORBIDDEN, _GATED),),
    403: ((K.FORBIDDEN, _GATED), (K.UNAUTHORIZED, _CREDENTIALS), (K.PAYMENT_REQUIRED, _MONEY)),
    413: ((K.CONTEXT_EXCEEDED, _CONTEXT),),
    422: ((K.CONTEXT_EXCEEDED, _CONTEXT), (K.NOT_FOUND, _NOT_SERVED)),
    429: ((K.PAYMENT_REQUIRED, _NO_QUOTA), (K.RATE_LIMITED, _RATE), (K.PAYMENT_REQUIRED, _MONEY)),
    503: ((K.MODEL_LOADING, _LOADING),),
}
"""Where a body tells more than its status: the first pattern that is found says the kind."""

INSIDE_SUCCESS: tuple[tuple[FailureKind, re.Pattern[str]], ...] = (
    (K.MODEL_LOADING, _LOADING),
    (K.PAYMENT_REQUIRED, _NO_QUOTA),
    (K.RATE_LIMITED, _RATE),
    (K.UNAUTHORIZED, _CREDENTIALS),
    (K.FORBIDDEN, _GATED),
    (K.CONTEXT_EXCEEDED, _CONTEXT),
    (K.NOT_FOUND, _NOT_SERVED),
    (K.REQUEST_REFUSED, _POLICY),
    (K.REQUEST_REFUSED, _VALIDATION),
    (K.OVERLOADED, _OVERLOAD),
    (K.PAYMENT_REQUIRED, _MONEY),
)
"""For an error object that names no status."""


def read_error(status: int, headers: Mapping[str, str], body: bytes, *, now: datetime) -> ProviderError:
    """What an answer that is no success means. Total: any status, headers (lower-case names) and bytes.

    `body` may be cut after `MAX_BODY_BYTES`. A status below 300 stands for an error object inside a success.
    Retry-After is read on 429 and 503 alone, because some providers send it on every answer.
    """
    text = body[:MAX_BODY_BYTES].decode("utf-8", "replace")
    document = _document(text)
    coded = CODES.get(headers.get("x-error-code", "")) if 400 <= status < 500 else None
    kind = coded or _kind(status, text, document)
    wait = retry_after(headers, now) if status in (429, 503) else None
    if kind is K.MODEL_LOADING and wait is None:
        wait = _estimated_time(document)
    return ProviderError(
        kind,
        message_of(status, headers, document, text) or f"status {status} with {len(body)} bytes that say nothing",
        upstream_status=status,
        retry_after=wait,
        request_id=request_id(headers),
        gated=kind is K.FORBIDDEN and (headers.get("x-error-code") == "GatedRepo" or _GATED.search(text) is not None),
    )


def request_id(headers: Mapping[str, str]) -> str | None:
    """The provider's id of a call: the billing id if there is one, else the request's. At most 200 characters."""
    for name in ("inference-id", "x-inference-id", "x-request-id", "x-amzn-trace-id", "x-amz-cf-id"):
        value = headers.get(name, "")[:200]
        if value and value.isprintable():
            return value
    return None


def _kind(status: int, text: str, document: object) -> FailureKind:
    if status < 300:
        return _kind_inside_success(text, document)
    if status < 400:
        return K.NOT_FOUND  # redirects are not followed: the model has another name or the door another address
    default = STATUSES.get(status, K.PROVIDER_ERROR if status >= 500 else K.REQUEST_REFUSED)
    return next((kind for kind, pattern in BETTER.get(status, ()) if pattern.search(text)), default)


def _kind_inside_success(text: str, document: object) -> FailureKind:
    """An error object in a body or stream that began as a success: by the status it names, else by its words."""
    inner = document.get("error") if isinstance(document, dict) else None
    for holder in (inner, document):
        for name in ("status", "code", "status_code", "http_status_code"):
            named = holder.get(name) if isinstance(holder, dict) else None
            if isinstance(named, int) and 400 <= named < 600:
                return _kind(named, text, document)
    return next((kind for kind, pattern in INSIDE_SUCCESS if pattern.search(text)), K.PROVIDER_ERROR)


def _document(text: str) -> object:
    try:
        return codec.decode(text.encode("utf-8", "replace"))
    except codec.Undecodable:
        return None


def _estimated_time(document: object) -> timedelta | None:
    """Seconds until the model is loaded, as hf-inference estimates them; capped at a day."""
    value = document.get("estimated_time") if isinstance(document, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        return None
    return timedelta(seconds=min(float(value), 86_400.0))
