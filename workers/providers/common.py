"""What every call to a provider carries, and how answers are looked into: whatever is in them, nothing here fails."""

from datetime import UTC, datetime
from typing import Any, NoReturn

from schemas import codec
from schemas.failure import FailureKind
from workers.errors import ProviderError, read_error
from workers.exchange import FIRST, Binary, Got, Reply, measured, tokens_told
from workers.providers.pieces import decoded

Headers = tuple[tuple[str, str], ...]
POLL, RESULT, FETCH = "poll", "result", "fetch"
"""Stages of the calls that follow the first."""
MAX_TRACE_CHARS = 256
"""Of `X-Amzn-Trace-Id` and `X-HF-Session-id`; 256 is what Hugging Face's own agent keeps to."""
_NO_TIME = datetime(2000, 1, 1, tzinfo=UTC)
"""For errors inside a success: their waits are spans, never dates."""


def call_headers(tenant: str, job_id: str, bill_to: str) -> Headers:
    """Who pays, whose session, and our own name for the call, which comes back in `x-request-id`.

    Ids are free text: what is no visible ASCII becomes `_`. Baggage and `traceparent` are never sent: what our
    producers put into them is not the provider's business.
    """
    headers = (
        ("content-type", "application/json"),
        ("accept-encoding", "identity"),
        ("user-agent", "novix"),
        ("x-hf-session-id", header_text(tenant)),
        ("x-amzn-trace-id", header_text(f"{tenant}/{job_id}")),
    )
    return (*headers, ("x-hf-bill-to", header_text(bill_to))) if bill_to else headers


def header_text(text: str) -> str:
    """`text` as a header value: visible ASCII, at most `MAX_TRACE_CHARS`."""
    text = text[:MAX_TRACE_CHARS]
    if text.isascii() and text.isprintable() and " " not in text:  # as nearly every id is
        return text
    return "".join(char if "!" <= char <= "~" else "_" for char in text)


def with_content_type(headers: Headers, media_type: str) -> Headers:
    """`headers` with another content type; with none at all if it is not known (`""`)."""
    kept = tuple((name, text) for name, text in headers if name != "content-type")
    return (("content-type", media_type), *kept) if media_type else kept


def refused(message: str) -> ProviderError:
    """This provider cannot be asked that; nothing has been sent."""
    return ProviderError(FailureKind.REQUEST_REFUSED, message, nothing_sent=True)


def bad(message: str) -> ProviderError:
    """The answer is no answer. `message` names places, types and sizes; never values."""
    return ProviderError(FailureKind.INVALID_OUTPUT, message)


def parsed(got: Got) -> codec.Json:
    """The JSON of an answer. Raises `invalid_output` for an empty body and for one that is no JSON."""
    if got.streamed is None and not got.body.strip():
        raise bad("the answer is empty")
    try:
        return got.document
    except codec.Undecodable as error:
        message = f"the answer of {len(got.body)} bytes is {error}"
    raise bad(message)


def at(value: Any, *path: str | int) -> Any:
    """What stands at `path` in a JSON value; None if there is no such place."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and len(value) > step else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def text_at(value: Any, *path: str | int) -> str:
    """The text at `path`; empty if there is none."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def missing(got: Got, document: Any, wanted: str) -> NoReturn:
    """Raise what an answer without `wanted` means: the error that it tells instead, else `invalid_output`.

    Where the work was taken up by then, that says nothing of the work: it may go on, and be charged."""
    if isinstance(document, dict) and any(document.get(name) for name in ("error", "detail", "errors", "message")):
        try:
            failed(got, document)
        except ProviderError as error:
            error.accepted = got.stage != FIRST
            raise
    raise bad(f"the answer of {len(got.body)} bytes has no {wanted}")


def failed(got: Got, told: Any) -> NoReturn:
    """Raise what a provider says of its failure (`told`: its error, or the document that holds it) in a success."""
    document = told if isinstance(told, dict) else {"error": told}
    raise read_error(200, got.headers, codec.encode(document), now=_NO_TIME)


def usage_of(got: Got, document: Any = None) -> dict[str, int]:
    """The units that an answer reports: in its headers, in those before it, and in its `usage` (the OpenAI form)."""
    before = got.memo.get("usage")
    if got.stage == FETCH:  # a stranger's server, whose headers cost nobody anything
        return before if isinstance(before, dict) else {}
    return {
        **(before if isinstance(before, dict) else {}),
        **measured(got.headers),
        **tokens_told(at(document, "usage")),
    }


def as_it_is(got: Got) -> Reply:
    """A JSON answer in the task's own form. Raises the error that it tells instead of one."""
    document = parsed(got)
    if isinstance(document, dict) and document.get("error") and not document.get("choices"):
        failed(got, document)
    return Reply(document, measured(got.headers))


def as_bytes(got: Got) -> Reply:
    """An answer whose body is the payload itself; or a document, which some models answer instead.

    Its first byte tells, not what it is declared to be: no image, sound or video begins as JSON does.
    """
    if not got.body:
        raise bad("the answer is empty")
    if got.body[:64].lstrip()[:1] in (b"{", b"[", b'"'):
        return as_it_is(got)
    return Reply(Binary(bytes(got.body), got.media_type), usage_of(got))


def from_base64(text: str, declared: str = "") -> Binary:
    """The bytes of base64 or of a `data:` URI. Raises `invalid_output`."""
    data = decoded(text)
    if not data:
        raise bad(f"the payload of {len(text)} characters is no base64")
    if text.startswith("data:"):
        declared = text[5:].partition(";")[0]
    return Binary(data, declared)
