"""The local Hugging Face's refusals: the official status and words for each, and no word of the request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.hf.app import Options, create_app
from sandbox.hf.engines import Engines
from sandbox.hf.scripted import ScriptedText
from sandbox.hf.server import serving

SMALL = "HuggingFaceTB/SmolLM2-135M-Instruct"
E5 = "intfloat/multilingual-e5-small"
LANGUAGE = "novix-sandbox/fasttext-lid.176"
CHAT = "/v1/chat/completions"
MODELS = "/hf-inference/models/"


@asynccontextmanager
async def local_hf(state: Path, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Options(state=state, token=token), engines=Engines(ScriptedText()))
    async with (
        serving(app) as url,
        httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer hf_test"}) as client,
    ):
        yield client


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with local_hf(tmp_path) as client:
        yield client


def asked(**more: Any) -> dict[str, Any]:
    return {"model": SMALL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 6} | more


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        (
            CHAT,
            asked(model="no/such"),
            400,
            {
                "error": {
                    "message": "The requested model 'no/such' is not supported by any provider you have enabled.",
                    "type": "invalid_request_error",
                    "param": "model",
                    "code": "model_not_supported",
                }
            },
        ),
        (MODELS + "no/such", {"inputs": "x"}, 404, {"error": "Model no/such does not exist"}),
        (MODELS + LANGUAGE + CHAT, asked(), 400, {"error": "Model not supported by provider hf-inference"}),
        (
            f"{MODELS}{E5}/pipeline/text-classification",
            {"inputs": "x"},
            400,
            {"error": "Model not supported by provider hf-inference"},
        ),
    ],
)
async def test_what_is_not_served_is_refused_in_the_official_words(
    client: httpx.AsyncClient, path: str, body: Any, status: int, said: Any
) -> None:
    answer = await client.post(path, json=body)
    assert (answer.status_code, answer.json()) == (status, said)


async def test_a_provider_suffix_we_lack_is_an_unsupported_model(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post(CHAT, json=asked(model=f"{SMALL}:groq"))
    assert answer.json()["error"]["code"] == "model_not_supported"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (CHAT, {"model": SMALL, "messages": "secret words"}, "messages"),
        (CHAT, asked(max_tokens="secret words"), "max_tokens"),
        (CHAT, asked(messages=[{"role": "user", "content": 5}]), "messages.0"),
        (MODELS + SMALL, {"inputs": {"text": "secret words"}}, "inputs"),
        (MODELS + SMALL, {"inputs": "secret words", "parameters": {"top_p": 2}}, "parameters.top_p"),
        (f"{MODELS}{E5}/pipeline/zero-shot-classification", {"inputs": "secret words", "parameters": {}}, "parameters"),
        (f"{MODELS}{E5}/pipeline/sentence-similarity", {"inputs": {"sentences": ["secret words"]}}, "inputs"),
    ],
)
async def test_a_body_that_breaks_the_published_schema_is_refused_by_field_and_never_quoted(
    client: httpx.AsyncClient, path: str, body: Any, field: str
) -> None:
    answer = await client.post(path, json=body)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(f"Input validation error: {field}: ")
    assert answer.json()["error_type"] == "validation"
    assert "secret" not in answer.text


async def test_a_null_where_the_published_schema_is_nullable_is_accepted(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post(CHAT, json=asked(seed=None, stop=None, temperature=None, tools=None))
    assert answer.status_code == 200


async def test_a_body_that_is_no_json_is_refused_in_plain_text(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post(CHAT, content=b'{"model": ')
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.startswith("Failed to parse the request body as JSON: ")


async def test_a_token_is_looked_at_before_the_model(tmp_path: Path) -> None:
    async with local_hf(tmp_path, token="hf_right") as client:
        wrong = await client.post(MODELS + "no/such", json={"inputs": "x"})
        none = await client.post(MODELS + "no/such", json={"inputs": "x"}, headers={"authorization": ""})
        del client.headers["authorization"]
        missing = await client.post(CHAT, json=asked())
        right = await client.post(CHAT, json=asked(), headers={"authorization": "Bearer hf_right"})
    assert (wrong.status_code, wrong.json()) == (401, {"error": "Invalid credentials in Authorization header"})
    assert none.status_code == 401
    assert missing.status_code == 401
    assert missing.text.startswith("<!doctype html>")
    assert right.status_code == 200
