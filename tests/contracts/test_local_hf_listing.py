"""The local Hugging Face's lists, its bill's filters, its call log: what is told about models and calls."""

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from sandbox.hf import catalogue
from sandbox.hf.app import Options, create_app
from sandbox.hf.engines import Engines
from sandbox.hf.gate import MAX_BODY_BYTES
from sandbox.hf.scripted import ScriptedText
from sandbox.hf.server import serving

SMALL = "HuggingFaceTB/SmolLM2-135M-Instruct"
E5 = "intfloat/multilingual-e5-small"
CHAT = "/v1/chat/completions"
BODY = {"model": SMALL, "messages": [{"role": "user", "content": "a private word"}], "max_tokens": 3}
TOKEN = {"authorization": "Bearer hf_test"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Options(state=tmp_path), engines=Engines(ScriptedText()))
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


async def test_the_router_lists_chat_models_with_prices_in_dollars_per_million(client: httpx.AsyncClient) -> None:
    listing = (await client.get("/v1/models")).json()
    assert listing["object"] == "list"
    prices = {row["id"]: row["price"] for row in catalogue.catalogue()}
    for row in listing["data"]:
        [offer] = row["providers"]
        assert offer["provider"] == "hf-inference"
        assert offer["status"] == "live"
        assert round(offer["pricing"]["input"] * 1e9) == prices[row["id"]]["input_nanousd_per_mtok"]
        assert round(offer["pricing"]["output"] * 1e9) == prices[row["id"]]["output_nanousd_per_mtok"]
        assert (await client.get(f"/v1/models/{row['id']}")).json() == row
    assert [row["id"] for row in listing["data"]] == [SMALL, "novix-sandbox/SmolLM2-135M-Instruct-large"]
    assert (await client.get(f"/v1/models/{E5}")).status_code == 404


@pytest.mark.parametrize("query", ["expand=inferenceProviderMapping", "expand[]=inferenceProviderMapping"])
async def test_the_hub_tells_which_provider_serves_which_task(client: httpx.AsyncClient, query: str) -> None:
    row = (await client.get(f"/api/models/{E5}?{query}")).json()
    assert set(row) == {"_id", "id", "inferenceProviderMapping"}
    assert len(row["_id"]) == 24
    offer = {"status": "live", "providerId": E5, "task": "feature-extraction", "isModelAuthor": False}
    assert row["inferenceProviderMapping"] == {"hf-inference": offer}
    chat = (await client.get(f"/api/models/{SMALL}?{query}")).json()
    assert chat["inferenceProviderMapping"]["hf-inference"]["task"] == "conversational"


async def test_the_hub_tells_a_models_card_and_no_mapping_unless_asked(client: httpx.AsyncClient) -> None:
    row = (await client.get(f"/api/models/{SMALL}")).json()
    assert row["pipeline_tag"] == "text-generation"
    assert row["cardData"] == {"license": "apache-2.0"}
    assert "inferenceProviderMapping" not in row
    assert (await client.get(f"/api/models/{SMALL}?expand=secrets")).status_code == 400


async def test_the_hub_says_401_to_the_anonymous_and_404_to_others_for_what_is_not_there(
    client: httpx.AsyncClient,
) -> None:
    anonymous = await client.get("/api/models/no/such")
    known = await client.get("/api/models/no/such", headers=TOKEN)
    assert (anonymous.status_code, anonymous.json()) == (401, {"error": "Invalid username or password."})
    assert (known.status_code, known.json()) == (404, {"error": "Repository not found"})
    assert known.headers["x-error-code"] == "RepoNotFound"


async def test_a_callers_trace_id_comes_back_and_finds_its_calls_in_log_and_bill(client: httpx.AsyncClient) -> None:
    for trace, session in (("job-1", "hour-1"), ("job-2", "hour-1"), ("job-3", "hour-2")):
        headers = TOKEN | {"X-Amzn-Trace-Id": trace, "X-HF-Session-id": session}
        answer = await client.post(CHAT, json=BODY, headers=headers)
        assert answer.headers["x-request-id"].startswith("Root=1-")
        assert answer.headers["x-request-id"].endswith(f";{trace}")

    calls = (await client.get("/admin/log", params={"trace": "job-2"})).json()["calls"]
    entries = (await client.get("/admin/bill/entries", params={"trace": "job-2"})).json()["entries"]
    assert [(call["model"], call["status"], call["aborted"]) for call in calls] == [(SMALL, 200, False)]
    assert [entry["session"] for entry in entries] == ["hour-1"]
    assert (await client.get("/admin/bill", params={"session": "hour-1"})).json()["count"] == 2


async def test_the_bill_since_an_instant_holds_what_came_from_then_on(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await client.post(CHAT, json=BODY, headers=TOKEN)
    entries = (await client.get("/admin/bill/entries")).json()["entries"]
    instants = [datetime.fromisoformat(entry["at"]) for entry in entries]
    assert instants == sorted(instants)
    for since in (entries[1]["at"], instants[1].isoformat()):
        assert (await client.get(f"/admin/bill?since={since}")).json()["count"] == 2
    assert (await client.get("/admin/bill", params={"since": "yesterday"})).status_code == 422


async def test_the_log_lists_refused_calls_too_and_never_a_prompt(client: httpx.AsyncClient) -> None:
    await client.post(CHAT, json=BODY)
    await client.post(CHAT, json=BODY | {"model": "no/such"}, headers=TOKEN)
    await client.post(CHAT, json=BODY, headers=TOKEN)
    log = await client.get("/admin/log")
    assert [call["status"] for call in log.json()["calls"]] == [401, 400, 200]
    assert "private" not in log.text + (await client.get("/admin/bill/entries")).text


async def test_the_newest_calls_are_listed_within_the_limit(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await client.get("/v1/models")
    calls = (await client.get("/admin/log", params={"limit": 2})).json()["calls"]
    assert [call["number"] for call in calls] == [2, 3]
    assert (await client.get("/admin/log", params={"limit": "all"})).status_code == 422


async def test_a_body_over_the_limit_is_refused_with_both_sizes(client: httpx.AsyncClient) -> None:
    answer = await client.post(CHAT, content=b"x" * (MAX_BODY_BYTES + 1), headers=TOKEN)
    assert answer.status_code == 413
    assert f"{MAX_BODY_BYTES + 1} bytes; {MAX_BODY_BYTES} are accepted" in answer.json()["error"]
