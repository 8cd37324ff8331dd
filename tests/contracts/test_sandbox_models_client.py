"""The sandbox as the official client meets it in a process of its own, and what no caller may break. Real models."""

import subprocess
import sys
from typing import Any

import httpx
import pytest
from sandbox_models import E5, NSFW, SMOL, SPEAKER, TERRAIN, VOICE, WHISPER, ZERO_SHOT, Sandbox, b64

pytestmark = pytest.mark.models

SENTIMENT = "novix-sandbox/e5-sentiment"

AS_DOCUMENTED = """
import asyncio, sys
from huggingface_hub import constants

URL = sys.argv[1]
constants.ENDPOINT = URL
constants.INFERENCE_PROXY_TEMPLATE = URL + "/{provider}"

from huggingface_hub import AsyncInferenceClient, InferenceClient

client = InferenceClient(provider="hf-inference", token="hf_sandbox")
hello = [{"role": "user", "content": "hello"}]

async def later():
    other = AsyncInferenceClient(provider="hf-inference", token="hf_sandbox")
    pieces = await other.chat_completion(hello, model="SMOL", max_tokens=3, stream=True)
    told = "".join([piece.choices[0].delta.content or "" async for piece in pieces])
    assert told
    sound = await other.text_to_speech("The kitchen is closed.")
    return await other.automatic_speech_recognition(sound)

assert "kitchen" in asyncio.run(later()).text
assert client.text_classification("bonjour madame", model="novix-sandbox/fasttext-lid.176")[0].label == "fr"
whole = InferenceClient(base_url=URL + "/v1", api_key="hf_sandbox").chat_completion(hello, model="SMOL", max_tokens=3)
assert whole.choices[0].message.content
there = InferenceClient(model=URL + "/hf-inference/models/novix-sandbox/e5-sentiment", token="hf_sandbox")
assert len(there.text_classification("I love it")) == 2
print("all of it")
""".replace("SMOL", SMOL)


def test_the_official_client_works_as_the_page_says_with_models_and_without(sandbox: Sandbox) -> None:
    command = [sys.executable, "-c", AS_DOCUMENTED, sandbox.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "all of it", done.stderr[-2000:]


SCHEMA = {
    "type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False,
}  # fmt: skip


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "json_object", "value": SCHEMA},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}},
    ],
)
def test_an_answers_schema_binds_under_either_name_that_clients_write(sandbox: Sandbox, wanted: Any) -> None:
    """`value` is what the official client makes of a `json_schema` for hf-inference."""
    body = {"messages": [{"role": "user", "content": "a number"}], "max_tokens": 60, "seed": 1, "temperature": 0}
    path = f"/hf-inference/models/{SMOL}/v1/chat/completions"
    answer = sandbox.http.post(path, json={**body, "model": SMOL, "response_format": wanted}).json()
    assert answer["choices"][0]["message"]["content"].replace(" ", "").replace("\n", "").startswith('{"a":')


@pytest.mark.parametrize(
    ("model", "body", "status"),
    [
        (NSFW, {"parameters": {"top_k": 1.0}}, 200),
        (SENTIMENT, {"inputs": "good", "parameters": {"top_k": 1.0}}, 200),
        (TERRAIN, {"inputs": "x", "parameters": {"width": 64.0, "height": 64.0, "seed": 1.0}}, 200),
        (SMOL, {"inputs": "x", "parameters": {"max_new_tokens": 2.0}}, 200),
        (SMOL, {"inputs": "x", "parameters": {"max_new_tokens": 10**20}}, 422),
        (SMOL, {"inputs": "x", "parameters": {"max_new_tokens": 2, "temperature": 1e308}}, 200),
        (WHISPER, {"parameters": {"generation_parameters": {"max_new_tokens": 0}}}, 422),
        (WHISPER, {"parameters": {"generation_parameters": {"max_new_tokens": 100_000, "num_beams": 1.0}}}, 200),
        (SENTIMENT, {"inputs": "good news " * 50_000}, 200),
        (ZERO_SHOT, {"inputs": "x", "parameters": {"candidate_labels": ["a"] * 257}}, 422),
        (f"{E5}/pipeline/feature-extraction", {"inputs": ["x"] * 257}, 422),
        (f"{E5}/pipeline/feature-extraction", {"inputs": "word " * 50_000}, 413),
    ],
)  # fmt: skip
def test_numbers_and_sizes_at_the_edge_are_answered_or_refused_and_break_nothing(
    sandbox: Sandbox, page: bytes, speech: bytes, model: str, body: dict[str, Any], status: int
) -> None:
    """A float that is whole is an integer to the published schemas; of a long text the model reads 512 tokens."""
    files = {NSFW: page, WHISPER: speech}
    whole = body if "inputs" in body else {"inputs": b64(files[model]), **body}
    assert sandbox.ask(model, whole).status_code == status


def test_one_sample_is_a_sound(sandbox: Sandbox) -> None:
    from sound_files import wav

    assert sandbox.ask(VOICE, wav(1 / 16_000)).status_code == 200


def test_an_engine_that_fails_tells_nothing_of_what_it_was_given_and_keeps_the_connection(
    tmp_path: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """uvicorn would print the error with its words, and engines quote their input."""
    import asyncio

    from sandbox.hf.app import Options, create_app
    from sandbox.hf.server import serving

    class Failing:
        def load(self) -> None:
            pass

        def chat(self, ask: Any, emit: Any) -> None:
            raise KeyError(ask["messages"][0]["content"])

        def complete(self, ask: Any, emit: Any) -> None:
            raise KeyError(ask["prompt"])

    async def ask() -> list[int]:
        from sandbox.hf.engines import Engines

        app = create_app(Options(state=tmp_path), engines=Engines(Failing()))
        async with (
            serving(app) as url,
            httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer hf_x"}) as http,
        ):
            path = f"/hf-inference/models/{SMOL}"
            return [(await http.post(path, json={"inputs": "a secret prompt"})).status_code for _ in range(3)]

    assert asyncio.run(ask()) == [500, 500, 500]
    told = capfd.readouterr()
    assert "secret" not in told.err + told.out
    assert "KeyError at" in told.err


def test_a_call_whose_client_has_left_its_queue_is_neither_worked_on_nor_charged(sandbox: Sandbox) -> None:
    before = sandbox.http.get("/admin/bill").json()["count"]
    path = f"{sandbox.url}/hf-inference/models/{SPEAKER}"
    with (
        httpx.Client(headers={"authorization": "Bearer hf_x"}, timeout=0.05) as hurried,
        pytest.raises(httpx.ReadTimeout),
    ):
        hurried.post(path, json={"inputs": "nine " * 900})
    assert sandbox.ask(SPEAKER, {"inputs": "one"}).status_code == 200
    assert sandbox.http.get("/admin/bill").json()["count"] == before + 1
