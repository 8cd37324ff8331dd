"""What the person who reads a failure should do about this one: the page, the provider, the time. Pure.

`schemas.failure.FAILURES` advises about a kind; here stands what only the single case knows.
"""

from collections.abc import Iterable

from schemas.failure import FailureKind
from workers.errors import PAUSED, ProviderError
from workers.wording import MAX_CHARS

K = FailureKind
ANY_PROVIDER = "auto"
MAX_NAMED = 5
"""Providers in one message."""
WAITS = {K.RATE_LIMITED: "asks to wait", K.OVERLOADED: "asks to wait", K.MODEL_LOADING: "expects to have loaded it in"}


def advised(error: ProviderError, message: str, *, model: str, provider: str, others: Iterable[str]) -> str:
    """`message` with what to do behind it, together at most `MAX_CHARS` characters; the advice is never cut.

    `model` is Hugging Face's id, `provider` who was asked, `others` who is known to serve the model as well.
    """
    advice = _advice(error, model, provider, [name for name in dict.fromkeys(others) if name != provider])
    if not advice or advice in message:
        return message
    room = MAX_CHARS - len(advice) - 3
    return f"{message[:room].rstrip()} ({advice})" if room > 0 else message


def _advice(error: ProviderError, model: str, provider: str, others: list[str]) -> str:
    advice = ""
    if error.gated:
        advice = f"accept the licence at https://huggingface.co/{model}"
    elif error.kind is K.NOT_FOUND and PAUSED.search(error.message):
        advice = "the endpoint is paused: resume it, and publish the job again"
    elif error.kind in (K.NOT_FOUND, K.GONE):
        who = "any provider" if provider == ANY_PROVIDER else provider
        gone = "has been retired" if error.kind is K.GONE else f"is not served by {who}"
        others_say = f"served by {', '.join(others[:MAX_NAMED])}" if others else "no other candidate serves it"
        advice = f"{model} {gone}; {others_say}"
    elif error.kind in WAITS and error.retry_after is not None:
        advice = f"{provider} {WAITS[error.kind]} {error.retry_after.total_seconds():.0f} s"
    return advice
