"""What every call to Hugging Face carries, whichever door it takes."""

from schemas import codec
from schemas.failure import FailureKind
from workers.errors import ProviderError
from workers.exchange import Ask, Call, Got

MAX_TRACE_CHARS = 256
"""Of `X-Amzn-Trace-Id` and `X-HF-Session-id`; 256 is what Hugging Face's own agent keeps to."""


def call_headers(tenant: str, job_id: str, bill_to: str) -> tuple[tuple[str, str], ...]:
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


def openai_call(url: str, model: str, ask: Ask, headers: tuple[tuple[str, str], ...]) -> Call:
    """Chat in the OpenAI form. `model` comes first: a proxy reads only the start (huggingface_hub#4618)."""
    accept = "text/event-stream" if ask.stream else "application/json"
    return Call("POST", url, (*headers, ("accept", accept)), codec.encode({"model": model, **ask.body}))


def parsed(got: Got) -> codec.Json:
    """The JSON of an answer. Raises `invalid_output` for an empty body and for one that is no JSON."""
    if got.streamed is None and not got.body.strip():
        raise ProviderError(FailureKind.INVALID_OUTPUT, "the answer is empty")
    try:
        return got.document
    except codec.Undecodable as error:
        message = f"the answer of {len(got.body)} bytes is {error}"
        raise ProviderError(FailureKind.INVALID_OUTPUT, message) from None
