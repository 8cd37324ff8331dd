"""The local Hugging Face on the wire. The chat suite runs on llama.cpp and on its stand-in."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from sandbox.fetch import default_cache
from sandbox.hf import catalogue
from sandbox.hf.app import Options, create_app
from sandbox.hf.engines import Engines, llama
from sandbox.hf.scripted import WORDS, ScriptedText
from sandbox.hf.server import serving
from sandbox.hf.weights import Weights
from schemas import tasks

SMALL = "HuggingFaceTB/SmolLM2-135M-Instruct"
LARGE = "novix-sandbox/SmolLM2-135M-Instruct-large"
E5 = "intfloat/multilingual-e5-small"
SENTIMENT = "novix-sandbox/e5-sentiment"
LANGUAGE = "novix-sandbox/fasttext-lid.176"
CHAT = "/v1/chat/completions"
TOKEN = {"authorization": "Bearer hf_test"}
MODELS = "/hf-inference/models/"


@pytest.fixture(scope="session")
def real() -> Iterator[Engines]:
    """The real models, loaded once for all tests of a run."""
    weights = Weights.of(catalogue.load(), default_cache())
    engines = Engines(llama(weights.llama), weights)
    yield engines
    engines.close()


@pytest.fixture(params=["scripted", pytest.param("real", marks=pytest.mark.models)])
def engines(request: pytest.FixtureRequest) -> Engines:
    return request.getfixturevalue("real") if request.param == "real" else Engines(ScriptedText())


@asynccontextmanager
async def local_hf(state: Path, engines: Engines, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(create_app(Options(state=state, token=token), engines=engines)) as url,
        httpx.AsyncClient(base_url=url, headers=TOKEN, timeout=60) as client,
    ):
        yield client


@pytest.fixture
def served(engines: Engines, tmp_path: Path) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    return local_hf(tmp_path, engines)


def asked(text: str = "Say hello to me", **more: Any) -> dict[str, Any]:
    return {"model": SMALL, "messages": [{"role": "user", "content": text}], "max_tokens": 6, "temperature": 0} | more


def events(body: str) -> list[str]:
    return [event.removeprefix("data: ") for event in body.split("\n\n") if event]


async def bill(client: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (await client.get("/admin/bill/entries", params=query)).json()["entries"]
    return entries


def fits(task: str, value: Any) -> None:
    assert tasks.output_fault(task, value) is None


# The chat model


async def test_a_chat_answer_fits_the_published_schema_and_names_who_served_it(
    served: AbstractAsyncContextManager[httpx.AsyncClient],
) -> None:
    async with served as client:
        answer = await client.post(CHAT, json=asked(model=f"{SMALL}:cheapest"))
    assert answer.status_code == 200
    value = answer.json()
    fits("chat-completion", value)
    assert value["model"] == SMALL
    assert value["object"] == "chat.completion"
    assert value["choices"][0]["message"]["content"]
    assert value["choices"][0]["finish_reason"] == "length"
    assert value["usage"]["completion_tokens"] == 6
    assert answer.headers["x-inference-provider"] == "hf-inference"
    assert answer.headers["x-compute-type"] == "cpu"
    assert answer.headers["inference-id"] in value["id"]
    assert len(answer.headers["x-sha"]) == 40


async def test_a_streamed_chat_says_the_same_as_a_plain_one_and_ends_with_usage_and_done(
    served: AbstractAsyncContextManager[httpx.AsyncClient],
) -> None:
    async with served as client:
        plain = (await client.post(CHAT, json=asked())).json()
        answer = await client.post(CHAT, json=asked(stream=True, stream_options={"include_usage": True}))
    *chunks, done = events(answer.text)
    told = [json.loads(chunk) for chunk in chunks]
    check = jsonschema_rs.Draft6Validator(tasks.published("chat-completion", "stream_output"))
    assert [chunk for chunk in told if not check.is_valid(chunk)] == []
    assert done == "[DONE]"
    assert answer.headers["content-type"].startswith("text/event-stream")
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in told[:-1])
    assert text == plain["choices"][0]["message"]["content"]
    assert told[-2]["choices"][0]["finish_reason"] == "length"
    assert told[-1]["choices"] == []
    assert told[-1]["usage"] == plain["usage"]


async def test_a_stream_tells_no_usage_unless_asked(served: AbstractAsyncContextManager[httpx.AsyncClient]) -> None:
    async with served as client:
        answer = await client.post(CHAT, json=asked(stream=True))
    told = [json.loads(event) for event in events(answer.text)[:-1]]
    assert {chunk["usage"] for chunk in told} == {None}


async def test_the_provider_door_serves_the_model_of_its_path_whatever_the_body_says(
    served: AbstractAsyncContextManager[httpx.AsyncClient],
) -> None:
    async with served as client:
        answer = await client.post(f"{MODELS}{LARGE}{CHAT}", json=asked(model="tgi"))
    assert answer.json()["model"] == LARGE


async def test_generated_text_comes_as_a_list_of_one_published_output_with_its_counts_in_the_headers(
    served: AbstractAsyncContextManager[httpx.AsyncClient],
) -> None:
    body = {"inputs": "One, two,", "parameters": {"max_new_tokens": 4, "details": True, "return_full_text": False}}
    async with served as client:
        answer = await client.post(MODELS + SMALL, json=body)
        [entry] = await bill(client)
    [item] = answer.json()
    fits("text-generation", item)
    assert item["details"]["generated_tokens"] == 4 == int(answer.headers["x-generated-tokens"])
    assert item["generated_text"] == "".join(token["text"] for token in item["details"]["tokens"])
    assert int(answer.headers["x-prompt-tokens"]) == entry["input_tokens"]
    assert round(float(answer.headers["x-compute-time"]) * 1000) == entry["compute_ms"]


async def test_streamed_text_ends_with_the_whole_text_and_its_details(
    served: AbstractAsyncContextManager[httpx.AsyncClient],
) -> None:
    body = {"inputs": "One, two,", "stream": True, "parameters": {"max_new_tokens": 4}}
    async with served as client:
        answer = await client.post(f"{MODELS}{SMALL}/pipeline/text-generation", json=body)
    told = [json.loads(event) for event in events(answer.text)]
    check = jsonschema_rs.Draft6Validator(tasks.published("text-generation", "stream_output"))
    assert [chunk for chunk in told if not check.is_valid(chunk)] == []
    assert [chunk["index"] for chunk in told] == [1, 2, 3, 4]
    assert told[-1]["generated_text"] == "One, two," + "".join(chunk["token"]["text"] for chunk in told)
    assert told[-1]["details"]["generated_tokens"] == 4
    assert told[-1]["details"]["finish_reason"] == "length"


async def test_a_prompt_over_the_context_is_refused_with_both_numbers(
    served: AbstractAsyncContextManager[httpx.AsyncClient],
) -> None:
    async with served as client:
        answer = await client.post(CHAT, json=asked("word " * 5000))
        assert await bill(client) == []
    assert answer.status_code == 422
    assert answer.json()["error_type"] == "validation"
    assert "must be <= 4096. Given: 5" in answer.json()["error"]


async def test_the_bill_is_the_sum_of_what_the_answers_told(
    served: AbstractAsyncContextManager[httpx.AsyncClient],
) -> None:
    prices = {row["id"]: row["price"] for row in catalogue.catalogue()}
    expected = 0
    async with served as client:
        for model in (SMALL, LARGE, SMALL):
            used = (await client.post(CHAT, json=asked(model=model))).json()["usage"]
            parts = used["prompt_tokens"] * prices[model]["input_nanousd_per_mtok"]
            parts += used["completion_tokens"] * prices[model]["output_nanousd_per_mtok"]
            expected += -(-parts // 1_000_000)
        assert (await client.post(CHAT, json=asked(model="no/such"))).status_code == 400
        total = (await client.get("/admin/bill")).json()
    assert total["total_nanousd"] == expected > 0
    assert total["count"] == 3
    assert total["by_model"][SMALL]["count"] == 2


async def test_calls_wait_for_the_one_seat_and_take_it_in_the_order_they_came(tmp_path: Path) -> None:
    text = ScriptedText(hold_after=1)
    async with local_hf(tmp_path, Engines(text)) as client:
        pending = []
        for number, model in enumerate((SMALL, LARGE, SMALL), 1):
            pending.append(asyncio.create_task(client.post(CHAT, json=asked(f"call {number}", model=model))))
            await arrived(client, text, number)
        assert [ask["messages"][0]["content"] for ask in text.asked] == ["call 1"]
        text.go_on.set()
        assert [(await call).status_code for call in pending] == [200] * 3
        calls = (await client.get("/admin/log")).json()["calls"]
    assert [ask["messages"][0]["content"] for ask in text.asked] == ["call 1", "call 2", "call 3"]
    assert all(call["duration_ms"] >= call["queued_ms"] >= 0 for call in calls)


# An answer that nobody waits for


async def test_a_stream_that_its_client_leaves_is_billed_for_the_tokens_until_then(tmp_path: Path) -> None:
    text = ScriptedText(hold_after=3)
    async with local_hf(tmp_path, Engines(text)) as client:
        async with client.stream("POST", CHAT, json=asked(stream=True, max_tokens=10)) as answer:
            lines = answer.aiter_lines()
            while "brown" not in await anext(lines):
                pass
        await until(client, "aborted")
        text.go_on.set()
        entry = await charged(client)
    assert entry["aborted"]
    assert 3 <= entry["output_tokens"] < len(WORDS)


@pytest.mark.models
async def test_the_real_model_lets_go_of_its_seat_when_a_streams_client_leaves(real: Engines, tmp_path: Path) -> None:
    async with local_hf(tmp_path, real) as client:
        long = asked("Tell me a very long story.", stream=True, max_tokens=2000, temperature=1)
        async with client.stream("POST", CHAT, json=long) as answer:
            await anext(answer.aiter_lines())
        assert (await client.post(CHAT, json=asked())).status_code == 200
        first, second = await bill(client)
    assert (first["aborted"], second["aborted"]) == (True, False)
    assert 1 <= first["output_tokens"] < 200


async def test_a_plain_call_that_its_client_leaves_is_logged_and_not_billed(tmp_path: Path) -> None:
    text = ScriptedText(hold_after=1)
    async with local_hf(tmp_path, Engines(text)) as client:
        call = asyncio.create_task(client.post(CHAT, json=asked()))
        await until(client, "at")
        call.cancel()
        await until(client, "aborted")
        text.go_on.set()
        assert (await client.post(CHAT, json=asked())).status_code == 200  # the seat is free again
        [entry] = await bill(client)
    assert not entry["aborted"]


async def arrived(client: httpx.AsyncClient, text: ScriptedText, count: int) -> None:
    """Wait until so many calls are in the log and the first has the seat."""
    while True:
        calls = (await client.get("/admin/log")).json()["calls"]
        if len(calls) == count and text.asked:
            return
        await asyncio.sleep(0.01)


async def until(client: httpx.AsyncClient, field: str) -> None:
    """Wait until a call in the log has `field` set."""
    while True:
        calls = (await client.get("/admin/log")).json()["calls"]
        if any(call[field] for call in calls):
            return
        await asyncio.sleep(0.01)


async def charged(client: httpx.AsyncClient) -> dict[str, Any]:
    """The first charge on the bill, once there is one."""
    while True:
        if found := await bill(client):
            return found[0]
        await asyncio.sleep(0.01)


# The other models


@pytest.mark.models
async def test_one_text_gives_one_vector_and_a_list_gives_a_list(real: Engines, tmp_path: Path) -> None:
    async with local_hf(tmp_path, real) as client:
        one = (await client.post(f"{MODELS}{E5}/pipeline/feature-extraction", json={"inputs": "hello"})).json()
        two = (await client.post(f"{MODELS}{E5}/pipeline/feature-extraction", json={"inputs": ["hello", "x"]})).json()
    fits("feature-extraction", [one])
    fits("feature-extraction", two)
    assert len(one) == 384
    assert two[0] == one
    assert sum(value * value for value in one) == pytest.approx(1, abs=1e-3)


@pytest.mark.models
async def test_a_text_over_the_embedding_models_length_is_cut_only_if_asked(real: Engines, tmp_path: Path) -> None:
    long = "hello " * 700
    async with local_hf(tmp_path, real) as client:
        refused = await client.post(f"{MODELS}{E5}/pipeline/feature-extraction", json={"inputs": long})
        cut = await client.post(f"{MODELS}{E5}/pipeline/feature-extraction", json={"inputs": long, "truncate": True})
    assert refused.status_code == 413
    assert "must have less than 512 tokens" in refused.json()["error"]
    assert len(cut.json()) == 384


@pytest.mark.models
async def test_the_body_chooses_the_task_where_the_path_does_not(real: Engines, tmp_path: Path) -> None:
    sentences = {"source_sentence": "a happy person", "sentences": ["a very happy person", "the sky is grey"]}
    async with local_hf(tmp_path, real) as client:
        similar = (await client.post(MODELS + E5, json={"inputs": sentences})).json()
        labels = {"candidate_labels": ["legal", "refund"]}
        zero = (await client.post(MODELS + E5, json={"inputs": "money back please", "parameters": labels})).json()
    fits("sentence-similarity", similar)
    assert similar[0] > similar[1]
    fits("zero-shot-classification", zero)
    assert zero[0]["label"] == "refund"


@pytest.mark.models
async def test_texts_are_classified_nested_once_and_charged_by_their_compute_time(
    real: Engines, tmp_path: Path
) -> None:
    async with local_hf(tmp_path, real) as client:
        mood = await client.post(MODELS + SENTIMENT, json={"inputs": "I love it"})
        tongue = await client.post(MODELS + LANGUAGE, json={"inputs": "Guten Morgen, wie geht es dir?"})
        entries = await bill(client)
    [moods], [tongues] = mood.json(), tongue.json()
    fits("text-classification", moods)
    fits("text-classification", tongues)
    assert moods[0]["label"] == "POSITIVE"
    assert tongues[0]["label"] == "de"
    assert len(tongues) == 5
    told = [round(float(answer.headers["x-compute-time"]) * 1000) * 120 for answer in (mood, tongue)]
    assert [entry["cost_nanousd"] for entry in entries] == told
