"""What a failure of one case advises, beyond what its kind does."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.failure import FailureKind
from workers.advice import advised
from workers.errors import ProviderError
from workers.wording import MAX_CHARS

K = FailureKind


def told(kind: FailureKind, message: str = "no", *others: str, **change: Any) -> str:
    error = ProviderError(kind, message, **change)
    return advised(error, message, model="org/model", provider="groq", others=["groq", *others])


def test_a_gated_model_names_the_page_where_its_licence_is_accepted() -> None:
    assert told(K.FORBIDDEN, gated=True) == "no (accept the licence at https://huggingface.co/org/model)"
    assert told(K.FORBIDDEN) == "no"


def test_a_model_that_is_not_served_names_those_who_serve_it() -> None:
    assert told(K.NOT_FOUND, "no", "together", "novita", "together") == (
        "no (org/model is not served by groq; served by together, novita)"
    )
    assert told(K.NOT_FOUND) == "no (org/model is not served by groq; no other candidate serves it)"
    assert told(K.GONE) == "no (org/model has been retired; no other candidate serves it)"


def test_an_endpoint_that_is_paused_has_to_be_resumed() -> None:
    """Nothing wakes it, other than one that is scaled to zero."""
    said = told(K.NOT_FOUND, "Bad Request: Invalid state")
    assert said == "Bad Request: Invalid state (the endpoint is paused: resume it, and publish the job again)"


def test_a_wait_is_told_in_seconds_where_the_provider_told_one() -> None:
    wait = timedelta(seconds=20.4)
    assert told(K.RATE_LIMITED, retry_after=wait) == "no (groq asks to wait 20 s)"
    assert told(K.MODEL_LOADING, retry_after=wait) == "no (groq expects to have loaded it in 20 s)"
    assert told(K.RATE_LIMITED) == "no"


def test_advice_is_given_once() -> None:
    once = told(K.FORBIDDEN, gated=True)
    error = ProviderError(K.FORBIDDEN, once, gated=True)
    assert advised(error, once, model="org/model", provider="groq", others=[]) == once


@given(
    kind=st.sampled_from(FailureKind), message=st.text(max_size=400), others=st.lists(st.text(max_size=64), max_size=8)
)
def test_a_message_stays_short_and_its_advice_whole(kind: FailureKind, message: str, others: list[str]) -> None:
    short = message[:MAX_CHARS]
    said = told(kind, short, *others, retry_after=timedelta(seconds=3))
    assert len(said) <= MAX_CHARS
    assert said == short or said.endswith(")")
