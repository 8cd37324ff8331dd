"""What a result tells the person who reads it about a failure: the page, the field, the wait."""

from typing import Any

import httpx
import pytest
from worker_world import TOKEN, assigned, candidate, failing, result_of, world

from schemas.failure import FailureKind

K = FailureKind


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (failing(403, {"error": "Access is restricted"}, x_error_code="GatedRepo"), K.FORBIDDEN,
         "accept the licence at https://huggingface.co/acme/chat"),
        (failing(401, {"error": "gated repo"}, x_error_code="GatedRepo"), K.FORBIDDEN, "huggingface.co/acme/chat"),
        (failing(404, {"error": "Model does not exist"}), K.NOT_FOUND, "acme/chat is not served by groq"),
        (failing(410, {"error": "gone"}), K.GONE, "acme/chat has been retired"),
        (failing(422, {"detail": [{"loc": ["body", "seed"], "msg": "must be positive", "input": "x"}]}),
         K.REQUEST_REFUSED, "body.seed: must be positive"),
        (failing(413, {"error": "payload too large"}), K.TOO_LARGE, "payload too large"),
        (failing(402, {"error": "You have depleted your monthly included credits."}), K.PAYMENT_REQUIRED, "credits"),
    ],
)  # fmt: skip
async def test_a_refusal_says_what_to_do(answer: httpx.Response, kind: FailureKind, said: str) -> None:
    error: Any = result_of(await world(answer).run(assigned(candidates=[candidate(provider="groq")]))).error

    assert error.kind == kind
    assert said in error.message
    assert not error.retryable
    assert TOKEN not in error.message


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (failing(429, {"error": "Rate limit reached"}, retry_after="9000"), K.RATE_LIMITED, "groq asks to wait 9000 s"),
        (failing(503, {"error": "Model is currently loading", "estimated_time": 20.0}), K.MODEL_LOADING,
         "groq expects to have loaded it in 20 s"),
    ],
)  # fmt: skip
async def test_a_wait_that_was_not_waited_for_is_told(answer: httpx.Response, kind: FailureKind, said: str) -> None:
    error: Any = result_of(await world(answer).run(assigned(candidates=[candidate(provider="groq")]))).error

    assert error.kind == kind
    assert said in error.message
    assert error.retryable
